"""Reductions: all elements along some labels become one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node, apply, lift
from zhdsl.ir.op import register
from zhdsl.ops.families import Reduce


@register
@dataclass(frozen=True)
class Sum(Reduce):
    """Sum along the labels; 0 over no elements. i32 wraps around; bool must be cast before.

    Shapes    x: S ∪ labels -> y: S      Dtypes  number -> same
    Gradient  dx = g, expanded along the labels by the caller
    """

    name: ClassVar[str] = "sum"
    combine: ClassVar[str] = "({acc} + {x})"
    identity: ClassVar[float] = 0.0

    def numpy(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(np.sum(x, axes, dtype=x.dtype))

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (g,)


@register
@dataclass(frozen=True)
class Max(Reduce):
    """The largest element along the labels; -inf (the least i32) over no elements; nan if one is nan.

    Shapes    x: S ∪ labels -> y: S      Dtypes  number -> same
    Gradient  dx = where(x == y, g, 0) / sum[labels](where(x == y, 1, 0)): shared among ties, so free of any order
    """

    name: ClassVar[str] = "max"
    combine: ClassVar[str] = "max({acc}, {x})"
    identity: ClassVar[float] = -math.inf

    def numpy(self, x: Array, axes: tuple[int, ...]) -> Array:
        least = np.iinfo(x.dtype).min if x.dtype.kind == "i" else -np.inf
        return np.asarray(np.max(x, axes, initial=least))

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        tie, zero = apply("eq", x, y), lift(0.0, x)
        ties = apply("sum", apply("where", tie, lift(1.0, x), zero), labels=self.labels)
        return (apply("where", tie, g, zero) / ties,)  # not g / ties: over no elements that is 0 / 0 at order 2


@register
@dataclass(frozen=True)
class ArgMax(Reduce):
    """Where the largest element is: its row-major position over the labels as listed, the first of several.

    A nan counts as the largest; over no elements the position is 0.

    Shapes    x: S ∪ labels -> y: S      Dtypes  number -> i32
    Gradient  none
    """

    name: ClassVar[str] = "argmax"
    combine: ClassVar[str] = "max({acc}, {x})"
    identity: ClassVar[float] = -math.inf
    gives: ClassVar[str] = "index"

    def numpy(self, x: Array, axes: tuple[int, ...]) -> Array:
        rest = [i for i in range(x.ndim) if i not in axes]
        kept = [x.shape[i] for i in rest]
        count = math.prod(x.shape[i] for i in axes)
        if not count:
            return np.zeros(kept, np.int32)
        return np.asarray(np.argmax(x.transpose([*rest, *axes]).reshape([*kept, count]), axis=-1).astype(np.int32))

    def vjp(self, g: Node, y: Node, x: Node) -> tuple[Node | None, ...]:
        return (None,)
