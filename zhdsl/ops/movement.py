"""Movement: elements keep their values and get other places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node, apply
from zhdsl.ir.op import register
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Axis, Type, TypeProblem
from zhdsl.ops.families import (
    Movement,
    arrange,
    certainly_less,
    number,
    require_at_least,
    require_labels,
    require_new,
    shape,
)

Cotangents = tuple[Node | None, ...]


# ---------------------------------------------------------------- labels
@register
@dataclass(frozen=True)
class Relabel(Movement):
    """The same elements under other labels: every pair `(old, new)` of `names`, all at once (so labels may be swapped).

    Shapes    x: S ∪ olds -> y: S ∪ news      Dtypes  any -> same
    Gradient  dx = relabel(g, new -> old)
    """

    name: ClassVar[str] = "relabel"
    names: tuple[tuple[str, str], ...]

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_labels("relabel", x, tuple(old for old, _ in self.names))
        try:
            return x.renamed(dict(self.names))
        except TypeProblem:
            text = ", ".join(f"{old} as {new}" for old, new in self.names)
            raise TypeProblem(f"relabel[{text}] of {x}: two axes would have one name") from None

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        names = dict(self.names)
        return arrange(arrays[0], [names.get(label, label) for label in types[0].labels], out.labels)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (apply("relabel", g, names=tuple((new, old) for old, new in self.names)),)


@register
@dataclass(frozen=True)
class Expand(Movement):
    """x repeated along new axes.

    Shapes    x: S -> y: S ∪ axes      Dtypes  any -> same
    Gradient  dx = sum[axes](g), by the caller
    """

    name: ClassVar[str] = "expand"
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "axes", tuple(sorted(self.axes, key=lambda axis: axis[0])))

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_new("expand", x, (label for label, _ in self.axes))
        for label, size in self.axes:
            require_at_least("expand", f"the size of {label}", size, 0)
        return x.extended(self.axes)

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        return np.broadcast_to(arrange(arrays[0], types[0].labels, out.labels), shape(out))

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g,)


@register
@dataclass(frozen=True)
class Drop(Movement):
    """x without an axis of size 1.

    Shapes    x: S ∪ [label=1] -> y: S      Dtypes  any -> same
    Gradient  dx = expand(g, [label=1]), by the caller
    """

    name: ClassVar[str] = "drop"
    label: str

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_labels("drop", x, (self.label,))
        if x.sizes[self.label] != 1:
            raise TypeProblem(f"drop[{self.label}]: the axis has size {x.sizes[self.label]}, not 1")
        return x.without((self.label,))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        return arrays[0].squeeze(types[0].index(self.label))

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g,)


@register
@dataclass(frozen=True)
class Split(Movement):
    """One axis as several, row-major in the listed order.

    Shapes    x: S ∪ [label=∏sizes] -> y: S ∪ parts      Dtypes  any -> same
    Gradient  dx = merge(g, parts as label)
    """

    name: ClassVar[str] = "split"
    label: str
    parts: tuple[Axis, ...]

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_labels("split", x, (self.label,))
        rest = x.without((self.label,))
        require_new("split", rest, (label for label, _ in self.parts))
        total = Type(x.dtype, self.parts).count()
        if total != x.sizes[self.label]:
            raise TypeProblem(f"split[{self.label}]: the parts have {total} elements, the axis {x.sizes[self.label]}")
        return rest.extended(self.parts)

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        (x,), at = arrays, types[0].index(self.label)
        whole = x.reshape([*x.shape[:at], *(number(size) for _, size in self.parts), *x.shape[at + 1 :]])
        labels = types[0].labels
        return arrange(whole, [*labels[:at], *(label for label, _ in self.parts), *labels[at + 1 :]], out.labels)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (apply("merge", g, labels=tuple(label for label, _ in self.parts), label=self.label),)


@register
@dataclass(frozen=True)
class Merge(Movement):
    """Several axes as one, row-major in the listed order.

    Shapes    x: S ∪ labels -> y: S ∪ [label=∏sizes]      Dtypes  any -> same
    Gradient  dx = split(g, label as labels)
    """

    name: ClassVar[str] = "merge"
    labels: tuple[str, ...]
    label: str

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_labels("merge", x, self.labels)
        rest = x.without(self.labels)
        require_new("merge", rest, (self.label,))
        count = Type(x.dtype, tuple((label, x.sizes[label]) for label in self.labels)).count()
        return rest.extended(((self.label, count),))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        rest = types[0].without(self.labels)
        ordered = arrange(arrays[0], types[0].labels, (*self.labels, *rest.labels))
        merged = ordered.reshape(number(out.sizes[self.label]), *shape(rest))
        return arrange(merged, (self.label, *rest.labels), out.labels)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (apply("split", g, label=self.label, parts=tuple((n, x.type.sizes[n]) for n in self.labels)),)


# ---------------------------------------------------------------- positions along one label
@register
@dataclass(frozen=True)
class Slice(Movement):
    """`size` elements along the label from `start` on. That they exist is checked here where it can be decided.

    Shapes    x: S ∪ [label] -> y: S ∪ [label=size]      Dtypes  any -> same
    Gradient  dx = pad(g, start zeros before and what is left behind)
    """

    name: ClassVar[str] = "slice"
    label: str
    start: Size
    size: Size

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_labels("slice", x, (self.label,))
        require_at_least("slice", "the start", self.start, 0)
        require_at_least("slice", "the size", self.size, 0)
        if certainly_less(x.sizes[self.label], self.start + self.size):
            end = self.start + self.size
            raise TypeProblem(f"slice[{self.label}={self.start}..{end}]: the axis has size {x.sizes[self.label]}")
        return x.without((self.label,)).extended(((self.label, self.size),))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        start = number(self.start)
        return along(arrays[0], types[0].index(self.label), slice(start, start + number(self.size)))

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        behind = x.type.sizes[self.label] - self.start - self.size
        return (apply("pad", g, label=self.label, low=self.start, high=behind),)


@register
@dataclass(frozen=True)
class Pad(Movement):
    """`low` fills before and `high` behind along the label.

    Shapes    x: S ∪ [label=n] -> y: S ∪ [label=low+n+high]      Dtypes  any -> same
    Gradient  dx = slice(g, n from low on)
    """

    name: ClassVar[str] = "pad"
    label: str
    low: Size
    high: Size
    fill: float = 0.0

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_labels("pad", x, (self.label,))
        require_at_least("pad", "low", self.low, 0)
        require_at_least("pad", "high", self.high, 0)
        size = self.low + x.sizes[self.label] + self.high
        return x.without((self.label,)).extended(((self.label, size),))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        (x,), at, low = arrays, types[0].index(self.label), number(self.low)
        padded = np.full(shape(out), self.fill, x.dtype)
        along(padded, at, slice(low, low + x.shape[at]))[...] = x
        return padded

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (apply("slice", g, label=self.label, start=self.low, size=x.type.sizes[self.label]),)


@register
@dataclass(frozen=True)
class Concat(Movement):
    """The operands one behind the other along the label; all their other axes are the same.

    Shapes    xᵢ: S ∪ [label=nᵢ] -> y: S ∪ [label=∑nᵢ]      Dtypes  any, all the same -> same
    Gradient  dxᵢ = slice(g, nᵢ from n₀ + … + nᵢ₋₁ on)
    """

    name: ClassVar[str] = "concat"
    arity: ClassVar[int | None] = None
    label: str

    def infer(self, *types: Type) -> Type:
        if not types:
            raise TypeProblem(f"concat[{self.label}] of nothing")
        for type_ in types:
            require_labels("concat", type_, (self.label,))
            if type_.without((self.label,)) != types[0].without((self.label,)):
                raise TypeProblem(f"concat[{self.label}]: {types[0]} and {type_} differ in more than {self.label}")
        total = sum((type_.sizes[self.label] for type_ in types), Size.of(0))
        return types[0].without((self.label,)).extended(((self.label, total),))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        return np.concatenate(arrays, axis=out.index(self.label))

    def vjp(self, g: Node, y: Node, *xs: Node) -> Cotangents:
        parts, start = [], Size.of(0)
        for x in xs:
            size = x.type.sizes[self.label]
            parts.append(apply("slice", g, label=self.label, start=start, size=size))
            start = start + size
        return tuple(parts)


@register
@dataclass(frozen=True)
class Flip(Movement):
    """Back to front along the label.

    Shapes    x: S -> y: S      Dtypes  any -> same
    Gradient  dx = flip(g)
    """

    name: ClassVar[str] = "flip"
    label: str

    def infer(self, *types: Type) -> Type:
        require_labels("flip", types[0], (self.label,))
        return types[0]

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        return np.flip(arrays[0], types[0].index(self.label))

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (apply("flip", g, label=self.label),)


def along(x: Array, axis: int, part: slice) -> Array:
    """A view of a part along one axis."""
    return x[(slice(None),) * axis + (part,)]
