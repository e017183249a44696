"""The derivative of a scan is a scan in the other direction.

    forward    c_t, e_t = body(c_{t-1}, x_t, w)
    backward   dc_{t-1}, dx_t, dw_t = vjp of body at (c_{t-1}, x_t, w) from (dc_t, de_t);  dw += dw_t

The forward scan offers the carries on entry, so the backward body recomputes one step from them. Gradients of captured
values are carried as sums; the pass that sinks them out of the loop makes one product over the axis of each.
Source: the adjoint of a recurrence; Werbos, Backpropagation through time, 1990.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.node import Node, apply, make, rebuild
from zhdsl.ops.loop import Scan, project

Gradients = Callable[[Sequence[Node], Sequence[Node | None], Sequence[Node]], tuple[Node | None, ...]]


def scan_vjp(node: Node, cotangents: Mapping[int, Node], gradients: Gradients) -> tuple[Node | None, ...]:
    """Cotangents of a scan's operands, from those of its results by index."""
    scan = node.op
    assert isinstance(scan, Scan)
    body, nc = scan.body, scan.body.carries
    stacked = [*body.emits, *body.slots[:nc]]
    seen = [i for i in range(len(stacked)) if i in cotangents and stacked[i].type.is_float]
    carried = [i for i in range(nc) if body.slots[i].type.is_float]
    captured = [i for i in range(nc + body.slices, len(body.slots)) if body.slots[i].type.is_float]
    sliced = [i for i in range(nc, nc + body.slices) if body.slots[i].type.is_float]

    types = [body.slots[i].type for i in (*carried, *captured)]
    types += [s.type for s in (*body.slots[nc : nc + body.slices], *body.slots[:nc])]
    types += [stacked[i].type for i in seen] + [s.type for s in body.slots[nc + body.slices :]]
    cut = _cuts(scan)
    if cut is not None:
        types.insert(len(carried) + len(captured), cut.type.without([scan.label]))
    slots = list(new_slots(types))
    d_carry, total = slots[: len(carried)], slots[len(carried) : len(carried) + len(captured)]
    rest = slots[len(carried) + len(captured) :]
    here = rest.pop(0) if cut is not None else None
    xs, rest = rest[: body.slices], rest[body.slices :]
    entry, rest = rest[:nc], rest[nc:]
    d_stacked, caps = rest[: len(seen)], rest[len(seen) :]

    given = dict(zip(body.slots, [*entry, *xs, *caps], strict=True))
    outputs = rebuild((*body.next, *stacked), lambda n, operands: None, given)
    after = [outputs[i] for i in carried] + [outputs[nc + i] for i in seen]
    wrt = [given[body.slots[i]] for i in (*carried, *captured, *sliced)]
    found = gradients(after, [*d_carry, *d_stacked], wrt)
    grads = [g if g is not None else _zeros(w) for g, w in zip(found, wrt, strict=True)]
    d_before = [_cut(g, here) for g in grads[: len(carried)]]
    sums = [t + g for t, g in zip(total, grads[len(carried) : len(carried) + len(captured)], strict=True)]
    emits = grads[len(carried) + len(captured) :]

    slices = ([] if cut is None else [cut]) + list(node.operands[nc : nc + body.slices])
    slices += [project(node, scan.entry(i)) for i in range(nc)] + [cotangents[i] for i in seen]
    finals = [cotangents.get(scan.final(i)) for i in carried]
    inits = [g if g is not None else _zeros(body.slots[i]) for g, i in zip(finals, carried, strict=True)]
    inits += [_zeros(t) for t in total]
    back = make(
        Scan(
            scan.label,
            scan.size,
            not scan.reverse,
            0,
            Body(len(inits), len(slices), tuple(slots), (*d_before, *sums), tuple(emits)),
        ),
        *inits,
        *slices,
        *node.operands[nc + body.slices :],
    )
    result: list[Node | None] = [None] * len(body.slots)
    assert isinstance(back.op, Scan)
    for k, i in enumerate((*carried, *captured)):
        result[i] = project(back, back.op.final(k))
    for k, i in enumerate(sliced):
        result[i] = project(back, k)
    return tuple(result)


def _cuts(scan: Scan) -> Node | None:
    """For truncated scans, whether the gradient stops before step t: bool over the axis."""
    if not scan.truncate:
        return None
    t = apply("iota", label=scan.label, size=scan.size)
    k = apply("const", value=scan.truncate, dtype="i32")
    return apply("eq", apply("mod", t, k), apply("const", value=0, dtype="i32"))


def _cut(g: Node, here: Node | None) -> Node:
    if here is None:
        return g
    return apply("where", here, apply("const", value=0.0, dtype=g.type.dtype), g)


def _zeros(like: Node) -> Node:
    zero = apply("const", value=0.0, dtype=like.type.dtype)
    return apply("expand", zero, axes=like.type.axes) if like.type.axes else zero
