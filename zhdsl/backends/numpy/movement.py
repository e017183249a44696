"""Folds: one shifted addition per tap. All other movement is a view or a copy by now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zhdsl.backends.numpy.calls import Call, Frame, aligned, copied
from zhdsl.backends.numpy.memory import Places
from zhdsl.ops.window import Fold
from zhdsl.schedule.program import Step


def bind(frame: Frame, step: Step) -> list[Call]:
    """Zero, then every tap added where it belongs; what falls outside is lost."""
    op = step.op
    assert isinstance(op, Fold)
    out, x = frame.places(step.output), frame.places(step.inputs[0])
    number = frame.memory.number
    stride, dilation, low = number(op.stride), number(op.dilation), number(op.low)
    calls = [copied(out.array(step.output.labels), np.zeros((), out.flat.dtype))] if out.count else []
    for tap in range(x.dims[op.tap][0]):
        offset = tap * dilation - low
        first = max(0, -(offset // stride))
        end = min(x.dims[op.label][0], (out.dims[op.label][0] - 1 - offset) // stride + 1)
        if first < end:
            part = _cut(_at(x, op.tap, tap), op.label, first, end - first, 1)
            reached = _cut(out, op.label, first * stride + offset, end - first, stride)
            if reached.count:
                target, value = aligned([reached, part], step.output.labels)
                calls.append((np.add, (target, value, target)))
    return calls


def _at(x: Places, label: str, index: int) -> Places:
    """At one index of a label."""
    dims = {n: d for n, d in x.dims.items() if n != label}
    return replace(x, offset=x.offset + index * x.dims[label][1], dims=dims)


def _cut(x: Places, label: str, start: int, count: int, step: int) -> Places:
    """`count` indices of a label from `start` on, every `step`-th."""
    stride = x.dims[label][1]
    return replace(x, offset=x.offset + start * stride, dims={**x.dims, label: (count, stride * step)})
