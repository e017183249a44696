"""A product's dims, and the same product with as few of them as can be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

NARROW, VERY_NARROW = 12, 4
"""Columns that are too few for a vector, if the other operand's rows are contiguous, and if it must be transposed."""
UNKNOWN_TERMS = 64
"""What a run-time extent of the sums is taken for, where only speed depends on it."""

Number = int | str
"""A static number, or a C expression of type long (a run-time size such as `z[0]`)."""


@dataclass(frozen=True)
class Dim:
    """One loop: its extent, and its strides, in elements, in the two arrays that it walks through."""

    extent: Number
    first: Number
    second: Number


@dataclass(frozen=True)
class Product:
    """out[rows, columns] (=|+=) Σ_sums a[rows, sums] · b[sums, columns].

    Attributes:
        rows: (extent, stride in a, stride in out), outermost first.
        columns: (extent, stride in b, stride in out); vectors run along the innermost one.
        sums: (extent, stride in a, stride in b).
        dtype: "f32" or "f64".
        accumulate: `+=` instead of `=`.
    """

    rows: tuple[Dim, ...]
    columns: tuple[Dim, ...]
    sums: tuple[Dim, ...]
    dtype: str
    accumulate: bool


@dataclass(frozen=True)
class Form:
    """A product in its normal form: at least one dim of each kind, none of extent 1 beside others, none to merge.

    `swapped` says that `a` and `b` have changed places: rows were columns (`better_swapped`).
    """

    rows: tuple[Dim, ...]
    columns: tuple[Dim, ...]
    sums: tuple[Dim, ...]
    dtype: str
    accumulate: bool
    swapped: bool

    @property
    def itemsize(self) -> int:
        return {"f32": 4, "f64": 8}[self.dtype]

    @property
    def ctype(self) -> str:
        return {"f32": "float", "f64": "double"}[self.dtype]


def normal(p: Product) -> Form:
    """The same product, dims of extent 1 dropped, neighbours merged, the contiguous side of `out` as columns."""
    rows, columns, sums = (merged(dims) for dims in (p.rows, p.columns, p.sums))
    swapped = better_swapped(rows, columns, sums)
    if swapped:
        rows, columns = columns, rows
        sums = tuple(replace(d, first=d.second, second=d.first) for d in sums)
    return Form(rows, columns, sums, p.dtype, p.accumulate, swapped)


def better_swapped(rows: tuple[Dim, ...], columns: tuple[Dim, ...], sums: tuple[Dim, ...]) -> bool:
    """Whether vectors should run along the rows.

    They should if only there `out` is contiguous, or if the columns would fill a small part of a vector: then the
    elements of `out` are stored one at a time, but there are few of them to each term.
    """
    if columns[-1].second != 1 and rows[-1].second == 1:
        return True
    if len(columns) > 1 or not isinstance(columns[0].extent, int) or static_or(rows[-1].extent, 16) < 16:
        return False
    terms = static_or(sums[-1].extent, UNKNOWN_TERMS)
    in_place = columns[0].extent <= NARROW and rows[-1].first == 1 and terms >= 64
    return in_place or (columns[0].extent <= VERY_NARROW and sums[-1].first == 1 and terms >= 8)


def merged(dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Without dims of extent 1, and with each dim that continues the next one in both arrays made one with it."""
    kept = [d for d in dims if d.extent != 1] or [Dim(1, 0, 0)]
    found = [kept[-1]]
    for outer, _ in reversed(list(pairwise(kept))):
        inner = found[0]
        if continues(outer, inner):
            found[0] = Dim(times(outer.extent, inner.extent), inner.first, inner.second)
        else:
            found.insert(0, outer)
    return tuple(found)


def continues(outer: Dim, inner: Dim) -> bool:
    """Whether a step of `outer` is a whole run of `inner`, in both arrays: only static numbers can say so."""
    n, strides = inner.extent, (inner.first, inner.second, outer.first, outer.second)
    if not isinstance(n, int) or not all(isinstance(s, int) for s in strides):
        return False
    first, second, outer_first, outer_second = strides
    return outer_first == times(n, first) and outer_second == times(n, second)


def times(*factors: Number) -> Number:
    """Their product, static as far as they are."""
    static, names = 1, []
    for f in factors:
        if isinstance(f, int):
            static *= f
        else:
            names.append(f"({f})")
    if static == 0 or not names:
        return static
    return "*".join(names if static == 1 else [*names, str(static)])


def plus(*terms: Number) -> Number:
    """Their sum, static as far as they are."""
    static = sum(t for t in terms if isinstance(t, int))
    names = [f"({t})" for t in terms if not isinstance(t, int)]
    if not names:
        return static
    return " + ".join(names if static == 0 else [*names, str(static)])


def static_or(n: Number, otherwise: int) -> int:
    """The number itself if it is known, else what is assumed of it where only speed depends on it."""
    return n if isinstance(n, int) else otherwise
