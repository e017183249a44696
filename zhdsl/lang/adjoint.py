"""`fn … { } grad (dy) { }`: a definition's own derivative, attached to its value.

The adjoint's body sees the parameters, the statics and the named results; it returns one value per float parameter,
in order. It becomes the body of an `override` node, itself differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.node import Node, apply, make
from zhdsl.lang import ast
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.problem import Problem, counted
from zhdsl.lang.scope import Scope
from zhdsl.lang.tensors import as_tensor
from zhdsl.lang.values import Many, Tensor
from zhdsl.ops.loop import Override
from zhdsl.source import Span


def with_adjoint(e: Elaborator, inner: Scope, d: ast.Definition, body: Callable[[], Any], at: Span) -> Any:
    """The value of `body` with the definition's derivative in place of the symbolic one."""
    assert d.adjoint is not None
    before = inner.child()
    result = body()
    if result is None:
        return None
    values = list(result.values) if isinstance(result, Many) else [result]
    tensors = [as_tensor(v, inner.float, at) for v in values]
    given = [(p.name, before.vars[p.name]) for p in d.params]
    floats = [(n, t) for n, t in given if isinstance(t, Tensor) and t.type.is_float]
    if len(d.adjoint.params) != len(tensors):
        raise Problem(
            "Z0413",
            f"{d.name} has {counted(len(tensors), 'result')}, its `grad` takes {len(d.adjoint.params)}",
            d.adjoint.span,
            help="one cotangent per result, in order",
        )
    out = [_overridden(e, before, d, given, floats, tensors, k) for k in range(len(tensors))]
    return out[0] if len(out) == 1 else Many(tuple(out), tuple(r.name for r in d.results))


def _overridden(
    e: Elaborator,
    before: Scope,
    d: ast.Definition,
    given: list[tuple[str, Tensor]],
    floats: list[tuple[str, Tensor]],
    results: list[Tensor],
    k: int,
) -> Tensor:
    """Result k with its part of the adjoint: the cotangents of the others are zero, the adjoint is linear in them."""
    assert d.adjoint is not None
    y = results[k]
    slots = new_slots([*(t.type for _, t in given), *(r.type for r in results), y.type])
    inside = before.child()
    for (name, t), slot in zip(given, slots, strict=False):
        inside.vars[name] = Tensor(slot, t.order)
    for r, t, slot in zip(d.results, results, slots[len(given) :], strict=False):
        if r.name:
            inside.vars[r.name] = Tensor(slot, t.order)
    for i, p in enumerate(d.adjoint.params):
        inside.vars[p.name] = Tensor(slots[-1], y.order) if i == k else _zero_of(results[i])
    grads = _run(e, inside, d)
    if len(grads) != len(floats):
        has = counted(len(floats), "float parameter")
        raise Problem(
            "Z0413",
            f"the `grad` of {d.name} returns {counted(len(grads), 'value')}, it has {has}",
            d.adjoint.span,
            help="one gradient per float parameter, in order",
        )
    found = iter(_fitted(g, t, n, d) for g, (n, t) in zip(grads, floats, strict=True))
    emits = [next(found) if t.type.is_float else _zero_node(t) for _, t in given]
    emits += [_zero_node(r) for r in results]
    # operands: y, the parameters, all results; slots: parameters, results, then y again and dy
    order = (*slots[:-1], apply("slot", key=slots[0].op.key, index=len(slots), type=y.type), slots[-1])  # type: ignore[attr-defined]  # slots have a key
    op = Override(d.name, Body(0, 0, order, (), tuple(emits)))
    node = make(op, y.node, *(t.node for _, t in given), *(apply("stop", r.node) for r in results))
    return Tensor(node, y.order)


def _run(e: Elaborator, inside: Scope, d: ast.Definition) -> list[Tensor]:
    from zhdsl.lang.statements import run_body

    assert d.adjoint is not None
    inside.done, inside.returned = False, None
    value = run_body(e, inside, d.adjoint.body)
    if value is None:
        raise Problem("Z0607", f"the `grad` of {d.name} returns nothing", d.adjoint.span)
    parts = value.values if isinstance(value, Many) else (value,)
    return [as_tensor(v, inside.float, d.adjoint.span) for v in parts]


def _fitted(g: Tensor, t: Tensor, name: str, d: ast.Definition) -> Node:
    """The gradient with exactly the parameter's axes."""
    assert d.adjoint is not None
    wrong = any(label in t.type.sizes and g.type.sizes[label] != t.type.sizes[label] for label in g.order)
    if wrong or not set(g.order) <= set(t.order):
        raise Problem("Z0413", f"the gradient of {name} of {d.name} is {g.type}, {name} is {t.type}", d.adjoint.span)
    missing = tuple(a for a in t.type.axes if a[0] not in g.type.sizes)
    return apply("expand", g.node, axes=missing) if missing else g.node


def _zero_node(t: Tensor) -> Node:
    zero = apply("const", value=0, dtype=t.type.dtype)
    return apply("expand", zero, axes=t.type.axes) if t.type.axes else zero


def _zero_of(t: Tensor) -> Tensor:
    return Tensor(_zero_node(t), t.order)
