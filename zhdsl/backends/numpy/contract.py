"""Contractions: one `np.matmul` on strided views, batched over whatever is no single run of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zhdsl.backends.numpy import labelled
from zhdsl.backends.numpy.calls import Call, Frame, aligned, coalesced, copied
from zhdsl.backends.numpy.memory import Array, Places, strided
from zhdsl.ops.contract import Contract
from zhdsl.schedule.program import Step

Dims = tuple[int, int]  # extent and stride of some labels taken as one


@dataclass(frozen=True)
class Matrices:
    """The three arrays as matrices.

    Attributes:
        rows, columns: labels of the result's matrix; both must be one run in their operand and in the result.
        m, n, k: extents and strides: m and n in (operand, result), k in both operands.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    m: tuple[int, int, int]
    n: tuple[int, int, int]
    k: tuple[int, int, int]

    @property
    def rank(self) -> tuple[bool, int]:
        """Better is larger: what the library takes as it is, then what leaves least to loops."""
        (m, a_m, o_m), (n, b_n, o_n), (k, a_k, b_k) = self.m, self.n, self.k
        fits = (
            library_matrix((m, a_m), (k, a_k))
            and library_matrix((k, b_k), (n, b_n))
            and library_matrix((m, o_m), (n, o_n))
        )
        return fits, m * n


def bind(frame: Frame, step: Step) -> list[Call]:
    """The calls of a contraction."""
    assert isinstance(step.op, Contract)
    a, b, out = frame.places(step.inputs[0]), frame.places(step.inputs[1]), frame.places(step.output)
    if not out.count:
        return []
    target = out.array(step.output.labels)
    if not a.count or not b.count:
        return [copied(target, np.zeros((), target.dtype))]
    inner = one_run([a.dims, b.dims], step.op.labels)
    if inner is None:  # in programs that are scheduled for C
        return labelled.bind(frame, step)
    if inner[0] == 1:
        x, y, z = aligned([_without(a, step.op.labels), _without(b, step.op.labels), out], step.output.labels)
        return [(np.multiply, (x, y, z))]
    best = max(_matrices(step, a, b, out, inner), key=lambda m: m.rank)
    return [(np.matmul, _arrays(step.output.labels, best, a, b, out))]


def library_matrix(rows: Dims, columns: Dims) -> bool:
    """Whether a library takes a matrix with these extents and strides: one stride is 1, the other no shorter."""
    (m, row), (n, column) = rows, columns
    if m == 1 or n == 1:
        return (row if n == 1 else column) > 0
    return (column == 1 and row >= n) or (row == 1 and column >= m)


def one_run(dims: Sequence[dict[str, Dims]], labels: Sequence[str]) -> tuple[int, ...] | None:
    """Extent of the labels taken as one and their stride in every operand; `None` if they are no single run."""
    sizes = [dims[0][n][0] for n in labels]
    shape, strides = coalesced(sizes, [tuple(d[n][1] for d in dims) for n in labels])
    if len(shape) > 1:
        return None
    return (shape[0], *strides[0]) if shape else (1, *(1 for _ in dims))


def _without(places: Places, labels: Sequence[str]) -> Places:
    return Places(places.flat, places.offset, {n: d for n, d in places.dims.items() if n not in labels})


def _matrices(step: Step, a: Places, b: Places, out: Places, k: tuple[int, ...]) -> Iterator[Matrices]:
    """All ways to see the contraction as a product of matrices."""
    order = step.output.labels
    for rows in _runs([n for n in order if n not in b.dims], a, out):
        for columns in _runs([n for n in order if n not in a.dims], b, out):
            m, n = one_run([a.dims, out.dims], rows), one_run([b.dims, out.dims], columns)
            if m is not None and n is not None:
                yield Matrices(rows, columns, (m[0], m[1], m[2]), (n[0], n[1], n[2]), (k[0], k[1], k[2]))


def _runs(labels: Sequence[str], operand: Places, out: Places) -> Iterator[tuple[str, ...]]:
    """The longest runs of labels that are one in the operand and in the result; the empty one if there is no label."""
    if not labels:
        yield ()
    start = 0
    for end in range(1, len(labels) + 1):
        run = tuple(labels[start : end + 1])
        if end == len(labels) or one_run([operand.dims, out.dims], run) is None:
            yield tuple(labels[start:end])
            start = end


def _arrays(order: Sequence[str], best: Matrices, a: Places, b: Places, out: Places) -> tuple[Array, Array, Array]:
    """(operand, operand, result) with loops first and the matrix last."""
    loops = [n for n in order if n not in best.rows and n not in best.columns and out.dims[n][0] != 1]
    columns = [tuple(p.dims[n][1] if n in p.dims else 0 for p in (a, b, out)) for n in loops]
    shape, strides = coalesced([out.dims[n][0] for n in loops], columns)
    (m, a_m, o_m), (n, b_n, o_n), (k, a_k, b_k) = best.m, best.n, best.k
    tails = (((m, a_m), (k, a_k)), ((k, b_k), (n, b_n)), ((m, o_m), (n, o_n)))
    arrays = []
    for i, (places, tail) in enumerate(zip((a, b, out), tails, strict=True)):
        own = [(size, column[i]) for size, column in zip(shape, strides, strict=True)]
        kept = [(size if stride else 1, stride) for size, stride in own]
        dims = [*kept, *tail]
        arrays.append(strided(places.flat, places.offset, [size for size, _ in dims], [s for _, s in dims]))
    return arrays[0], arrays[1], arrays[2]
