"""Gather and scatter by positions in flat memory: rows of whatever is contiguous, at addresses computed in each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zhdsl.backends.numpy import labelled
from zhdsl.backends.numpy.calls import Call, Frame, copied
from zhdsl.backends.numpy.contract import one_run
from zhdsl.backends.numpy.memory import Array, Places
from zhdsl.ops.index import Gather, Scatter
from zhdsl.schedule.program import Step

SORT = 1 << 12  # elements from which on sorting rows beats adding them one by one


@dataclass(frozen=True)
class Rows:
    """Where rows of a flat array lie that indices pick.

    Attributes:
        table: the indexed memory, [rows, length] or [elements].
        labels: of the rows, as they lie in the array that is not indexed.
        base: row numbers where all indices are 0, over `labels` (size 1 where nothing changes).
        picks: per index its array over `labels`, what a step of 1 adds to the row number, and its label's size.
        position, outside: scratch over `labels`: the row, and whether an index is out of range.
    """

    table: Array
    labels: tuple[str, ...]
    base: Array
    picks: tuple[tuple[Array, int, int], ...]
    position: Array
    outside: Array

    def find(self) -> bool:
        """Compute `position` and `outside`; whether any is."""
        np.copyto(self.position, self.base)
        self.outside[...] = False
        for index, stride, size in self.picks:
            np.add(self.position, np.multiply(index, stride, dtype=np.int64), self.position)
            np.logical_or(self.outside, index.view(np.uint32) >= size, self.outside)
        return bool(self.outside.any())


def bind(frame: Frame, step: Step) -> list[Call]:
    """The calls of gather, scatter and topk."""
    rule = {"gather": _gather, "scatter": _scatter}.get(step.op.name)
    return rule(frame, step) if rule else labelled.bind(frame, step)


def rows(frame: Frame, step: Step, indexed: Places, over: Places, order: Sequence[str]) -> tuple[Rows, tuple[str, ...]]:
    """How `indexed` is seen as a table of rows, and the labels within a row.

    Args:
        frame: where arrays are.
        step: a gather or a scatter; its operands from the second on are the indices.
        indexed: what is read or written at the indices' places.
        over: the other array: result of a gather, operand of a scatter.
        order: the labels of `over` from the outermost.
    """
    assert isinstance(step.op, Gather | Scatter)
    indices = [frame.places(v) for v in step.inputs[1:]]
    inner = _inner(indexed, order, {n for i in indices for n in i.dims})
    outer = tuple(n for n in order if n not in inner)
    length = _length(indexed, inner, [indexed.offset, *(s for n, (_, s) in indexed.dims.items() if n not in inner)])
    if length == 1:
        inner, outer = (), tuple(order)
    shape = [over.dims[n][0] for n in outer]
    base = np.full([1] * len(outer), indexed.offset // length, np.int64)
    for at, n in enumerate(outer):
        if n in indexed.dims and n not in step.op.labels:
            steps = np.arange(shape[at], dtype=np.int64) * (indexed.dims[n][1] // length)
            base = base + steps.reshape([-1 if i == at else 1 for i in range(len(outer))])
    picks = []
    for n, places in zip(step.op.labels, indices, strict=True):
        size, stride = indexed.dims[n]
        picks.append((places.array(outer), stride // length, size))
    whole = indexed.flat[: len(indexed.flat) // length * length]
    table = whole.reshape(-1, length) if inner else whole
    return Rows(table, outer, base, tuple(picks), np.empty(shape, np.int64), np.empty(shape, np.bool_)), inner


def _inner(indexed: Places, order: Sequence[str], taken: set[str]) -> tuple[str, ...]:
    """The innermost labels that are contiguous memory and that no index concerns."""
    found: tuple[str, ...] = ()
    for n in reversed(order):
        longer = (n, *found)
        if n in taken or n not in indexed.dims:
            break
        run = one_run([indexed.dims], longer)
        if run is None or run[1] != 1:
            break
        found = longer
    return found


def _length(indexed: Places, inner: Sequence[str], steps: Sequence[int]) -> int:
    """Elements of a row; 1 if the rows do not begin at multiples of it."""
    length = 1
    for n in inner:
        length *= indexed.dims[n][0]
    return length if all(s % length == 0 for s in steps) else 1


# ---------------------------------------------------------------- gather
def _gather(frame: Frame, step: Step) -> list[Call]:
    x, out = frame.places(step.inputs[0]), frame.places(step.output)
    if not out.count:
        return []
    order = step.output.labels
    if not x.count:
        return [copied(out.array(order), np.zeros((), out.flat.dtype))]
    found, inner = rows(frame, step, x, out, order)
    target = out.array((*found.labels, *inner))
    shape = found.position.shape
    into = target.reshape((*shape, -1)) if inner else target
    if not np.shares_memory(into, target):
        return labelled.bind(frame, step)
    return [(_take, (found, into))]


def _take(found: Rows, into: Array) -> None:
    any_outside = found.find()
    np.take(found.table, found.position, 0, into, "clip")
    if any_outside:
        into[found.outside] = 0


# ---------------------------------------------------------------- scatter
def _scatter(frame: Frame, step: Step) -> list[Call]:
    assert isinstance(step.op, Scatter)
    g, out = frame.places(step.inputs[0]), frame.places(step.output)
    zero = copied(out.array(step.output.labels), np.zeros((), out.flat.dtype))
    if not out.count or not g.count:
        return [zero] if out.count else []
    rest = [n for n in step.output.labels if n not in step.op.labels]
    order = (*(n for n in step.inputs[0].labels if n not in rest), *rest)
    found, inner = rows(frame, step, out, g, order)
    values = g.array((*found.labels, *inner))
    labels = {n for v in step.inputs[1:] for n in v.labels}
    add = _assign if labels <= set(rest) else _add_rows if inner and values.size > SORT else _add
    return [zero, (add, (found, values))]


def _inside(found: Rows, values: Array) -> tuple[Array, Array]:
    """Positions and rows that are in range, one after the other."""
    shape = (-1, *found.table.shape[1:])
    if not found.find():
        return found.position.reshape(-1), values.reshape(shape)
    inside = ~found.outside
    return found.position[inside], values[inside].reshape(shape)


def _assign(found: Rows, values: Array) -> None:
    """Where no place is met twice, because every index has the place's own labels."""
    position, picked = _inside(found, values)
    found.table[position] = picked


def _add(found: Rows, values: Array) -> None:
    position, picked = _inside(found, values)
    np.add.at(found.table, position, picked)


def _add_rows(found: Rows, values: Array) -> None:
    """Rows sorted by place (stable, so the order of summation is fixed), each place's rows summed at once."""
    position, picked = _inside(found, values)
    if not len(position):
        return
    order = np.argsort(position, kind="stable")
    at = position[order]
    starts = np.flatnonzero(np.concatenate(([True], at[1:] != at[:-1])))
    found.table[at[starts]] = np.add.reduceat(picked[order], starts, axis=0)
