"""Windows: every position along an axis sees its neighbours. Convolutions and pools are reductions of windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node, apply
from zhdsl.ir.op import register
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, TypeProblem
from zhdsl.ops.families import (
    Movement,
    arrange,
    number,
    require_at_least,
    require_labels,
    require_new,
    require_number,
    shape,
)
from zhdsl.ops.movement import along


@register
@dataclass(frozen=True)
class Window(Movement):
    """y[label=s, tap=t] = x[label = s*stride + t*dilation - low], and `fill` outside of x.

    Shapes    x: S ∪ [label=n] -> y: S ∪ [label=count, tap=taps]      Dtypes  any -> same
    Gradient  dx = fold(g, size = n)
    """

    name: ClassVar[str] = "window"
    label: str
    tap: str
    taps: Size
    stride: Size
    dilation: Size
    low: Size
    count: Size
    fill: float = 0.0

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_labels("window", x, (self.label,))
        require_new("window", x, (self.tap,))
        for what, size, least in (("stride", self.stride, 1), ("dilation", self.dilation, 1), ("count", self.count, 0)):
            require_at_least("window", what, size, least)
        require_at_least("window", "taps", self.taps, 0)
        return x.without((self.label,)).extended(((self.label, self.count), (self.tap, self.taps)))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        """A strided view of the padded x: no element is copied twice."""
        (x,), at = arrays, types[0].index(self.label)
        steps = number(self.stride), number(self.dilation)
        counts = number(self.count), number(self.taps)
        labels = (*types[0].labels, self.tap)
        if not all(counts):
            return np.zeros(shape(out), x.dtype)
        padded = self._reached(x, at, 1 + sum((n - 1) * step for n, step in zip(counts, steps, strict=True)))
        stride = padded.strides[at]
        view = np.lib.stride_tricks.as_strided(
            padded,
            (*padded.shape[:at], counts[0], *padded.shape[at + 1 :], counts[1]),
            (*padded.strides[:at], stride * steps[0], *padded.strides[at + 1 :], stride * steps[1]),
            writeable=False,
        )
        return arrange(view, labels, out.labels)

    def _reached(self, x: Array, at: int, extent: int) -> Array:
        """The `extent` elements from -low on, filled outside of x."""
        low, n = number(self.low), x.shape[at]
        if low <= 0 and extent - low <= n:
            return along(x, at, slice(-low, extent - low))
        padded = np.full((*x.shape[:at], extent, *x.shape[at + 1 :]), self.fill, x.dtype)
        first, end = max(0, -low), min(n, extent - low)
        if first < end:
            along(padded, at, slice(first + low, end + low))[...] = along(x, at, slice(first, end))
        return padded

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        steps = {"stride": self.stride, "dilation": self.dilation, "low": self.low}
        return (apply("fold", g, label=self.label, tap=self.tap, size=x.type.sizes[self.label], **steps),)


@register
@dataclass(frozen=True)
class Fold(Movement):
    """Adjoint of `window`: y[label = s*stride + t*dilation - low] is the sum of x[label=s, tap=t]; outside is lost.

    Shapes    x: S ∪ [label=count, tap=taps] -> y: S ∪ [label=size]      Dtypes  number -> same
    Gradient  dx = window(g, taps, count)
    """

    name: ClassVar[str] = "fold"
    label: str
    tap: str
    stride: Size
    dilation: Size
    low: Size
    size: Size

    def infer(self, *types: Type) -> Type:
        (x,) = types
        require_number("fold", x)
        if self.label == self.tap:
            raise TypeProblem(f"fold: position and tap are one axis, {self.tap}")
        require_labels("fold", x, (self.label, self.tap))
        for what, size, least in (("stride", self.stride, 1), ("dilation", self.dilation, 1), ("size", self.size, 0)):
            require_at_least("fold", what, size, least)
        return x.without((self.label, self.tap)).extended(((self.label, self.size),))

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        """One shifted sum per tap, taps in rising order."""
        total = np.zeros(shape(out), arrays[0].dtype)
        at, (x_at, tap_at) = out.index(self.label), map(types[0].index, (self.label, self.tap))
        stride, low, n = number(self.stride), number(self.low), total.shape[at]
        count = arrays[0].shape[x_at]
        for t in range(arrays[0].shape[tap_at]):
            offset = t * number(self.dilation) - low
            first = max(0, -(offset // stride))  # the first position inside
            end = min(count, (n - 1 - offset) // stride + 1)
            if first < end:
                x = arrays[0].take(t, tap_at)
                reached = along(total, at, slice(first * stride + offset, (end - 1) * stride + offset + 1, stride))
                reached += along(x, at, slice(first, end))
        return total

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        steps = {"stride": self.stride, "dilation": self.dilation, "low": self.low}
        sizes = {"taps": x.type.sizes[self.tap], "count": x.type.sizes[self.label]}
        return (apply("window", g, label=self.label, tap=self.tap, **sizes, **steps),)
