"""Random numbers as a pure function of counters: the same bits on every machine, in every order and layout.

Source: Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC 2011): Threefry-2x32, 20 rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node
from zhdsl.ir.op import register
from zhdsl.ir.types import FLOAT, Axis, Type, TypeProblem, union
from zhdsl.ops.families import Random, arrange, number, require_at_least, require_index, require_new

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA

Words = tuple[Array, Array]  # two uint32 arrays that broadcast


def threefry(key: Words, counter: Words) -> Words:
    """Threefry-2x32-20: two words of 32 random bits from two of key and two of counter."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(PARITY))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for round_ in range(20):
        left = ROTATIONS[round_ % 8]
        x = x + y
        y = ((y << np.uint32(left)) | (y >> np.uint32(32 - left))) ^ x
        if round_ % 4 == 3:
            injection = round_ // 4 + 1
            x = x + keys[injection % 3]
            y = y + keys[(injection + 1) % 3] + np.uint32(injection)
    return x, y


@register
@dataclass(frozen=True)
class Uniform(Random):
    """Uniform numbers in [0, 1), multiples of 2^-24, one for every element of `axes` and of the counters' labels.

    The key starts as (seed, stream). Every further counter c, the k-th from 1 on, makes it threefry(key, (c, k)).
    Element e, row-major over `axes` as listed, is word e % 2 of threefry(key, (b mod 2^32, b // 2^32)) with b = e // 2;
    the number is its upper 24 bits / 2^24. Counters are taken modulo 2^32.

    Shapes    cₖ: Rₖ -> y: axes ∪ R₁ ∪ R₂ …      Dtypes  i32 … -> float
    Gradient  none
    """

    name: ClassVar[str] = "uniform"
    arity: ClassVar[int | None] = None
    stream: int
    axes: tuple[Axis, ...]

    def infer(self, *types: Type) -> Type:
        if not types:
            raise TypeProblem("uniform without a seed")
        if not 0 <= self.stream < 2**32:
            raise TypeProblem(f"uniform: stream {self.stream} is not a word of 32 bits")
        require_index("uniform", types)
        counters = Type(FLOAT, union(types))
        require_new("uniform", counters, (label for label, _ in self.axes))
        for label, size in self.axes:
            require_at_least("uniform", f"the size of {label}", size, 0)
        return counters.extended(self.axes)

    def numpy(self, *arrays: Array, types: tuple[Type, ...], out: Type) -> Array:
        labels = tuple(label for label, _ in union(types))
        words = [arrange(x, t.labels, (*labels, "element")) for x, t in zip(arrays, types, strict=True)]
        bits = self.bits([w.astype(np.int64).astype(np.uint32) for w in words])
        sizes = [number(out.sizes[label]) for label in labels] + [number(size) for _, size in self.axes]
        full = np.broadcast_to(bits, (*sizes[: len(labels)], bits.shape[-1])).reshape(sizes)
        return arrange(full >> np.uint32(8), (*labels, *(label for label, _ in self.axes)), out.labels) / 2.0**24

    def bits(self, counters: list[Array]) -> Array:
        """32 random bits for every element, the last axis; the counters (uint32) end in an axis of size 1."""
        key: Words = counters[0], np.full_like(counters[0], self.stream)
        for k, counter in enumerate(counters[1:], 1):
            key = threefry(key, (counter, np.full_like(counter, k)))
        count = math.prod(number(size) for _, size in self.axes)
        block = np.arange((count + 1) // 2, dtype=np.uint64)
        x, y = threefry(key, (block.astype(np.uint32), (block >> np.uint64(32)).astype(np.uint32)))
        return np.stack((x, y), -1).reshape(*x.shape[:-1], -1)[..., :count]

    def vjp(self, g: Node, y: Node, *counters: Node) -> tuple[Node | None, ...]:
        return (None,) * len(counters)
