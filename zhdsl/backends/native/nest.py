"""Loops over elementwise steps: one nest for steps over the same labels, values in registers between them.

    t[B, N] = add(x, b); y[B, N] = tanh(t)
becomes
    for (long i1 = 0; ...) { for (long i = 0; i < 512; i++) { float r1 = q1[i] + q2[i]; q3[i] = zh_tanh_f32(r1); } }
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from zhdsl.backends.native.ctext import REGISTERS, literal
from zhdsl.backends.native.frame import Axis, Frame
from zhdsl.backends.native.scalars import expression
from zhdsl.ops.families import Elementwise
from zhdsl.schedule.program import Step
from zhdsl.schedule.views import ONE, ZERO, View

SQUARE = 16  # rows and columns of a block where something is transposed


@dataclass
class Cluster:
    """Elementwise steps that follow one another and run over the same labels.

    Attributes:
        steps: in order.
        made: the view in which a step has written a buffer.
        read: the views in which buffers have been read.
    """

    steps: list[Step] = field(default_factory=list)
    made: dict[str, View] = field(default_factory=dict)
    read: dict[str, list[View]] = field(default_factory=dict)

    def takes(self, step: Step) -> bool:
        """Whether the step can run in the same loop: every index needs its own elements only."""
        if not isinstance(step.op, Elementwise):
            return False
        if not self.steps:
            return True
        out = step.output
        if out.domain != self.steps[0].output.domain:
            return False
        own = all(self.made.get(v.buffer, v) == v for v in step.inputs)
        before = [*self.read.get(out.buffer, ()), *([self.made[out.buffer]] if out.buffer in self.made else [])]
        mixed = [v for v in step.inputs if v.buffer == out.buffer]
        return own and all(v == out for v in (*before, *mixed))

    def add(self, step: Step) -> None:
        self.steps.append(step)
        for view in step.inputs:
            self.read.setdefault(view.buffer, []).append(view)
        self.made[step.output.buffer] = step.output


def clusters(steps: Sequence[Step]) -> Iterator[Cluster | Step]:
    """The steps with elementwise ones that follow one another together."""
    current = Cluster()
    for step in steps:
        if current.steps and not current.takes(step):
            yield current
            current = Cluster()
        if current.takes(step):
            current.add(step)
        else:
            yield step
    if current.steps:
        yield current


def print_cluster(frame: Frame, cluster: Cluster, kept: set[str]) -> None:
    """Print the loops.

    Args:
        frame: where to.
        cluster: what runs.
        kept: scratch that somebody else reads: it must be written, the rest stays in registers.
    """
    stored = [s for s in cluster.steps if not frame.is_local(s.output.buffer) or s.output.buffer in kept]
    stored = [s for i, s in enumerate(stored) if s.output not in [t.output for t in stored[i + 1 :]]]
    made: set[View] = set()
    loads: list[View] = []
    for step in cluster.steps:
        loads += [v for v in step.inputs if v not in made and v not in loads and v.buffer not in frame.literals]
        made.add(step.output)
    if not stored:
        return
    views = [*loads, *(s.output for s in stored)]
    axes = frame.axes(stored[-1].output.labels, views)
    frame.add("{")
    names = frame.pointers(views, range(len(loads), len(views)))
    outer, inner = axes[:-1], axes[-1] if axes else Axis((), ZERO, tuple(ZERO for _ in views))
    crossing = _crossing(axes, len(loads))
    if crossing is not None:
        outer = [x for x in outer if x is not crossing]
    frame.open_loops(outer, names)
    body = _body(frame, cluster, views, names, inner, len(loads))
    if crossing is not None:
        _print_blocks(frame, names, crossing, inner, body)
    elif axes:
        frame.add("#pragma omp simd", f"for (long i = 0; i < {frame.text(inner.size)}; i++) {{", *body, "}")
    else:
        frame.add(*body)
    frame.close_loops(outer, names)
    frame.add("}")


def _crossing(axes: Sequence[Axis], count: int) -> Axis | None:
    """A loop along which something is read without gaps that is not so along the innermost one: a transposition."""
    if not axes:
        return None
    for k in range(count):
        if axes[-1].strides[k] not in (ZERO, ONE):
            return next((x for x in axes[:-1] if x.strides[k] == 1), None)
    return None


def _print_blocks(frame: Frame, names: Sequence[str], crossing: Axis, inner: Axis, body: Sequence[str]) -> None:
    """Two loops in square blocks, so that what is read and what is written both stay in the cache."""
    down, across = frame.text(crossing.size), frame.text(inner.size)
    inside = [(n, frame.text(s)) for n, s in zip(names, crossing.strides, strict=True) if s != 0]
    frame.add(
        f"for (long j0 = 0; j0 < {down}; j0 += {SQUARE}) for (long i0 = 0; i0 < {across}; i0 += {SQUARE}) {{",
        f"const long i1 = zh_least(i0 + {SQUARE}, {across}), j1 = zh_least(j0 + {SQUARE}, {down});",
        *(f"{n} += j0 * {s};" for n, s in inside),
        f"for (long j = j0; j < j1; j++{''.join(f', {n} += {s}' for n, s in inside)}) {{",
        "#pragma omp simd",
        "for (long i = i0; i < i1; i++) {",
        *body,
        "}",
        "}",
        *(f"{n} -= j1 * {s};" for n, s in inside),
        "}",
    )


def _body(
    frame: Frame, cluster: Cluster, views: Sequence[View], names: Sequence[str], inner: Axis, count: int
) -> list[str]:
    """What is done for one index of the inner loop."""
    registers: dict[View, str] = {}
    lines = []
    place = {v: at(names[i], frame.text(inner.strides[i])) for i, v in enumerate(views)}
    targets = {v: at(names[i], frame.text(inner.strides[i])) for i, v in enumerate(views) if i >= count}
    for i, step in enumerate(cluster.steps):
        dtype = frame.dtype(step.output.buffer)
        operands = []
        for view in step.inputs:
            if view in registers:
                operands.append(registers[view])
            elif view.buffer in frame.literals:
                operands.append(literal(frame.literals[view.buffer], frame.dtype(view.buffer)))
            else:
                registers[view] = frame.fresh("r")
                lines.append(f"const {REGISTERS[frame.dtype(view.buffer)]} {registers[view]} = {place[view]};")
                operands.append(registers[view])
        assert isinstance(step.op, Elementwise)
        given = frame.dtype(step.inputs[0].buffer) if step.inputs else dtype
        text = expression(step.op, operands, given, dtype)
        registers[step.output] = frame.fresh("r")
        lines.append(f"const {REGISTERS[dtype]} {registers[step.output]} = {text};")
        last = all(s.output != step.output for s in cluster.steps[i + 1 :])
        if last and step.output in targets:
            lines.append(f"{targets[step.output]} = {registers[step.output]};")
    return lines


def at(name: str, stride: str) -> str:
    """The element of index `i` of the inner loop."""
    return f"{name}[{'i' if stride == '1' else f'i * {stride}' if stride != '0' else '0'}]"
