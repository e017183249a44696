"""Random numbers as a pure function of a key: the same (seed, purpose, …) gives the same numbers, always.

A key is hashed to the 128-bit key of a Philox counter generator, and only its raw 64-bit words are used: NumPy keeps
those the same between versions, which it does not promise of `Generator.permutation` or `Generator.normal`.
No state is carried anywhere, so epoch 17 can be drawn without drawing epochs 0 to 16.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x64-10).
"""

from __future__ import annotations

from hashlib import blake2b
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Purpose: TypeAlias = str | int


def raw(count: int, seed: int, *purpose: Purpose) -> Array:
    """`count` random words, uint64 [count], a function of (seed, purpose) alone."""
    text = "\x1f".join(map(str, (seed, *purpose)))
    key = np.frombuffer(blake2b(text.encode(), digest_size=16).digest(), dtype="<u8").astype(np.uint64)
    return np.asarray(np.random.Philox(key=key).random_raw(count), dtype=np.uint64)


def uniform(shape: tuple[int, ...], seed: int, *purpose: Purpose) -> Array:
    """Uniform numbers in [0, 1), float64 [*shape], on the grid of 2^-53."""
    words = raw(prod(shape), seed, *purpose).reshape(shape)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(low: int, high: int, shape: tuple[int, ...], seed: int, *purpose: Purpose) -> Array:
    """Integers from `low` to `high - 1`, int64 [*shape]; the bias is below (high - low) / 2^53."""
    steps: Array = np.floor(uniform(shape, seed, *purpose) * (high - low)).astype(np.int64)
    return steps + low


def permutation(count: int, seed: int, *purpose: Purpose) -> Array:
    """A permutation of 0 .. count - 1, int64 [count]: the order of random words, ties (never seen) kept stable."""
    return np.argsort(raw(count, seed, *purpose), kind="stable")
