"""`require`: conditions on sizes. Decided ones hold or are errors; the others become guards and are then known."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from zhdsl.ir.node import apply
from zhdsl.ir.sizes import Applied, Size, Undecided
from zhdsl.lang import ast
from zhdsl.lang.arithmetic import compared
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import evaluate, lookup
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import Tensor, is_number, is_static, shown
from zhdsl.source import Span

MAX_TERMS = 4  # of a size that takes the place of a symbol: the symbol may occur with a power


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
            raise _failed(e, s, x, name, at)
        return
    a, b = evaluate(e, s, x.left), evaluate(e, s, x.right)
    if not (is_number(a) and is_number(b)):
        if not (x.op == "==" and is_static(a) and is_static(b) and type(a) is type(b) and a == b):
            raise _failed(e, s, x, name, at)
        return
    if x.op in (">", ">="):
        a, b = b, a
    relation = {">": "<", ">=": "<="}.get(x.op, x.op)
    try:
        sign = compared(a, b)
    except Undecided:
        _learn(e, s, Size.of(a), relation, Size.of(b), x)
        return
    if not {"==": sign == 0, "<": sign < 0, "<=": sign <= 0}[relation]:
        raise _failed(e, s, x, name, at)


def _failed(e: Elaborator, s: Scope, x: ast.Expr, name: str, at: Span) -> Problem:
    """The problem of a condition that is false, with the values of the names in it."""
    values: dict[str, str] = {}
    waiting: list[Any] = [x]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Name) and is_static(value := lookup(e, s, node.id)):
            values[node.id] = f"{node.id} = {shown(value)}"
        waiting += [v for v in (getattr(node, f.name) for f in fields(node)) if isinstance(v, ast.Syntax)]
    known = f" ({', '.join(values.values())})" if values else ""
    return Problem("Z0330", f"{name} requires {x.span.text}{known}", at, (x.span, "stated here"))


def _learn(e: Elaborator, s: Scope, a: Size, relation: str, b: Size, x: ast.Expr) -> None:
    """A guard, and what follows from it for later proofs: a divisor, or the equality of two symbols."""
    e.guard(a, relation, b, x.span, x.span.text)
    if relation != "==":
        return
    symbol = next((n for n in a.symbols if a == Size.of(n)), None)
    if symbol is not None and symbol not in b.symbols and len(b.terms) <= MAX_TERMS:
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
