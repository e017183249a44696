"""Expressions and types as documents of `pretty`: operators spaced, parentheses only where they are needed.

A line may end only inside ( ) and [ ] and before `->`. An expression that stands outside of brackets gets parentheses
when it must be broken; the parser drops them again. Sizes in types, and the ends of ranges, are written without spaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from zhdsl.lang import ast
from zhdsl.lang.pretty import Doc, Group, IfBroken, Line, Nest, bracketed, flat, join

# How tight an expression binds: that of a part must not be less than what its place asks for.
CHOICE, PIPE, OR, AND, NOT, COMPARE, SUM, PRODUCT, NEGATED, POWER, POSTFIX, ATOM = range(12)
OPERATORS: dict[str, tuple[int, int, int]] = {  # the operator's own, its left part's, its right part's
    "or": (OR, OR, AND),
    "and": (AND, AND, NOT),
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), (COMPARE, SUM, SUM)),
    **dict.fromkeys(("+", "-"), (SUM, SUM, PRODUCT)),
    **dict.fromkeys(("*", "/", "//", "%", "@"), (PRODUCT, PRODUCT, NEGATED)),
    "^": (POWER, POSTFIX, NEGATED),
}
SIMPLE = (ast.Name, ast.Number, ast.String, ast.Constant, ast.Attribute)


@dataclass(frozen=True)
class Place:
    """Where an expression stands: how tight it must bind, inside of brackets or not, with spaces or not."""

    binding: int = CHOICE
    inside: bool = False
    tight: bool = False


OUTSIDE = Place()
INSIDE = Place(inside=True)
SIZE = Place(binding=SUM, inside=True, tight=True)


def phrase(node: ast.Expr | ast.Arg | ast.Type | ast.Axis) -> str:
    """The canonical text of an expression, an argument or a type, on one line."""
    if isinstance(node, ast.Type):
        return flat(type_(node))
    return flat(axis(node) if isinstance(node, ast.Axis) else argument(node))


def expression(node: ast.Expr, place: Place = OUTSIDE) -> Doc:
    """The document of an expression at a place."""
    if binding(node) < place.binding:
        return Group(("(", Nest((Line(""), expression(node, replace(INSIDE, tight=place.tight)))), Line(""), ")"))
    return WRITERS[type(node)](node, replace(place, binding=binding(node)))


def binding(node: ast.Expr) -> int:
    """How tight an expression binds."""
    if isinstance(node, ast.Binary):
        return OPERATORS[node.op][0]
    if isinstance(node, ast.Unary):
        return NEGATED if node.op == "-" else NOT
    if isinstance(node, ast.Number) and node.text.startswith("-"):  # made by a program, not by the parser
        return NEGATED
    return {ast.Choice: CHOICE, ast.Pipe: PIPE}.get(type(node), ATOM if not _is_postfix(node) else POSTFIX)


def _is_postfix(node: ast.Expr) -> bool:
    return isinstance(node, ast.Call | ast.Index | ast.Attribute)


def _breakable(doc: Doc, place: Place) -> Doc:
    """A document with line ends; outside of brackets it gets them when it is broken."""
    if place.inside:
        return Group(doc)
    return Group((IfBroken("("), Nest((Line(""), doc)), Line(""), IfBroken(")")))


# ---------------------------------------------------------------- one function for each record
def _constant(node: ast.Constant, place: Place) -> Doc:
    return node.value


def _unary(node: ast.Unary, place: Place) -> Doc:
    if node.op == "not":
        return ("not ", expression(node.operand, replace(place, binding=NOT)))
    return ("-", expression(node.operand, replace(place, binding=POWER)))


def _binary(node: ast.Binary, place: Place) -> Doc:
    """A chain of operators of one kind breaks before all of them or none."""
    own = OPERATORS[node.op][0]
    inner = replace(place, inside=True)
    parts: list[Doc] = []
    left: ast.Expr = node
    while isinstance(left, ast.Binary) and OPERATORS[left.op][0] == own and (left is node or own != COMPARE):
        gap, space = ("", "") if _is_tight(left, place) else (Line(), " ")
        parts += [expression(left.right, replace(inner, binding=OPERATORS[left.op][2])), f"{left.op}{space}", gap]
        last, left = left, left.left
        if own == POWER:
            break
    parts.append(expression(left, replace(inner, binding=OPERATORS[last.op][1])))
    return _breakable(tuple(reversed(parts)), place)


def _is_tight(node: ast.Binary, place: Place) -> bool:
    """No spaces in sizes, nor in a power of short parts: `2^n`."""
    if node.op == "^" and _is_short(node.left) and _is_short(node.right):
        return True
    return place.tight and OPERATORS[node.op][0] > COMPARE


def _choice(node: ast.Choice, place: Place) -> Doc:
    inner = replace(place, inside=True)
    then = expression(node.then, replace(inner, binding=PIPE))
    test = expression(node.test, replace(inner, binding=OR))
    other = expression(node.other, replace(inner, binding=CHOICE))
    return _breakable((then, Line(), "if ", test, Line(), "else ", other), place)


def _pipe(node: ast.Pipe, place: Place) -> Doc:
    steps: list[Doc] = []
    value: ast.Expr = node
    while isinstance(value, ast.Pipe):
        steps += [expression(value.function, replace(place, binding=POSTFIX)), "-> ", Line()]
        value = value.value
    first = expression(value, replace(place, binding=PIPE))
    return Group((first, Nest(tuple(reversed(steps)), 1 if place.inside else 2)))


def _call(node: ast.Call, place: Place) -> Doc:
    return (expression(node.function, replace(place, binding=POSTFIX)), bracketed("(", arguments(node.args), ")"))


def _index(node: ast.Index, place: Place) -> Doc:
    return (expression(node.base, replace(place, binding=POSTFIX)), bracketed("[", arguments(node.args), "]"))


def _attribute(node: ast.Attribute, place: Place) -> Doc:
    return (expression(node.base, replace(place, binding=POSTFIX)), f".{node.name}")


def _tuple(node: ast.Tuple, place: Place) -> Doc:
    if len(node.items) == 1 and not isinstance(node.items[0], ast.Keyword):
        return ("(", argument(node.items[0]), ",)")
    return bracketed("(", arguments(node.items), ")")


WRITERS: dict[type, Callable[[Any, Place], Doc]] = {
    ast.Name: lambda node, place: node.id,
    ast.Number: lambda node, place: node.text,
    ast.String: lambda node, place: f'"{node.value}"',
    ast.Constant: _constant,
    ast.Unary: _unary,
    ast.Binary: _binary,
    ast.Choice: _choice,
    ast.Pipe: _pipe,
    ast.Call: _call,
    ast.Index: _index,
    ast.Attribute: _attribute,
    ast.Tuple: _tuple,
    ast.List: lambda node, place: bracketed("[", arguments(node.items), "]"),
}


# ---------------------------------------------------------------- arguments and types
def arguments(nodes: Iterable[ast.Arg]) -> list[Doc]:
    """The documents of arguments."""
    return [argument(node) for node in nodes]


def argument(node: ast.Arg) -> Doc:
    """One argument: an expression, `name = value`, a range, `old as new`, `...S`."""
    match node:
        case ast.Keyword():
            return _assigned(node.name, node.value)
        case ast.RestSized():
            return _assigned(f"...{node.name}", node.size)
        case ast.Range():
            low, high = (end and expression(end, replace(INSIDE, tight=True)) for end in (node.low, node.high))
            return (low or "", "..", high or "")
        case ast.Relabel():
            return f"{node.old} as {node.new}"
        case ast.Rest():
            return f"...{node.name}"
    return expression(node, INSIDE)


def _assigned(name: str, value: ast.Expr | ast.Range | ast.Rest) -> Doc:
    """`stride = 2`; an axis (a capital letter) and something short stand close: `T=0`, `H=8`."""
    close = name.lstrip("._")[:1].isupper() and _is_short(value)
    return (f"{name}=" if close else f"{name} = ", argument(value))


def _is_short(node: ast.Expr | ast.Range | ast.Rest | None) -> bool:
    if isinstance(node, ast.Range):
        return _is_short(node.low) and _is_short(node.high)
    if isinstance(node, ast.Unary):
        return node.op == "-" and _is_short(node.operand)
    return node is None or isinstance(node, SIMPLE)


def type_(node: ast.Type) -> Doc:
    """`i32[B, T=4]`."""
    return (node.dtype, bracketed("[", map(axis, node.axes), "]"))


def axis(node: ast.Axis) -> Doc:
    """`C`, `C=3`, `...S`, `...S=S-K+1`, or a size without a label."""
    label = ("..." if node.rest else "") + node.label
    if node.size is None:
        return label
    return (f"{label}=" if label else "", expression(node.size, SIZE))


def names(nodes: Iterable[ast.Name]) -> str:
    """`a, b`."""
    return ", ".join(node.id for node in nodes)


def value(node: ast.Expr) -> Doc:
    """The right side of `=` or `return`: a tuple stands without parentheses if it fits."""
    if isinstance(node, ast.Tuple) and len(node.items) > 1 and all(isinstance(item, ast.Expr) for item in node.items):
        return _breakable(join(arguments(node.items), (",", Line())), OUTSIDE)
    return expression(node)
