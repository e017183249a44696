"""Products to test with: the shapes of layers, at small sizes, and random affine ones."""

from __future__ import annotations

import random
from itertools import accumulate

from zhdsl.backends.native.product import Dim, Number, Product

SIZES = (19, 20, 35)
"""What z[0], z[1] and z[2] are in every test."""


def dense(b: Number, f: Number, n: Number, dtype: str = "f32", accumulate: bool = False) -> Product:
    """x[b, f] · w[f, n]."""
    return Product((Dim(b, f, n),), (Dim(n, 1, 1),), (Dim(f, 1, n),), dtype, accumulate)


def dense_data_gradient(b: Number, f: Number, n: Number, dtype: str = "f32") -> Product:
    """g[b, n] · w[f, n]: columns lie n apart in w."""
    return Product((Dim(b, n, f),), (Dim(f, n, 1),), (Dim(n, 1, 1),), dtype, False)


def dense_weight_gradient(b: Number, f: Number, n: Number, dtype: str = "f32", accumulate: bool = False) -> Product:
    """x[b, f] · g[b, n], summed over b."""
    return Product((Dim(f, 1, n),), (Dim(n, 1, 1),), (Dim(b, f, n),), dtype, accumulate)


def convolution(side: int, c: int, n: int, kernel: int = 3, stride: int = 1, dtype: str = "f32") -> Product:
    """A padded image x[h, w, c] with w[h', w', c, n]; its data gradient is the same with other weights."""
    wide = (side - 1) * stride + kernel
    rows = (Dim(side, stride * wide * c, side * n), Dim(side, stride * c, n))
    sums = (Dim(kernel, wide * c, kernel * c * n), Dim(kernel, c, c * n), Dim(c, 1, n))
    return Product(rows, (Dim(n, 1, 1),), sums, dtype, False)


def weight_gradient(side: int, c: int, n: int, kernel: int = 3, stride: int = 1, dtype: str = "f32") -> Product:
    """One image's share of a convolution's weight gradient."""
    wide = (side - 1) * stride + kernel
    rows = (Dim(kernel, wide * c, kernel * c * n), Dim(kernel, c, c * n), Dim(c, 1, n))
    sums = (Dim(side, stride * wide * c, side * n), Dim(side, stride * c, n))
    return Product(rows, (Dim(n, 1, 1),), sums, dtype, True)


def scores(t: int, e: int, heads: int, dtype: str = "f32") -> Product:
    """q[t, e] · k[t', e] of one head of several, interleaved."""
    return Product((Dim(t, e * heads, t),), (Dim(t, e * heads, 1),), (Dim(e, 1, 1),), dtype, False)


def attended(t: int, e: int, heads: int, dtype: str = "f32") -> Product:
    """p[t, t'] · v[t', e] of one head of several, interleaved."""
    return Product((Dim(t, t, e * heads),), (Dim(e, 1, 1),), (Dim(t, 1, e * heads),), dtype, False)


def layers(dtype: str) -> dict[str, Product]:
    """The shapes of layers, small; some with run-time sizes."""
    return {
        "dense": dense(29, 70, 83, dtype),
        "dense, two levels of sums": dense(5, 2100, 33, dtype),
        "dense, accumulating": dense(9, 1100, 19, dtype, accumulate=True),
        "dense, 10 columns": dense(50, 40, 10, dtype),
        "dense, packed": dense(50, 40, 300, dtype),
        "dense data gradient": dense_data_gradient(21, 66, 35, dtype),
        "dense data gradient, two levels": dense_data_gradient(5, 20, 1500, dtype),
        "dense weight gradient": dense_weight_gradient(33, 41, 50, dtype),
        "convolution": convolution(8, 4, 16, dtype=dtype),
        "convolution, 2 × 3 runs": convolution(3, 8, 24, dtype=dtype),
        "convolution, stride 2": convolution(5, 3, 5, stride=2, dtype=dtype),
        "convolution, one channel": convolution(7, 1, 32, dtype=dtype),
        "convolution, 1 × 1, stride 2": convolution(6, 8, 16, kernel=1, stride=2, dtype=dtype),
        "weight gradient": weight_gradient(8, 8, 16, dtype=dtype),
        "weight gradient, 3 channels": weight_gradient(6, 3, 10, dtype=dtype),
        "weight gradient, stride 2": weight_gradient(4, 8, 32, stride=2, dtype=dtype),
        "recurrent step": dense(8, 64, 256, dtype),
        "scores": scores(20, 8, 2, dtype),
        "attended": attended(20, 8, 2, dtype),
        "two columns": dense(97, 32, 2, dtype),
        "one row": dense(1, 40, 70, dtype),
        "four rows": dense(4, 40, 70, dtype),
        "one row, columns apart": dense_data_gradient(1, 40, 70, dtype),
        "short sums": dense(50, 2, 32, dtype),
        "one element": dense(1, 1, 1, dtype),
        "rows contiguous in out": Product((Dim(5, 1, 1),), (Dim(4, 1, 5),), (Dim(6, 5, 4),), dtype, False),
        "nothing contiguous": Product((Dim(5, 13, 8),), (Dim(4, 3, 2),), (Dim(6, 2, 12),), dtype, False),
        "run-time rows": dense("z[0]", 20, 37, dtype),
        "run-time sums": dense_weight_gradient("z[2]", 20, 37, dtype, accumulate=True),
        "run-time everything": dense("z[0]", "z[1]", "z[2]", dtype),
        "run-time data gradient": dense_data_gradient("z[0]", "z[1]", "z[2]", dtype),
    }


def random_product(seed: int, dtype: str = "f32") -> Product:
    """Up to three dims of each kind, in any order in memory, with gaps; now and then an extent of one."""
    rng = random.Random(seed)
    kinds = [[rng.choice((1, 2, 3, 4, 5, 7, 9, 17)) for _ in range(rng.randint(1, 3))] for _ in range(3)]
    kinds = [small(extents) for extents in kinds]
    rows, columns, sums = kinds
    a, b, out = (strides(rng, x, y) for x, y in ((rows, sums), (columns, sums), (rows, columns)))
    return Product(
        tuple(map(Dim, rows, a[0], out[0])),
        tuple(map(Dim, columns, b[0], out[1])),
        tuple(map(Dim, sums, a[1], b[1])),
        dtype,
        rng.random() < 0.5,
    )


def small(extents: list[int]) -> list[int]:
    """With at most 153 elements."""
    return [e if size <= 153 else 1 for e, size in zip(extents, accumulate(extents, int.__mul__), strict=True)]


def strides(rng: random.Random, first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
    """Strides of an array with both groups of axes, in a random order (often as they are, contiguous at the end)."""
    extents = [*first, *second]
    order = list(range(len(extents)))
    if rng.random() < 0.5:
        rng.shuffle(order)
    found, stride = [0] * len(extents), rng.choice((1, 1, 1, 2))
    for axis in reversed(order):
        found[axis] = stride
        stride *= extents[axis] + rng.choice((0, 0, 0, 1))
    return found[: len(first)], found[len(first) :]
