"""Indexing by data. An index is i32; what is out of range (negative too) reads 0 and is written nowhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node, apply
from zhdsl.ir.op import register
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, TypeProblem, union
from zhdsl.ops.families import (
    Index,
    arrange,
    certainly_less,
    number,
    require_at_least,
    require_index,
    require_labels,
    require_number,
    shape,
)


@register
@dataclass(frozen=True)
class Gather(Index):
    """y = x[label₁ = i₁, label₂ = i₂, …]: the indices are pointwise with one another and with x's other labels.

    An embedding is `W[V=ids]`, a pick `logits[V=label]`. Out of range reads 0 (false).

    Shapes    x: S ∪ labels, iₖ: Rₖ -> y: S ∪ R₁ ∪ R₂ …      Dtypes  any, i32 … -> same as x
    Gradient  dx = scatter(g, i₁, …); none for the indices
    """

    name: ClassVar[str] = "gather"
    arity: ClassVar[int | None] = None
    labels: tuple[str, ...]

    def infer(self, *types: Type) -> Type:
        x, *indices = types
        require_labels("gather", x, self.labels)
        if len(indices) != len(self.labels) or not indices:
            raise TypeProblem(f"gather[{', '.join(self.labels)}] with {len(indices)} indices")
        require_index("gather", indices)
        return Type(x.dtype, union((x.without(self.labels), *indices)))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        rows = Rows.of(types[0], self.labels, types[1:])
        row, inside = rows.chosen(arrays[1:])
        table = arrange(arrays[0], types[0].labels, (*rows.named, *rows.free))  # a view, as large as it may be
        picked = np.zeros((row.size, *table.shape[len(rows.named) :]), table.dtype)
        picked[inside] = table[np.unravel_index(row[inside], table.shape[: len(rows.named)])]
        sizes = (out.sizes[label] for label in (*rows.chosen_by, *rows.free))
        return arrange(picked.reshape([number(s) for s in sizes]), (*rows.chosen_by, *rows.free), out.labels)

    def vjp(self, g: Node, y: Node, x: Node, *indices: Node) -> tuple[Node | None, ...]:
        return (apply("scatter", g, *indices, labels=self.labels, type=x.type), *(None for _ in indices))


@register
@dataclass(frozen=True)
class Scatter(Index):
    """Adjoint of `gather`: adds g's elements into zeros of `type` at [label₁ = i₁, …], in an order the indices fix.

    Shapes    g: S ∪ R₁ ∪ R₂ …, iₖ: Rₖ -> y: S ∪ labels = type      Dtypes  number, i32 … -> same as g
    Gradient  dg = gather(g', i₁, …); none for the indices
    """

    name: ClassVar[str] = "scatter"
    arity: ClassVar[int | None] = None
    labels: tuple[str, ...]
    type: Type

    def infer(self, *types: Type) -> Type:
        g, *indices = types
        require_number("scatter", g)
        fits = Gather(self.labels).infer(self.type, *indices)
        if fits != g:
            raise TypeProblem(f"scatter[{', '.join(self.labels)}] into {self.type} takes {fits}, not {g}")
        return self.type

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        rows = Rows.of(out, self.labels, types[1:])
        row, inside = rows.chosen(arrays[1:])
        g = arrange(arrays[0], types[0].labels, (*rows.chosen_by, *rows.free)).reshape(row.size, rows.table[1])
        table = np.zeros(rows.table, g.dtype)
        _add_rows(table, row[inside], g[inside])
        labels = (*rows.named, *rows.free)
        return arrange(table.reshape([number(out.sizes[label]) for label in labels]), labels, out.labels)

    def vjp(self, g: Node, y: Node, x: Node, *indices: Node) -> tuple[Node | None, ...]:
        return (apply("gather", g, *indices, labels=self.labels), *(None for _ in indices))


@register
@dataclass(frozen=True)
class TopK(Index):
    """Positions along `label` of the k largest, descending along `new`; of equal ones the first; a nan is the largest.

    Shapes    x: S ∪ [label] -> y: S ∪ [new=k]      Dtypes  number -> i32
    Gradient  none (gather the values)
    """

    name: ClassVar[str] = "topk"
    label: str
    k: Size
    new: str

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_number("topk", x)
        require_labels("topk", x, (self.label,))
        require_at_least("topk", "k", self.k, 0)
        if certainly_less(x.sizes[self.label], self.k):
            raise TypeProblem(f"topk[{self.label}]: {self.k} of {x.sizes[self.label]} elements")
        return x.without((self.label,)).extended(((self.new, self.k),)).of_dtype("i32")

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        x = np.moveaxis(arrays[0], types[0].index(self.label), -1)
        backwards = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]  # reversed twice: ties stay in order
        k = shape(out)[out.index(self.new)]
        best = (x.shape[-1] - 1 - backwards[..., :k]).astype(np.int32)
        rest = types[0].without((self.label,))
        return arrange(best, (*rest.labels, self.new), out.labels)

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (None,)


def _add_rows(table: Array, row: Array, values: Array) -> None:
    """table[row[k]] += values[k] for all k; values of one row in the order of k."""
    if row.size:
        order = np.argsort(row, kind="stable")
        starts = np.flatnonzero(np.diff(row[order], prepend=-1))
        table[row[order][starts]] = np.add.reduceat(values[order], starts, axis=0, dtype=table.dtype)


@dataclass(frozen=True)
class Rows:
    """An indexed tensor as a table: its rows are chosen by indices, its columns are the labels no index knows of.

    Attributes:
        labels: the indexed labels.
        pointwise: the tensor's other labels that an index has too.
        free: the tensor's remaining labels, the columns.
        chosen_by: labels of all indices, sorted: one row is chosen for every element of them.
        indexed: the tensor's type.
        types: the indices' types.
    """

    labels: tuple[str, ...]
    pointwise: tuple[str, ...]
    free: tuple[str, ...]
    chosen_by: tuple[str, ...]
    indexed: Type
    types: tuple[Type, ...]

    @staticmethod
    def of(indexed: Type, labels: tuple[str, ...], types: tuple[Type, ...]) -> Rows:
        chosen_by = Type("i32", union(types)).labels
        rest = indexed.without(labels).labels
        pointwise = tuple(label for label in rest if label in chosen_by)
        free = tuple(label for label in rest if label not in chosen_by)
        return Rows(labels, pointwise, free, chosen_by, indexed, types)

    @property
    def named(self) -> tuple[str, ...]:
        """The labels of the rows."""
        return (*self.labels, *self.pointwise)

    @property
    def table(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        sizes = self.indexed.sizes
        rows, columns = (math.prod(number(sizes[n]) for n in labels) for labels in (self.named, self.free))
        return rows, columns

    def chosen(self, indices: tuple[Array, ...]) -> tuple[Array, Array]:
        """For every element of the indices, flat: the row it chooses (i64), and whether that exists."""
        given = dict(zip(self.labels, zip(indices, self.types, strict=True), strict=True))
        over = dict(union(self.types))
        row: Array = np.zeros([number(over[label]) for label in self.chosen_by], np.int64)
        inside: Array = np.ones(row.shape, np.bool_)
        for label in self.named:
            size = number(self.indexed.sizes[label])
            if label in given:
                array, type_ = given[label]
                index = arrange(array, type_.labels, self.chosen_by).astype(np.int64)
                inside &= (index >= 0) & (index < size)
            else:
                index = arrange(np.arange(size), (label,), self.chosen_by)
            row = row * size + index
        return row.reshape(-1), inside.reshape(-1)
