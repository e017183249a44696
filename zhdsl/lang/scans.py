"""`scan t over T from h = … { … emit y, last h }`: the body is elaborated once and closed into a loop.

What the body needs from outside is captured: values that depend on none of its slots are computed before the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.node import NOWHERE, Node, apply, make, rebuild, topological
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang import ast, tensors
from zhdsl.lang.axes import at_least_0
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import evaluate, lookup, size, whole
from zhdsl.lang.problem import Problem, listing, named
from zhdsl.lang.scope import Frame, Scope
from zhdsl.lang.values import Many, ScanIndex, Tensor, is_number
from zhdsl.lang.weights import require_free
from zhdsl.ops.loop import Scan, project
from zhdsl.source import Span

RunBody = Callable[[Elaborator, Scope, Sequence[ast.Stmt]], Any]


def run_scan(e: Elaborator, s: Scope, x: ast.Scan, run_body: RunBody) -> Any:
    """The emitted values, and the final carries that are asked for."""
    for word in (x.var, *(c.name for c in x.carries)):
        require_free(s, word)
    label = s.introduce(x.axis.id)
    frame = Frame(label)
    frame.size = _length(e, s, x)
    inner = s.child()
    inner.frame, inner.kind, inner.done, inner.returned = frame, "scan", False, None
    inner.vars[x.var.id] = ScanIndex(frame)
    before = [(c.name.id, _initial(e, s, c, label)) for c in x.carries]
    slots = new_slots([t.type for _, t in before])
    key = slots[0].op.key if slots else new_slots([Type("i32")])[0].op.key  # type: ignore[attr-defined]  # slots have one
    frame.key, frame.index = key, len(before)
    for (name, t), slot in zip(before, slots, strict=True):
        frame.carries[name] = Tensor(slot, t.order)
        e.builder.note(slot, NOWHERE, name)
        inner.vars[name] = frame.carries[name]
    counters = e.counters
    e.counters = (*counters, _index_slot(frame))
    try:
        run_body(e, inner, x.body)
    finally:
        e.counters = counters
    if not frame.emitted:
        raise Problem(
            "Z0610", "the body of a scan emits something", x.span, help="end it with `emit y` or `emit last h`"
        )
    return _close(e, s, x, frame, inner, before)


def _length(e: Elaborator, s: Scope, x: ast.Scan) -> Size | None:
    if x.length is None:
        return None
    return at_least_0(size(e, s, x.length, "the length of a scan"), x.axis.id, x.length.span)


def _initial(e: Elaborator, s: Scope, c: ast.Bind, axis: str) -> Tensor:
    value = evaluate(e, s, c.value)
    dtype = "i32" if isinstance(value, int) and not isinstance(value, bool) else s.float
    t = tensors.as_tensor(value, dtype, c.value.span)
    if axis in t.type.sizes:
        name = s.shown(axis)
        help_ = f"start from one step of it: `{named(c.value.span)}[{name}=0]`"
        raise Problem("Z0311", f"{c.name.id} has the axis {name} of the scan already", c.value.span, help=help_)
    return t


def _index_slot(frame: Frame) -> Node:
    """The number of the step, for draws in the body; the slice of an `iota` made when the scan is closed."""
    frame.index += 1
    return apply("slot", key=frame.key, index=frame.index, type=Type("i32"))


def slice_now(s: Scope, t: Tensor, x: ast.Index, index: ScanIndex) -> Tensor:
    """`x[t]`: the current slice."""
    frame: Frame = index.frame
    if frame.label not in t.type.sizes:
        axes = listing(map(s.shown, t.order))
        raise Problem(
            "Z0609",
            f"{s.show(t)} has no axis {s.shown(frame.label)} to take a slice of",
            x.span,
            help=f"scan over one of its axes: {axes}" if axes else "",
        )
    if t.node not in frame.slices:
        n = t.type.sizes[frame.label]
        if frame.size is None:
            frame.size = n
        elif frame.size != n:
            raise _other_length(s, frame, t, n, x.span)
        frame.index += 1
        slot = apply("slot", key=frame.key, index=frame.index, type=t.type.without([frame.label]))
        frame.slices[t.node] = (t, Tensor(slot, tuple(n for n in t.order if n != frame.label)))
    found = frame.slices[t.node][1]
    return Tensor(found.node, tuple(n for n in t.order if n != frame.label))


def _other_length(s: Scope, frame: Frame, t: Tensor, n: Size, span: Span) -> Problem:
    """The problem of a slice along another number of steps."""
    said = f"the scan has {frame.size} steps, {s.show(t)} has {n}"
    if n.number is not None and frame.size is not None and frame.size.number is not None:
        return Problem("Z0312", f"axes do not agree: {said}", span)
    help_ = f"if they are always equal, say so: `require {frame.size} == {n}`"
    return Problem("Z0313", f"sizes are not provably equal: {said}", span, help=help_)


def run_emit(e: Elaborator, s: Scope, frame: Frame, x: ast.Emit) -> None:
    """Note what a step gives out; `last h` is the carry's value after the last step."""
    for item in x.items:
        if item.last:
            if not isinstance(item.value, ast.Name) or item.value.id not in frame.carries:
                raise Problem(
                    "Z0611",
                    f"`last` takes a carried name, {' '.join(item.value.span.text.split())} is none",
                    item.span,
                    help="carry it: `from h = …`",
                )
            frame.emitted.append((True, item.value.id, None))
        else:
            value = evaluate(e, s, item.value)
            dtype = "i32" if is_number(value) and not isinstance(value, float) else s.float
            name = item.value.id if isinstance(item.value, ast.Name) else ""
            t = tensors.as_tensor(value, dtype, item.span)
            if frame.label in t.type.sizes:
                help_ = f"emit the current slice: `{named(item.span)}[t]`"
                raise Problem("Z0311", f"{s.show(t)} has the axis of the scan already", item.span, help=help_)
            frame.emitted.append((False, name, t))


def _close(e: Elaborator, s: Scope, x: ast.Scan, frame: Frame, inner: Scope, before: list[tuple[str, Tensor]]) -> Any:
    """Close the body and make the node; project what was emitted."""
    steps = frame.size or _known_length(e, s, x)
    inits, slots, after = [], [], []
    for c, (name, t) in zip(x.carries, before, strict=True):
        inits.append(t.node)
        slots.append(frame.carries[name].node)
        after.append(_carried(s, inner.vars.get(name), frame.carries[name], c))
    for path, (slot, outside) in frame.hidden.items():
        inits.append(outside.node)
        slots.append(slot.node)
        after.append(e.current[path].node)
    carries = len(slots)
    whole_ones = [w.node for w, _ in frame.slices.values()]
    slots += [t.node for _, t in frame.slices.values()]
    emits = [v.node for last, _, v in frame.emitted if not last]
    index = apply("slot", key=frame.key, index=len(x.carries) + 1, type=Type("i32"))
    nodes = topological((*after, *emits))
    e.spend(x.span, len(nodes) // 2)
    if index in nodes:
        whole_ones.append(apply("iota", label=frame.label, size=steps))
        slots.append(index)
    slices = len(slots) - carries
    outputs, captured, outside_nodes = _capture((*after, *emits), slots, frame.key)
    body = Body(carries, slices, (*slots, *captured), outputs[:carries], outputs[carries:])
    truncate = whole(e, s, x.truncate, "the length of truncation") if x.truncate is not None else 0
    if truncate < 0:
        raise Problem("Z0324", f"`truncate` is at least 0, not {truncate}", x.truncate.span if x.truncate else x.span)
    with e.at(x.span):
        node = make(Scan(frame.label, steps, x.reverse, truncate, body), *inits, *whole_ones, *outside_nodes)
        for i, (path, (_, outside)) in enumerate(frame.hidden.items(), len(x.carries)):
            e.current[path] = Tensor(project(node, _final(body, i)), outside.order)
        return _results(x, frame, node, body, before, _place(frame))


def _known_length(e: Elaborator, s: Scope, x: ast.Scan) -> Size:
    found = s.size(x.axis.id)
    value = found if found is not None else lookup(e, s, x.axis.id)
    if isinstance(value, int | Size) and not isinstance(value, bool):
        return Size.of(value)
    raise Problem(
        "Z0612",
        f"how long is the scan over {x.axis.id}?",
        x.axis.span,
        help=f"slice a tensor with that axis, or write `over {x.axis.id} = n`",
    )


def _carried(s: Scope, value: Any, slot: Tensor, c: ast.Bind) -> Node:
    """A carry's value after the step, of the type it has before."""
    t = tensors.as_tensor(value, slot.type.dtype, c.span)
    surplus = [n for n in t.order if n not in slot.type.sizes]
    if surplus or t.type.dtype != slot.type.dtype or any(t.type.sizes[n] != slot.type.sizes[n] for n in t.order):
        raise Problem(
            "Z0606",
            f"the carry {c.name.id} starts as {s.show(slot)} and becomes {s.show(t)}",
            c.span,
            help=f"start from the full type, e.g. `{c.name.id} = zeros{s.show(t)}`",
        )
    return tensors.expanded(t, slot.type.axes, slot.order).node


def _capture(
    outputs: Sequence[Node], slots: Sequence[Node], key: int
) -> tuple[tuple[Node, ...], list[Node], list[Node]]:
    """Replace what depends on no slot by slots of its own; constants are copied into the body."""
    inside: set[Node] = set(slots)
    frontier: dict[Node, None] = {}
    for node in topological(outputs):
        if any(x in inside for x in node.operands):
            inside.add(node)
    for node in [n for n in topological(outputs) if n in inside]:
        frontier.update(dict.fromkeys(x for x in node.operands if x not in inside))
    frontier.update(dict.fromkeys(o for o in outputs if o not in inside))
    outside = [n for n in frontier if n.op.name not in ("const", "iota")]
    first = max((s.op.index for s in slots), default=0) + 1  # type: ignore[attr-defined]  # slots have one
    captured = [apply("slot", key=key, index=first + i, type=n.type) for i, n in enumerate(outside)]
    new = rebuild(outputs, lambda n, operands: None, dict(zip(outside, captured, strict=True)))
    return new, captured, outside


def _place(frame: Frame) -> int:
    """Where the stacked axis stands: as in the first tensor that the body slices, first if it slices none."""
    first = next(iter(frame.slices.values()), None)
    return first[0].order.index(frame.label) if first else 0


def _final(body: Body, i: int) -> int:
    return len(body.emits) + body.carries + i


def _results(x: ast.Scan, frame: Frame, node: Node, body: Body, before: list[tuple[str, Tensor]], place: int) -> Any:
    values, names, emitted = [], [], 0
    position = {name: i for i, (name, _) in enumerate(before)}
    for last, name, value in frame.emitted:
        names.append(name)
        if last:
            i = position[name]
            values.append(Tensor(project(node, _final(body, i)), before[i][1].order))
        else:
            order = list(value.order)
            order.insert(min(place, len(order)), frame.label)
            values.append(Tensor(project(node, emitted), tuple(order)))
            emitted += 1
    return values[0] if len(values) == 1 else Many(tuple(values), tuple(names))
