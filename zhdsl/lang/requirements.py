"""`require`: conditions on sizes. Decided ones hold or are errors; the others become guards and are then known."""

from __future__ import annotations

from zhdsl.ir.node import apply
from zhdsl.ir.sizes import Applied, Size, Undecided
from zhdsl.lang import ast
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import evaluate
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import Tensor, is_number
from zhdsl.source import Span


def require(e: Elaborator, s: Scope, d: ast.Definition, at: Span) -> None:
    """All conditions of a definition. Raises `Problem` for one that is false."""
    for condition in d.requires:
        _require(e, s, condition, d.name, at)


def _require(e: Elaborator, s: Scope, x: ast.Expr, name: str, at: Span) -> None:
    if isinstance(x, ast.Binary) and x.op == "and":
        _require(e, s, x.left, name, at)
        _require(e, s, x.right, name, at)
        return
    if not (isinstance(x, ast.Binary) and x.op in ("==", "<", "<=", ">", ">=")):
        if evaluate(e, s, x) is not True:
            raise _failed(x, name, at, "")
        return
    a, b = evaluate(e, s, x.left), evaluate(e, s, x.right)
    if not (is_number(a) and is_number(b)):
        holds = a == b if x.op == "==" else False
        if not holds:
            raise _failed(x, name, at, "")
        return
    if x.op in (">", ">="):
        a, b = b, a
    relation = {">": "<", ">=": "<="}.get(x.op, x.op)
    try:
        sign = Size.of(a).compare(b) if isinstance(a, Size) or isinstance(b, Size) else (a > b) - (a < b)
    except Undecided:
        _learn(e, s, Size.of(a), relation, Size.of(b), x)
        return
    if not {"==": sign == 0, "<": sign < 0, "<=": sign <= 0}[relation]:
        raise _failed(x, name, at, f": {a} and {b}")


def _failed(x: ast.Expr, name: str, at: Span, values: str) -> Problem:
    return Problem("Z0330", f"{name} requires {x.span.text}{values}", at, (x.span, "stated here"))


def _learn(e: Elaborator, s: Scope, a: Size, relation: str, b: Size, x: ast.Expr) -> None:
    """A guard, and what follows from it for later proofs: a divisor, or the equality of two symbols."""
    e.guard(a, relation, b, x.span, x.span.text)
    if relation != "==":
        return
    symbol = next((n for n in a.symbols if a == Size.of(n)), None)
    if symbol is not None and symbol not in b.symbols:
        _retype(s, symbol, b)
    difference = a - b
    for monomial, factor in difference.terms:
        for atom in monomial:  # S % d == 0 is S - d * floor(S / d) == 0
            if isinstance(atom, Applied) and atom.function == "floor" and len(monomial) == 1:
                inner = atom.args[0]
                if difference == (inner - Size.of(atom)) * -factor and len(inner.terms) == 1:
                    (symbols, ratio) = inner.terms[0]
                    if len(symbols) == 1:
                        s.facts[symbols[0]] = int(1 / ratio)


def _retype(s: Scope, symbol: str, size: Size) -> None:
    """From here on the symbol is that size: tensors in scope are re-typed by a slice that takes all of the axis."""
    for name, value in list(s.vars.items()):
        if isinstance(value, Tensor):
            node = value.node
            for label, old in value.type.axes:
                new = old.substitute({symbol: size})
                if new != old:
                    node = apply("slice", node, label=label, start=Size.of(0), size=new)
            s.vars[name] = Tensor(node, value.order)
    s.sizes = {name: n.substitute({symbol: size}) for name, n in s.sizes.items()}
