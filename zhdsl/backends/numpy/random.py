"""Uniform numbers: the op's own bits, drawn piece by piece in memory that stays in the cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhdsl.backends.numpy import labelled
from zhdsl.backends.numpy.calls import Call, Frame
from zhdsl.backends.numpy.contract import one_run
from zhdsl.backends.numpy.memory import Array, strided
from zhdsl.ops.random import PARITY, ROTATIONS, Uniform, threefry
from zhdsl.schedule.program import Step

PIECE = 1 << 14  # blocks of two numbers: the arrays of a piece fit a second-level cache
ROUNDS = 20
WORD = 2**32

Keys = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Piece:
    """Some rows of keys, some blocks of two numbers, and where the numbers go: arrays of [rows, blocks]."""

    rows: slice
    blocks: Array
    first: Array
    second: Array


@dataclass(frozen=True)
class Drawing:
    """What one op draws.

    Attributes:
        stream: of the op.
        counters: over the labels of rows, size 1 where a counter has not the label; read anew in every run.
        shape: of the rows.
        pieces: all of the result.
        scratch: memory of three arrays of a piece.
    """

    stream: int
    counters: tuple[Array, ...]
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]
    scratch: Array

    def run(self) -> None:
        """Draw all numbers."""
        keys = self._keys()
        for piece in self.pieces:
            x, y, shifted = (a[: piece.first.size].reshape(piece.first.shape) for a in self.scratch)
            own = tuple(key[piece.rows] if len(key) > 1 else key for key in keys)
            np.add(piece.blocks, own[0], x)
            np.copyto(y, own[1])
            mix(x, y, shifted, (own[0], own[1], own[2]))
            for bits, into in ((x, piece.first), (y[:, : piece.second.shape[1]], piece.second)):
                np.right_shift(bits, np.uint32(8), bits)
                np.multiply(bits, 2.0**-24, into, casting="same_kind")  # exact: 24 bits and a power of two

    def _keys(self) -> Keys:
        """Three words per row, of shape [rows, 1]."""
        if all(c.size == 1 for c in self.counters):
            words = hashed([c.item() % WORD for c in self.counters], self.stream)
            first, second = (np.array([[word]], np.uint32) for word in words)
        else:
            rows = hashed_rows([c.astype(np.int64).astype(np.uint32) for c in self.counters], self.stream)
            first, second = (np.broadcast_to(key, self.shape).reshape(-1, 1) for key in rows)
        return first, second, first ^ second ^ np.uint32(PARITY)


def hashed(counters: list[int], stream: int) -> tuple[int, int]:
    """The key of counters that are plain numbers; some twenty times faster than with arrays."""
    x, y = counters[0], stream
    for k, counter in enumerate(counters[1:], 1):
        keys = x, y, x ^ y ^ PARITY
        x, y = (counter + x) % WORD, (k + y) % WORD
        for round_ in range(ROUNDS):
            left = ROTATIONS[round_ % 8]
            x = (x + y) % WORD
            y = ((y << left) % WORD | y >> (32 - left)) ^ x
            if round_ % 4 == 3:
                injection = round_ // 4 + 1
                x = (x + keys[injection % 3]) % WORD
                y = (y + keys[(injection + 1) % 3] + injection) % WORD
    return x, y


def hashed_rows(counters: list[Array], stream: int) -> tuple[Array, Array]:
    """The keys of counters that differ from row to row; they broadcast."""
    key = counters[0], np.full_like(counters[0], stream)
    for k, counter in enumerate(counters[1:], 1):
        key = threefry(key, (counter, np.full_like(counter, k)))
    return key


def mix(x: Array, y: Array, shifted: Array, keys: Keys) -> None:
    """The 20 rounds of Threefry-2x32 in place, from counter plus key on; `shifted` is scratch."""
    for round_ in range(ROUNDS):
        left = ROTATIONS[round_ % 8]
        np.add(x, y, x)
        np.left_shift(y, np.uint32(left), shifted)
        np.right_shift(y, np.uint32(32 - left), y)
        np.bitwise_or(y, shifted, y)
        np.bitwise_xor(y, x, y)
        if round_ % 4 == 3:
            injection = round_ // 4 + 1
            np.add(x, keys[injection % 3], x)
            np.add(y, keys[(injection + 1) % 3] + np.uint32(injection), y)


def bind(frame: Frame, step: Step) -> list[Call]:
    """One call that draws everything; the op's own meaning where the result lies in another order."""
    op = step.op.bind(frame.memory.sizes)
    assert isinstance(op, Uniform)
    out = frame.places(step.output)
    if not out.count:
        return []
    elements = [n for n, _ in op.axes]
    labels = [n for n in step.output.labels if n not in elements]
    run, rows = one_run([out.dims], elements), one_run([out.dims], labels)
    if run is None or rows is None or run[1] != 1 or out.flat.dtype.itemsize < 4:
        return labelled.bind(frame, step)
    shape = tuple(out.dims[n][0] for n in labels)
    counters = tuple(frame.array(v, labels) for v in step.inputs)
    pieces = tuple(_pieces(out.flat, out.offset, rows, run[0]))
    scratch = frame.memory.remembered("random", lambda: np.empty((3, 2 * PIECE), np.uint32))
    return [(Drawing(op.stream, counters, shape, pieces, scratch).run, ())]


def _pieces(flat: Array, offset: int, rows: tuple[int, ...], count: int) -> list[Piece]:
    """The result, [rows, count], in pieces of at most `PIECE` blocks or one row."""
    blocks, (height, stride) = (count + 1) // 2, rows
    many = max(1, PIECE // max(blocks, 1))
    found = []
    for row in range(0, height, many):
        for start in range(0, blocks, PIECE):
            end = min(start + PIECE, blocks)
            sizes = end - start, min(end, count // 2) - start
            first, second = (
                strided(flat, offset + row * stride + 2 * start + i, (min(many, height - row), n), (stride, 2))
                for i, n in enumerate(sizes)
            )
            found.append(Piece(slice(row, row + many), np.arange(start, end, dtype=np.uint32)[None], first, second))
    return found
