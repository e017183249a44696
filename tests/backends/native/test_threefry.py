"""Random numbers of native kernels: the bits of the reference, from any element in any step."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from zhdsl.backends.native import toolchain
from zhdsl.backends.native.library import Library, load
from zhdsl.ir.types import FLOAT, Type
from zhdsl.ops.random import Uniform, threefry

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = {"f32": np.float32, "f64": np.float64}
SOURCE = """
#include "threefry.h"
void key(uint32_t *key, uint32_t counter, uint32_t k) { zh_key(key, counter, k); }
void f32(const uint32_t *key, long first, long step, long count, float *out, long stride) {
  zh_uniform_f32(key, first, step, count, out, stride);
}
void f64(const uint32_t *key, long first, long step, long count, double *out, long stride) {
  zh_uniform_f64(key, first, step, count, out, stride);
}
"""
WORD = 2**32
# Beginnings at which a block's number needs its upper word, or comes to need it on the way.
FIRSTS = [0, 1, 6, 7, WORD - 3, 2 * WORD - 40, 2 * WORD - 21, 2 * WORD - 1, 2 * WORD, 5 * WORD + 11, 2**61 + 3]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Library:
    if not toolchain.available():
        pytest.skip(toolchain.reason())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return load([SOURCE])[0]


def key_of(kernels: Library, seed: int, stream: int, counters: list[int]) -> Array:
    """The key (seed, stream) after the counters, as `Uniform` takes them."""
    key = np.array([seed, stream], np.uint32)
    take = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)(kernels.function("key"))
    for k, counter in enumerate(counters, 1):
        take(key.ctypes.data, counter % WORD, k)
    return key


def drawn(
    kernels: Library, dtype: str, key: Array, first: int, count: int, step: int = 1, stride: int = 1
) -> tuple[Array, Array]:
    """The numbers, and what lies between and behind them: -1 if it was left alone."""
    out = np.full(count * stride + 16, -1.0, DTYPES[dtype])
    pointer, number = ctypes.c_void_p, ctypes.c_long
    fill = ctypes.CFUNCTYPE(None, pointer, number, number, number, pointer, number)(kernels.function(dtype))
    fill(key.ctypes.data, first, step, count, out.ctypes.data, stride)
    taken = np.zeros(out.size, bool)
    taken[: count * stride : stride] = True
    return out[taken], out[~taken]


def wanted(dtype: str, key: Array, elements: list[int]) -> Array:
    """The numbers by the reference's `threefry`, element by element."""
    low, high = (np.array([e // 2 // part % WORD for e in elements], np.uint32) for part in (1, WORD))
    x, y = threefry((key[:1], key[1:]), (low, high))
    bits = np.where(np.array([e % 2 for e in elements], bool), y, x)
    return ((bits >> np.uint32(8)) / 2.0**24).astype(DTYPES[dtype])


def require(kernels: Library, dtype: str, key: Array, first: int, count: int, step: int = 1, stride: int = 1) -> None:
    found, rest = drawn(kernels, dtype, key, first, count, step, stride)
    assert found.tobytes() == wanted(dtype, key, [first + step * i for i in range(count)]).tobytes()
    assert (rest == -1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 2, 5, 40, 10_001])
def test_numbers_have_the_bits_of_the_op(count: int, dtype: str, kernels: Library) -> None:
    rng = np.random.default_rng(count)
    for counters in ([], [0], [3, -1], [2**31 - 1, -(2**31), 77]):
        seed, stream = int(rng.integers(-(2**31), 2**31)), int(rng.integers(WORD))
        op = Uniform(stream, (("T", count),))
        types = (Type("i32", ()),) * (1 + len(counters))
        arrays = [np.array(c, np.int32) for c in (seed, *counters)]
        by_op = op.numpy(*arrays, types=types, out=Type(FLOAT, (("T", count),))).astype(DTYPES[dtype])
        key = key_of(kernels, seed % WORD, stream, counters)
        assert drawn(kernels, dtype, key, 0, count)[0].tobytes() == by_op.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("first", FIRSTS)
def test_a_run_of_any_length_may_begin_at_any_element(first: int, dtype: str, kernels: Library) -> None:
    key = np.random.default_rng(first).integers(WORD, size=2).astype(np.uint32)
    for count in range(41):
        require(kernels, dtype, key, first, count)
    require(kernels, dtype, key, first, 3001)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("step", "stride"), [(2, 1), (1, 3), (7, 2), (0, 1), (-1, 1), (WORD + 1, 5)])
def test_elements_may_be_apart_on_either_side(step: int, stride: int, dtype: str, kernels: Library) -> None:
    key = np.random.default_rng(stride).integers(WORD, size=2).astype(np.uint32)
    for first in (1000, 2 * WORD - 5, 2 * WORD + 4):
        for count in (0, 1, 2, 37, 300):
            require(kernels, dtype, key, first, count, step, stride)
