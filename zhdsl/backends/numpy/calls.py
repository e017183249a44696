"""What a kernel becomes: calls, each a function with its arguments, prepared once and then only called.

A step of 150 small ops is 150 calls of ufuncs on arrays that exist already: the loop over them is all the Python there
is in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zhdsl.backends.numpy.memory import Array, Memory, Places, strided
from zhdsl.schedule.views import View

Call = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Frame:
    """Where steps find their arrays: the memory, and the piece of a tile that is to be done.

    `piece` is (label, start, stop): views have only these indices of the label; scratch holds just them.
    """

    memory: Memory
    piece: tuple[str, int, int] | None = None

    def places(self, view: View) -> Places:
        """A view in numbers, cut to the piece."""
        whole = self.memory.places(view)
        if self.piece is None or self.piece[0] not in whole.dims:
            return whole
        label, start, stop = self.piece
        stride = whole.dims[label][1]
        local = self.memory.program.buffers[view.buffer].place == "local"
        dims = {**whole.dims, label: (stop - start, stride)}
        return Places(whole.flat, whole.offset + (0 if local else start * stride), dims)

    def array(self, view: View, labels: Sequence[str] | None = None) -> Array:
        """A view as an array with axes in this order (default: its own)."""
        return self.places(view).array(view.labels if labels is None else labels)


def aligned(places: Sequence[Places], labels: Sequence[str]) -> list[Array]:
    """Arrays that broadcast against one another, over these labels, with as few axes as possible.

    Neighbouring axes become one where they are one run in every operand; what repeats along leading axes lacks them.
    """
    sizes = [max((p.dims[n][0] for p in places if n in p.dims), default=1) for n in labels]
    if any(p.dims[n][0] == 0 for p in places for n in labels if n in p.dims):
        return [p.array(labels) for p in places]
    strides = [[p.dims[n][1] if n in p.dims else 0 for n in labels] for p in places]
    shape, columns = coalesced(sizes, list(zip(*strides, strict=True)) if labels else [])
    rows = [[column[i] for column in columns] for i in range(len(places))]
    return [_broadcast(p, shape, row) for p, row in zip(places, rows, strict=True)]


def coalesced(sizes: Sequence[int], strides: Sequence[tuple[int, ...]]) -> tuple[list[int], list[tuple[int, ...]]]:
    """Axes (sizes, and per axis the strides of all operands) with neighbours merged where all operands allow it."""
    shape: list[int] = []
    kept: list[tuple[int, ...]] = []
    for size, column in zip(sizes, strides, strict=True):
        if size == 1:
            continue
        if shape and all(outer == inner * size for outer, inner in zip(kept[-1], column, strict=True)):
            shape[-1] *= size
            kept[-1] = column
        else:
            shape.append(size)
            kept.append(column)
    return shape, kept


def _broadcast(places: Places, shape: Sequence[int], strides: Sequence[int]) -> Array:
    first = next((i for i, stride in enumerate(strides) if stride), len(strides))
    own = [n if stride else 1 for n, stride in zip(shape, strides, strict=True)]
    return strided(places.flat, places.offset, own[first:], strides[first:])


def copied(into: Array, value: Array) -> Call:
    """Write an array's elements into another, converting them."""
    return np.copyto, (into, value, "unsafe")


def same_memory(a: Array, b: Array) -> bool:
    """Whether two arrays begin at the same address: operands that a step writes over begin where its result does."""
    return bool(a.ctypes.data == b.ctypes.data)


def smaller(a: Array, b: Array, out: Array) -> None:
    """The smaller of two; NumPy wants `out` by its name here."""
    np.minimum(a, b, out=out)


def larger(a: Array, b: Array, out: Array) -> None:
    """The larger of two."""
    np.maximum(a, b, out=out)
