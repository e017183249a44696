"""Steps with an address of their own for every element: folds, gathers, scatters, the k largest, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zhdsl.backends.native.ctext import C_TYPES
from zhdsl.backends.native.frame import Axis, Frame
from zhdsl.backends.native.nest import at
from zhdsl.ir.sizes import Size
from zhdsl.ops.index import Gather, Scatter, TopK
from zhdsl.ops.random import Uniform
from zhdsl.ops.window import Fold
from zhdsl.schedule.program import Step
from zhdsl.schedule.views import ONE, ZERO, View


def zeroed(frame: Frame, view: View) -> None:
    """Print loops that set what a view shows in this piece to zero."""
    axes = frame.axes(view.labels, [view])
    frame.add("{")
    (name,) = frame.pointers([view], [0])
    frame.open_loops(axes[:-1], [name])
    if axes:
        frame.add(
            f"for (long i = 0; i < {frame.text(axes[-1].size)}; i++) {at(name, frame.text(axes[-1].strides[0]))} = 0;"
        )
    else:
        frame.add(f"*{name} = 0;")
    frame.close_loops(axes[:-1], [name])
    frame.add("}")


def print_fold(frame: Frame, step: Step) -> None:
    """Zero, then every tap added where it belongs, taps in rising order; what falls outside is lost."""
    op, (x,), out = step.op, step.inputs, step.output
    assert isinstance(op, Fold)
    zeroed(frame, out)
    rest = [n for n in out.labels if n != op.label]
    frame.add("{")
    names = frame.pointers((x, out), [1])
    tap, first, end, offset = (frame.fresh(letter) for letter in "tfeo")
    stride, size = frame.text(op.stride), frame.text(op.size)
    frame.add(
        f"for (long {tap} = 0; {tap} < {frame.text(x.sizes[op.tap])}; {tap}++) {{",
        f"const long {offset} = {tap} * {frame.text(op.dilation)} - {frame.text(op.low)};",
        f"const long {first} = zh_most(0, -zh_floor_div({offset}, {stride}));",
        f"const long {end} = zh_least({frame.text(x.sizes[op.label])}, "
        f"zh_floor_div({size} - 1 - {offset}, {stride}) + 1);",
    )
    position = frame.fresh("p")
    source, target = frame.fresh("q"), frame.fresh("q")
    dtype = C_TYPES[frame.dtype(out.buffer)]
    frame.add(
        f"for (long {position} = {first}; {position} < {end}; {position}++) {{",
        f"const {dtype} *{source} = {names[0]} + {position} * {frame.text(x.strides[op.label])}"
        f" + {tap} * {frame.text(x.strides[op.tap])};",
        f"{dtype} *{target} = {names[1]} + ({position} * {stride} + {offset}) * {frame.text(out.strides[op.label])};",
    )
    axes = frame.axes(rest, (x, out))
    outer, inner = axes[:-1], axes[-1] if axes else Axis((), ONE, (ZERO, ZERO))
    frame.open_loops(outer, [source, target])
    read, write = at(source, frame.text(inner.strides[0])), at(target, frame.text(inner.strides[1]))
    frame.add("#pragma omp simd", f"for (long i = 0; i < {frame.text(inner.size)}; i++) {write} += {read};")
    frame.close_loops(outer, [source, target])
    frame.add("}", "}", "}")


# ---------------------------------------------------------------- indices
def _picked(frame: Frame, labels: Sequence[str], indexed: View, names: Sequence[str]) -> tuple[str, str]:
    """Where the indices point, from their values: a condition that all are in range, and the offset."""
    inside = []
    terms = []
    for label, name in zip(labels, names, strict=True):
        inside.append(f"(uint64_t)*{name} < (uint64_t){frame.text(indexed.sizes[label])}")
        terms.append(f"*{name} * {frame.text(indexed.strides[label])}")
    return " && ".join(inside), " + ".join(terms)


def _loops(frame: Frame, over: View, views: Sequence[View], taken: set[str]) -> tuple[list[Axis], list[Axis]]:
    """Loops over the labels that the indices have, and over the others, which are copied in rows."""
    outer = [n for n in over.labels if n in taken]
    return frame.axes(outer, views), frame.axes([n for n in over.labels if n not in taken], views)


def print_gather(frame: Frame, step: Step) -> None:
    """y = x at the indices; out of range reads 0."""
    op, (x, *indices), out = step.op, step.inputs, step.output
    assert isinstance(op, Gather)
    plain = View(x.buffer, x.offset, tuple(d for d in x.dims if d[0] not in op.labels))
    views = (plain, *indices, out)
    outer, rows = _loops(frame, out, views, {n for i in indices for n in i.labels})
    frame.add("{")
    names = frame.pointers(views, [len(views) - 1])
    frame.open_loops(outer, names)
    inside, offset = _picked(frame, op.labels, x, names[1:-1])
    row, target, found = frame.fresh("q"), frame.fresh("q"), frame.fresh("n")
    dtype = C_TYPES[frame.dtype(out.buffer)]
    frame.add(
        f"const int {found} = {inside};",
        f"const {dtype} *{row} = {names[0]} + ({found} ? {offset} : 0);",
        f"{dtype} *{target} = {names[-1]};",
    )
    _copied(frame, rows, row, target, lambda value: f"= {found} ? {value} : 0")
    frame.close_loops(outer, names)
    frame.add("}")


def print_scatter(frame: Frame, step: Step, into: View | None = None) -> None:
    """Zeros, and g added at the indices; out of range is written nowhere. `into`: add to what is there instead."""
    op, (g, *indices) = step.op, step.inputs
    out = step.output if into is None else into
    assert isinstance(op, Scatter)
    if into is None:
        zeroed(frame, out)
    plain = View(out.buffer, out.offset, tuple(d for d in out.dims if d[0] not in op.labels))
    views = (g, *indices, plain)
    outer, rows = _loops(frame, g, views, {n for i in indices for n in i.labels})
    frame.add("{")
    names = frame.pointers(views, [len(views) - 1])
    frame.open_loops(outer, names)
    inside, offset = _picked(frame, op.labels, out, names[1:-1])
    dtype = C_TYPES[frame.dtype(out.buffer)]
    source, row = frame.fresh("q"), frame.fresh("q")
    frame.add(
        f"if ({inside}) {{",
        f"const {dtype} *{source} = {names[0]};",
        f"{dtype} *{row} = {names[-1]} + {offset};",
    )
    _copied(
        frame,
        [Axis(a.labels, a.size, (a.strides[0], a.strides[-1])) for a in rows],
        source,
        row,
        lambda value: f"+= {value}",
        pair=True,
    )
    frame.add("}")
    frame.close_loops(outer, names)
    frame.add("}")


def _copied(
    frame: Frame, rows: Sequence[Axis], source: str, target: str, change: Callable[[str], str], pair: bool = False
) -> None:
    """Loops over a row: the target changed by the source."""
    axes = rows if pair else [Axis(a.labels, a.size, (a.strides[0], a.strides[-1])) for a in rows]
    outer, inner = axes[:-1], axes[-1] if axes else Axis((), ONE, (ZERO, ZERO))
    frame.open_loops(outer, [source, target])
    read, write = at(source, frame.text(inner.strides[0])), at(target, frame.text(inner.strides[1]))
    frame.add("#pragma omp simd", f"for (long i = 0; i < {frame.text(inner.size)}; i++) {write} {change(read)};")
    frame.close_loops(outer, [source, target])


def print_topk(frame: Frame, step: Step) -> None:
    """Positions of the k largest: k rounds, each the largest behind the last one; of equal ones the first."""
    op, (x,), out = step.op, step.inputs, step.output
    assert isinstance(op, TopK)
    rest = [n for n in out.labels if n != op.new]
    axes = frame.axes(rest, (x, out))
    frame.add("{")
    names = frame.pointers((x, out), [1])
    frame.open_loops(axes, names)
    dtype = frame.dtype(x.buffer)
    size, step_ = frame.text(frame.size(op.label, x.sizes[op.label])), frame.text(x.strides[op.label])
    count, jump = frame.text(op.k), frame.text(out.strides[op.new])
    frame.add(f"zh_topk_{dtype}({names[0]}, {size}, {step_}, {names[1]}, {count}, {jump});")
    frame.close_loops(axes, names)
    frame.add("}")


# ---------------------------------------------------------------- random numbers
def print_uniform(frame: Frame, step: Step) -> None:
    """The op's own bits: a key for every row of counters, then the elements in order."""
    op, counters, out = step.op, step.inputs, step.output
    assert isinstance(op, Uniform)
    elements = [n for n, _ in op.axes]
    rows = [n for n in out.labels if n not in elements]
    views = (*counters, out)
    axes = frame.axes(rows, views)
    frame.add("{")
    names = frame.pointers(views, [len(views) - 1])
    frame.open_loops(axes, names)
    key = frame.fresh("k")
    frame.add(f"uint32_t {key}[2] = {{(uint32_t)*{names[0]}, {op.stream}u}};")
    for k, name in enumerate(names[1:-1], 1):
        frame.add(f"zh_key({key}, (uint32_t)*{name}, {k}u);")
    _elements(frame, op, out, names[-1], key)
    frame.close_loops(axes, names)
    frame.add("}")


def _elements(frame: Frame, op: Uniform, out: View, target: str, key: str) -> None:
    """Loops over the element axes; the innermost one is drawn as a run where it lies as one."""
    strides: dict[str, Size] = {}
    far = ONE
    for label, size in reversed(op.axes):
        strides[label] = far
        far = far * size
    labels = [n for n, _ in op.axes]
    numbering = View("", ZERO, tuple((n, size, strides[n]) for n, size in op.axes))
    whole = View(out.buffer, out.offset, tuple(d for d in out.dims if d[0] in strides))
    axes = frame.axes(labels, (whole, numbering)) or [Axis((), ONE, (ONE, ONE))]
    outer, inner = axes[:-1], axes[-1]
    element = frame.fresh("e")
    first = f"p0 * {frame.text(strides[frame.label])}" if frame.label in strides else "0"
    frame.add(f"long {element} = {first};")
    frame.open_loops(outer, [target, element])
    dtype = frame.dtype(out.buffer)
    frame.add(
        f"zh_uniform_{dtype}({key}, {element}, {frame.text(inner.strides[1])}, {frame.text(inner.size)}, "
        f"{target}, {frame.text(inner.strides[0])});"
    )
    frame.close_loops(outer, [target, element])
