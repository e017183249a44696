"""Reductions, and contractions without columns: loops over what is kept, and within them over what is reduced.

Where the innermost run of memory is reduced, functions of `zh.h` add it up in lanes; where it is kept, a row of results
is added to at once. Long sums run in two levels either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zhdsl.backends.native.ctext import C_TYPES, literal
from zhdsl.backends.native.frame import Axis, Frame
from zhdsl.backends.native.nest import at
from zhdsl.ir.sizes import Size
from zhdsl.ops.contract import Contract
from zhdsl.ops.families import Reduce
from zhdsl.schedule.program import Step
from zhdsl.schedule.views import ONE, ZERO, View, sample

FEW = 16  # reduced elements up to which they are combined in one expression
ROW = 256  # results that a row of accumulators on the stack can have


@dataclass(frozen=True)
class Plan:
    """The loops of a reduction: over results (of `views`: inputs, then the output) and over what is reduced."""

    views: tuple[View, ...]
    kept: list[Axis]
    reduced: list[Axis]


def print_reduction(frame: Frame, step: Step) -> None:
    """Print the loops of a sum, a max, an argmax or a sum of products."""
    op = step.op
    assert isinstance(op, Reduce | Contract)
    if isinstance(op, Reduce) and op.gives == "index":
        _print_argmax(frame, step)
        return
    views = (*step.inputs, step.output)
    kept = frame.axes(step.output.labels, views)
    order = sorted(op.labels, key=lambda n: -abs(sample(step.inputs[0].strides.get(n, ZERO))))
    reduced = frame.axes(order, views)
    plan = Plan(views, kept, reduced)
    frame.add("{")
    names = frame.pointers(views, [len(views) - 1])
    along = _unit(kept[-1]) if kept else False
    if reduced and _unit(reduced[-1]) and not (along and _short(reduced)):
        _print_runs(frame, step, plan, names)
    elif kept and _static(reduced) is not None:
        _print_few(frame, step, plan, names)
    elif kept:
        _print_rows(frame, step, plan, names)
    else:
        _print_runs(frame, step, plan, names)
    frame.add("}")


def _of_inputs(axes: Sequence[Axis]) -> list[Axis]:
    """The loops, of the inputs alone."""
    return [Axis(a.labels, a.size, a.strides[:-1]) for a in axes]


def _unit(axis: Axis) -> bool:
    """Whether an input runs along it without gaps."""
    return any(s == 1 for s in axis.strides[:-1]) and all(s in (ZERO, ONE) for s in axis.strides[:-1])


def _short(reduced: Sequence[Axis]) -> bool:
    size = reduced[-1].size.number
    return size is not None and size < FEW


def _static(reduced: Sequence[Axis]) -> int | None:
    """How many elements are reduced, if they are few."""
    total = 1
    for axis in reduced:
        size = axis.size.number
        if size is None or total * size > FEW:
            return None
        total *= size
    return total


def _combined(step: Step, acc: str, value: str, dtype: str) -> str:
    if step.op.name == "max":
        return f"zh_max_{dtype}({acc}, {value})"
    return f"{acc} + {value}"


def _value(frame: Frame, step: Step, elements: Sequence[str]) -> str:
    return " * ".join(elements) if isinstance(step.op, Contract) else elements[0]


def _identity(step: Step, dtype: str) -> str:
    if step.op.name == "max":
        return literal(-(2**31), dtype) if dtype == "i32" else literal(float("-inf"), dtype)
    return literal(0, dtype)


def _print_runs(frame: Frame, step: Step, plan: Plan, names: list[str]) -> None:
    """The innermost run is reduced: `zh_sum`, `zh_dot` and `zh_top` do it."""
    dtype = frame.dtype(step.output.buffer)
    frame.open_loops(plan.kept, names)
    inner = plan.reduced[-1] if plan.reduced else Axis((), ONE, tuple(ZERO for _ in plan.views))
    outer = _of_inputs(plan.reduced[:-1])
    acc = frame.fresh("s")
    frame.add(f"{C_TYPES[dtype]} {acc} = {_identity(step, dtype)};")
    frame.open_loops(outer, names[:-1])
    function = {"sum": "sum", "contract": "dot", "max": "top"}[step.op.name]
    args = ", ".join(f"{n}, {frame.text(s)}" for n, s in zip(names[:-1], inner.strides[:-1], strict=True))
    run = f"zh_{function}_{dtype}({args}, {frame.text(inner.size)})"
    frame.add(f"{acc} = {_combined(step, acc, run, dtype)};")
    frame.close_loops(outer, names[:-1])
    frame.add(f"*{names[-1]} = {acc};")
    frame.close_loops(plan.kept, names)


def _print_few(frame: Frame, step: Step, plan: Plan, names: list[str]) -> None:
    """A handful of elements, kept ones innermost: one expression for all of them."""
    dtype = frame.dtype(step.output.buffer)
    inner = _vector_axis(plan)
    outer = [x for x in plan.kept if x is not inner]
    frame.open_loops(outer, names)
    acc = frame.fresh("s")
    lines = []
    for n, offsets in enumerate(_offsets(plan.reduced, len(plan.views) - 1)):
        elements = [
            _shifted(name, frame.text(offset), frame.text(stride))
            for name, offset, stride in zip(names, offsets, inner.strides, strict=False)
        ]
        value = _value(frame, step, elements)
        lines.append(
            f"{C_TYPES[dtype]} {acc} = {value};" if n == 0 else f"{acc} = {_combined(step, acc, value, dtype)};"
        )
    lines.append(f"{at(names[-1], frame.text(inner.strides[-1]))} = {acc};")
    frame.add("#pragma omp simd", f"for (long i = 0; i < {frame.text(inner.size)}; i++) {{", *lines, "}")
    frame.close_loops(outer, names)


def _vector_axis(plan: Plan) -> Axis:
    """The loop that vectors run along: where the first operand lies as a run, if that is long."""
    for axis in plan.kept[:-1]:
        if axis.strides[0] == 1 and sample(axis.size) >= FEW:
            return axis
    return plan.kept[-1]


def _offsets(reduced: Sequence[Axis], count: int) -> list[tuple[Size, ...]]:
    """How far every reduced element is from the first, in each input, in order."""
    found: list[tuple[Size, ...]] = [(ZERO,) * count]
    for axis in reduced:
        found = [
            tuple(o + axis.strides[k] * i for k, o in enumerate(offset))
            for offset in found
            for i in range(axis.size.number or 0)
        ]
    return found


def _shifted(name: str, offset: str, stride: str) -> str:
    index = {"0": "", "1": "i"}.get(stride, f"i * {stride}")
    return f"{name}[{' + '.join(t for t in (offset if offset != '0' else '', index) if t) or '0'}]"


def _print_rows(frame: Frame, step: Step, plan: Plan, names: list[str]) -> None:
    """The innermost run is kept: rows are added up in a row of accumulators, or in the result itself."""
    dtype = frame.dtype(step.output.buffer)
    outer, inner = plan.kept[:-1], plan.kept[-1]
    size = inner.size.number
    frame.open_loops(outer, names)
    frame.add("{")
    row, target = frame.fresh("a"), names[-1]
    stride = frame.text(inner.strides[-1])
    extent = frame.text(inner.size)
    local = size is not None and size <= ROW
    if local:
        frame.add(f"{C_TYPES[dtype]} {row}[{size}];")
    place = f"{row}[i]" if local else at(target, stride)
    frame.add(f"for (long i = 0; i < {extent}; i++) {place} = {_identity(step, dtype)};")
    reduced = _of_inputs(plan.reduced)
    frame.open_loops(reduced, names[:-1])
    elements = [at(n, frame.text(s)) for n, s in zip(names[:-1], inner.strides[:-1], strict=True)]
    value = _combined(step, place, _value(frame, step, elements), dtype)
    frame.add("#pragma omp simd", f"for (long i = 0; i < {extent}; i++) {place} = {value};")
    frame.close_loops(reduced, names[:-1])
    if local:
        frame.add(f"for (long i = 0; i < {extent}; i++) {at(target, stride)} = {row}[i];")
    frame.add("}")
    frame.close_loops(outer, names)


def _print_argmax(frame: Frame, step: Step) -> None:
    """The first largest element in the order of the listed labels; a nan is the largest."""
    op = step.op
    assert isinstance(op, Reduce)
    (x,) = step.inputs
    views = (x, step.output)
    kept, reduced = frame.axes(step.output.labels, views), _of_inputs(frame.axes(op.labels, views))
    dtype = C_TYPES[frame.dtype(x.buffer)]
    frame.add("{")
    names = frame.pointers(views, [1])
    frame.open_loops(kept, names)
    best, place, count = frame.fresh("s"), frame.fresh("n"), frame.fresh("n")
    frame.add(f"{dtype} {best} = 0; int32_t {place} = 0, {count} = 0;")
    frame.open_loops(reduced, names[:1])
    better = f"{count} == 0 || *{names[0]} > {best} || (*{names[0]} != *{names[0]} && {best} == {best})"
    frame.add(f"if ({better}) {{ {best} = *{names[0]}; {place} = {count}; }} {count}++;")
    frame.close_loops(reduced, names[:1])
    frame.add(f"*{names[1]} = {place};")
    frame.close_loops(kept, names)
    frame.add("}")
