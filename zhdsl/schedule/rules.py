"""Rules: where the value of a node is, one rule per family or op. Most movement is a view; the rest writes a step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from zhdsl.errors import CompilerError
from zhdsl.ir.node import Node
from zhdsl.ir.op import Op
from zhdsl.ir.sizes import Size
from zhdsl.ops import movement
from zhdsl.ops.contract import Contract
from zhdsl.ops.elementwise import Cast, Stop
from zhdsl.ops.families import Elementwise, Index, Random, Reduce, Source
from zhdsl.ops.loop import TUPLE, Override, Project, Scan
from zhdsl.ops.window import Fold, Window
from zhdsl.schedule import direct, loops, products, windows
from zhdsl.schedule.tape import Tape
from zhdsl.schedule.views import (
    View,
    arranged,
    drop,
    expand,
    flip,
    merge,
    merged_stride,
    narrow,
    relabel,
    split,
    without,
)


def place_all(tape: Tape, nodes: Sequence[Node]) -> None:
    """Find a place for the value of every node, operands first; nodes that have one are left alone.

    A window that only windows look at gets none: they look at what is behind it.
    """
    for node in nodes:
        if node not in tape.values and tape.uses[node] > tape.looked_through[node]:
            if node.type.dtype == TUPLE:
                loops.place_scan(tape, node, place_all)
            else:
                tape.values[node] = place(node.op, node, tape)


@singledispatch
def place(op: Op, node: Node, tape: Tape) -> View:
    """The place of the node's value; its operands have theirs."""
    raise CompilerError(f"schedule: no rule for {op.name} of family {op.family}")


@place.register
def _(op: Source, node: Node, tape: Tape) -> View:
    if op.name not in ("const", "iota"):
        raise CompilerError(f"schedule: {op.name} {node!r} is not among the graph's inputs")
    return tape.step(op, (), node.type.dtype, node.type.axes, node)


@place.register
def _(op: Elementwise, node: Node, tape: Tape) -> View:
    views = [tape.values[x] for x in node.operands]
    if isinstance(op, Stop) or (isinstance(op, Cast) and op.dtype == node.operands[0].type.dtype):
        return views[0]
    inputs = [without(v, set(v.labels) - set(v.varying)) for v in views]
    order = longest([v.labels for v in inputs], tape.layout.wishes.get(node))
    inputs = direct.in_rows(tape, inputs, order) if tape.direct else inputs
    out = tape.step(op, inputs, node.type.dtype, [(n, node.type.sizes[n]) for n in order], node)
    return repeated(out, node)


def longest(orders: Sequence[tuple[str, ...]], wish: tuple[str, ...] | None) -> tuple[str, ...]:
    """The longest order (of several the one wished for), and behind it what it lacks of the others."""
    most = max(map(len, orders), default=0)
    candidates = [o for o in orders if len(o) == most]
    leader = next((o for o in candidates if o == wish), candidates[0] if candidates else ())
    return tuple(dict.fromkeys((*leader, *(n for o in orders for n in o))))


def repeated(view: View, node: Node) -> View:
    """The view with what it lacks of the node's labels, repeated."""
    return expand(view, (axis for axis in node.type.axes if axis[0] not in view.sizes))


@place.register
def _(op: Reduce, node: Node, tape: Tape) -> View:
    view = tape.values[node.operands[0]]
    kept = [n for n in view.labels if n not in op.labels and n in view.varying]
    axes = arranged(without(view, set(view.labels) - set(kept)), kept).axes
    if not op.labels:
        return view if op.gives == "same" else _zeros(tape, view, node)
    view = without(view, {n for n in view.labels if n not in kept and n not in op.labels})
    if op.gives == "index" and merged_stride(view, op.labels) is None:
        view = tape.copy(view, (*kept, *op.labels))
    return repeated(tape.step(op, (view,), node.type.dtype, axes, node), node)


def _zeros(tape: Tape, like: View, node: Node) -> View:
    depth = tape.depth_of([like])
    out = tape.buffer(node.type.dtype, like.axes, depth)
    tape.fill(0.0, out, depth)
    return out


@place.register
def _(op: Contract, node: Node, tape: Tape) -> View:
    a, b = (tape.values[x] for x in node.operands)
    place_contraction = direct.place_contraction if tape.direct else products.place_product
    return repeated(place_contraction(tape, node, a, b), node)


@place.register(Index)
@place.register(Random)
def _(op: Index | Random, node: Node, tape: Tape) -> View:
    order = tape.layout.order(node)
    axes = [(n, node.type.sizes[n]) for n in order]
    return tape.step(op, [tape.values[x] for x in node.operands], node.type.dtype, axes, node)


# ---------------------------------------------------------------- movement
@place.register
def _(op: movement.Relabel, node: Node, tape: Tape) -> View:
    return relabel(tape.values[node.operands[0]], dict(op.names))


@place.register
def _(op: movement.Expand, node: Node, tape: Tape) -> View:
    return expand(tape.values[node.operands[0]], op.axes)


@place.register
def _(op: movement.Drop, node: Node, tape: Tape) -> View:
    return drop(tape.values[node.operands[0]], op.label)


@place.register
def _(op: movement.Slice, node: Node, tape: Tape) -> View:
    return narrow(tape.values[node.operands[0]], op.label, op.start, op.size)


@place.register
def _(op: movement.Flip, node: Node, tape: Tape) -> View:
    return flip(tape.values[node.operands[0]], op.label)


@place.register
def _(op: movement.Split, node: Node, tape: Tape) -> View:
    return split(tape.values[node.operands[0]], op.label, op.parts)


@place.register
def _(op: movement.Merge, node: Node, tape: Tape) -> View:
    view = tape.values[node.operands[0]]
    merged = merge(view, op.labels, op.label)
    if merged is None:
        at = min(view.labels.index(n) for n in op.labels)
        before = [n for n in view.labels[:at] if n not in op.labels]
        after = [n for n in view.labels[at:] if n not in op.labels]
        merged = merge(tape.copy(view, (*before, *op.labels, *after)), op.labels, op.label)
    assert merged is not None
    return merged


@place.register
def _(op: movement.Concat, node: Node, tape: Tape) -> View:
    views = [tape.values[x] for x in node.operands]
    if len(views) == 1:
        return views[0]
    depth = tape.depth_of(views)
    axes = [(n, node.type.sizes[n]) for n in tape.layout.order(node)]
    out = tape.buffer(node.type.dtype, axes, depth)
    tape.parts.add(out.buffer)
    start = Size.of(0)
    for view in views:
        size = view.sizes[op.label]
        tape.move(view, narrow(out, op.label, start, size), depth)
        start = start + size
    return out


@place.register
def _(op: movement.Pad, node: Node, tape: Tape) -> View:
    view = tape.values[node.operands[0]]
    return windows.padded(tape, view, {op.label: (op.low, op.high)}, op.fill, node)


@place.register
def _(op: Window, node: Node, tape: Tape) -> View:
    return windows.place_window(tape, node)


@place.register
def _(op: Fold, node: Node, tape: Tape) -> View:
    return windows.place_fold(tape, node, op)


@place.register
def _(op: Override, node: Node, tape: Tape) -> View:
    return tape.values[node.operands[0]]


@place.register
def _(op: Scan, node: Node, tape: Tape) -> View:
    raise CompilerError("schedule: a loop has no place of its own, its results have")


@place.register
def _(op: Project, node: Node, tape: Tape) -> View:
    return tape.results[node.operands[0], op.index]
