"""Reductions: `ufunc.reduce` into memory that is there, or one ufunc per index where a short inner axis goes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from zhdsl.backends.numpy.calls import Call, Frame, coalesced, copied, larger
from zhdsl.backends.numpy.memory import Array, Places, strided
from zhdsl.ops.families import Reduce
from zhdsl.schedule.program import Step

UFUNCS: dict[str, Any] = {"sum": np.add, "max": np.maximum}
SHORT = 16  # reduced elements per result up to which slices are combined one by one,
MANY = 1 << 12  # if there are so many results: `reduce` pays some 20 ns per result when its inner loop is short


def bind(frame: Frame, step: Step) -> list[Call]:
    """The calls of a reduction."""
    assert isinstance(step.op, Reduce)
    out, x = frame.places(step.output), frame.places(step.inputs[0])
    if not out.count:
        return []
    ufunc = UFUNCS.get(step.op.name)
    if ufunc is None:
        return _argmax(step, out, x)
    if not x.count:
        return [copied(out.array(step.output.labels), identity(step.op, out.flat.dtype))]
    axes = _axes(step, out, x)
    if math.prod(axes.reduced) <= SHORT and math.prod(axes.kept) >= MANY:
        return _one_by_one(ufunc, out, x, axes)
    strides = [*axes.kept_strides, *axes.reduced_strides]
    whole = strided(x.flat, x.offset, [*axes.kept, *axes.reduced], strides)
    target = strided(out.flat, out.offset, axes.kept, axes.out_strides)
    over = tuple(range(len(axes.kept), len(axes.kept) + len(axes.reduced)))
    return [(ufunc.reduce, (whole, over, target.dtype, target))]


def identity(op: Reduce, dtype: np.dtype[Any]) -> Array:
    """The result over no elements."""
    if dtype.kind == "i" and math.isinf(op.identity):
        return np.asarray(np.iinfo(dtype).min, dtype)
    return np.asarray(op.identity, dtype)


@dataclass(frozen=True)
class Axes:
    """Kept and reduced axes, as few as possible: sizes, and strides in the operand and in the result."""

    kept: list[int]
    reduced: list[int]
    kept_strides: list[int]
    reduced_strides: list[int]
    out_strides: list[int]


def _axes(step: Step, out: Places, x: Places) -> Axes:
    assert isinstance(step.op, Reduce)
    kept_labels = step.output.labels
    kept, kept_strides = coalesced(
        [out.dims[n][0] for n in kept_labels], [(x.dims[n][1], out.dims[n][1]) for n in kept_labels]
    )
    inner = sorted(step.op.labels, key=lambda n: -abs(x.dims[n][1]))
    reduced, strides = coalesced([x.dims[n][0] for n in inner], [(x.dims[n][1],) for n in inner])
    return Axes(kept, reduced, [s for s, _ in kept_strides], [s for (s,) in strides], [s for _, s in kept_strides])


def _one_by_one(ufunc: Any, out: Places, x: Places, axes: Axes) -> list[Call]:
    """out = x[0]; out = ufunc(out, x[i]) for all further indices, in row-major order."""
    target = strided(out.flat, out.offset, axes.kept, axes.out_strides)
    parts = []
    for index in np.ndindex(*axes.reduced):
        offset = x.offset + sum(i * s for i, s in zip(index, axes.reduced_strides, strict=True))
        parts.append(strided(x.flat, offset, axes.kept, axes.kept_strides))
    if len(parts) == 1:
        return [copied(target, parts[0])]
    combine = larger if ufunc is np.maximum else ufunc
    return [(combine, (parts[0], parts[1], target)), *((combine, (target, part, target)) for part in parts[2:])]


def _argmax(step: Step, out: Places, x: Places) -> list[Call]:
    """The schedule has made the reduced labels one run in their listed order."""
    assert isinstance(step.op, Reduce)
    labels = step.output.labels
    target = out.array(labels)
    if not x.count:
        return [copied(target, np.zeros((), target.dtype))]
    reduced = x.array((*labels, *step.op.labels))
    last = [n for n in step.op.labels if x.dims[n][0] != 1]
    count = math.prod(x.dims[n][0] for n in last)
    stride = x.dims[last[-1]][1] if last else 0
    shape = [*target.shape, count]
    strides = [*(s // reduced.itemsize for s in reduced.strides[: len(labels)]), stride]
    return [(_first_of_largest, (strided(x.flat, x.offset, shape, strides), target))]


def _first_of_largest(x: Array, target: Array) -> None:
    np.copyto(target, np.argmax(x, axis=-1), "unsafe")
