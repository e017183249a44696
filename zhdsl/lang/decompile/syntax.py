"""Records of the syntax tree made by a program: short constructors, and sizes and numbers as expressions.

What is made here has no place in a text; it gets one when its text is parsed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from zhdsl.ir.sizes import Applied, Atom, Monomial, Size
from zhdsl.ir.types import FLOAT, Type
from zhdsl.lang import ast
from zhdsl.source import Source, Span

PLACE = Span(Source("<made>", ""), 0, 0)


def name(id_: str) -> ast.Name:
    return ast.Name(id_, span=PLACE)


def unary(op: str, operand: ast.Expr) -> ast.Expr:
    """`-x` or `not x`."""
    return ast.Unary("-" if op == "-" else "not", operand, span=PLACE)


def binary(op: str, left: ast.Expr, right: ast.Expr) -> ast.Expr:
    return ast.Binary(op, left, right, span=PLACE)


def call(function: str, *args: ast.Expr, statics: Iterable[ast.Arg] = ()) -> ast.Expr:
    """`function[statics](args)`."""
    given = tuple(statics)
    head: ast.Expr = ast.Index(name(function), given, span=PLACE) if given else name(function)
    return ast.Call(head, args, span=PLACE)


def index(base: ast.Expr, *args: ast.Arg) -> ast.Expr:
    """`base[args]`."""
    return ast.Index(base, args, span=PLACE)


def keyword(key: str, value: ast.Expr | ast.Range) -> ast.Keyword:
    return ast.Keyword(key, value, span=PLACE)


def several(items: Iterable[ast.Arg]) -> ast.Tuple:
    return ast.Tuple(tuple(items), span=PLACE)


def span_of(low: ast.Expr | None, high: ast.Expr | None) -> ast.Range:
    """`low..high`."""
    return ast.Range(low, high, span=PLACE)


def relabel(old: str, new: str) -> ast.Relabel:
    return ast.Relabel(old, new, span=PLACE)


# ---------------------------------------------------------------- numbers
def number(value: float | int | bool, whole: bool = False) -> ast.Expr:
    """A number as an expression of exactly this value.

    Args:
        value: any number; nan is written `inf - inf`.
        whole: write a float that is a whole number without its `.0`, where the dtype follows from elsewhere.
    """
    if isinstance(value, bool):
        return ast.Constant("true" if value else "false", span=PLACE)
    if isinstance(value, float) and value != value:
        return binary("-", _infinity(), _infinity())
    if value < 0 or (value == 0 and math.copysign(1.0, value) < 0):
        return unary("-", number(-value, whole))
    if isinstance(value, float) and value == math.inf:
        return _infinity()
    if isinstance(value, float) and len(repr(value)) > 15:
        return _quotient(value) or _from_one(value) or _root(value) or _literal(value)
    short = whole and isinstance(value, float) and value.is_integer() and value < 1e6
    return _literal(int(value) if short else value)


def _quotient(value: float) -> ast.Expr | None:
    """`1 / 3`, which the checker computes to the very same float."""
    for q in range(3, 100):
        p = round(value * q)
        if 0 < p < 100 and p % q and p / q == value:
            return binary("/", _literal(p), _literal(q))
    return None


def _root(value: float) -> ast.Expr | None:
    """`sqrt(2)`, likewise."""
    square = round(value * value) if value < 100 else 0
    return call("sqrt", _literal(square)) if square and math.sqrt(square) == value else None


def _from_one(value: float) -> ast.Expr | None:
    """`1 - 0.9`, likewise."""
    rest = round(1 - value, 12)
    return binary("-", _literal(1), _literal(rest)) if 0 < rest < 1 and 1 - rest == value else None


def _infinity() -> ast.Expr:
    return ast.Constant("inf", span=PLACE)


def _literal(value: float | int) -> ast.Expr:
    """`1e-5`, not Python's `1e-05`."""
    head, e, exponent = repr(value).partition("e")
    text = f"{head}e{int(exponent)}" if e else head
    return ast.Number(text, value, span=PLACE)


# ---------------------------------------------------------------- sizes
def size(of: Size) -> ast.Expr:
    """A size as an expression that the checker reads back as the same size."""
    scale = math.lcm(1, *(factor.denominator for _, factor in of.terms))
    if scale != 1:
        return binary("/", size(of * scale), number(scale))
    terms = [_term(monomial, abs(factor)) for monomial, factor in of.terms]
    if not terms:
        return number(0)
    signs = [(factor < 0) != is_ceil(monomial) for monomial, factor in of.terms]
    if signs[0] and not all(signs):  # begin with what is added
        first = signs.index(False)
        terms.insert(0, terms.pop(first))
        signs.insert(0, signs.pop(first))
    total = unary("-", terms[0]) if signs[0] else terms[0]
    for minus, term in zip(signs[1:], terms[1:], strict=True):
        total = binary("-" if minus else "+", total, term)
    return total


def _term(monomial: Monomial, factor: Fraction) -> ast.Expr:
    parts = [number(int(factor))] if factor != 1 or not monomial else []
    parts += [_atom(atom) for atom in monomial]
    product = parts[0]
    for part in parts[1:]:
        product = binary("*", product, part)
    return product


def _atom(atom: Atom) -> ast.Expr:
    if isinstance(atom, str):
        return name(atom)
    if atom.function == "floor":
        return _floor(atom)
    if atom.function == "floordiv":
        return binary("//", size(atom.args[0]), size(atom.args[1]))
    return call(atom.function, *map(size, atom.args))


def is_ceil(monomial: Monomial) -> bool:
    """Whether a product is one floor(-q): written as -ceil(q)."""
    if len(monomial) != 1 or isinstance(monomial[0], str) or monomial[0].function != "floor":
        return False
    return all(factor < 0 for m, factor in monomial[0].args[0].terms if m)


def _floor(atom: Applied) -> ast.Expr:
    (q,) = atom.args
    if is_ceil((atom,)):
        return call("ceil", size(-q))
    scale = math.lcm(*(factor.denominator for _, factor in q.terms))
    return binary("//", size(q * scale), number(scale))


# ---------------------------------------------------------------- types
def axis(label: str, of: Size) -> ast.Axis:
    """`B`, or `C=3` where the size is not the one of that name."""
    return ast.Axis(label, None if of == Size.of(label) else size(of), span=PLACE)


def made_axis(label: str, of: Size) -> ast.Arg:
    """The same in the brackets of an expression."""
    return name(label) if of == Size.of(label) else keyword(label, size(of))


def type_(of: Type, order: Iterable[str]) -> ast.Type:
    dtype = "" if of.dtype == FLOAT else of.dtype
    return ast.Type(dtype, tuple(axis(label, of.sizes[label]) for label in order), span=PLACE)
