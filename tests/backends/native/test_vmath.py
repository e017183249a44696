"""Scalar functions of kernels: their stated errors over all numbers, their special cases, and that loops vectorise."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zhdsl.backends.native import library, toolchain
from zhdsl.ops.special import erf

Array = np.ndarray[Any, np.dtype[Any]]
Function = Callable[..., Array]

DTYPES = {"f32": ("float", np.float32), "f64": ("double", np.float64), "i32": ("int32_t", np.int32)}
UNARY: dict[str, Function] = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "erf": erf, "sin": np.sin, "cos": np.cos}
EXACT: dict[str, Function] = {"floor": np.floor, "sqrt": np.sqrt}
BINARY: dict[str, Function] = {"pow": np.power, "floordiv": np.floor_divide, "mod": np.mod}
NAMES = [f"{op}_{dtype}" for op in (*UNARY, *EXACT, *BINARY) for dtype in ("f32", "f64")]
NAMES += ["floordiv_i32", "mod_i32"]
VECTORISED = [name for name in NAMES if not name.endswith("f64")] + ["exp_f64", "tanh_f64", "floor_f64", "sqrt_f64"]
# The errors that the header states, in units in the last place.
ERRORS = {"exp_f32": 1.0, "log_f32": 0.9, "tanh_f32": 1.4, "erf_f32": 1.3, "sin_f32": 1.7, "cos_f32": 1.7}
ERRORS |= {"pow_f32": 0.6, "exp_f64": 1.0, "tanh_f64": 2.0}
# With fused multiply-add and wide vectors if the machine has them; and without either.
FLAGS = {"native": toolchain.WANTED, "plain": ("-O2", "-ffp-contract=off")}
SPECIAL = [
    *(0.0, 1.0, 2.0, 3.0, 0.5, 0.1, 0.3, 7.0, 2.0**24, 2.0**24 + 2, 0.9999999, 1.0000001, 1e30, 1e-30, 1e-38, 3.4e38),
    *(1e-45, math.inf, math.nan),
]


def loop(name: str) -> str:
    dtype = DTYPES[name[-3:]][0]
    call = f"zh_{name}(x[i], y[i])" if name[:-4] in BINARY else f"zh_{name}(x[i])"
    return f"""
void {name}({dtype} *restrict out, const {dtype} *restrict x, const {dtype} *restrict y, long n) {{
  #pragma omp simd
  for (long i = 0; i < n; i++) out[i] = {call};
}}
"""


def source(names: list[str]) -> str:
    return '#include "vmath.h"\n' + "".join(map(loop, names))


def function(address: int, dtype: Any) -> Function:
    """The compiled loop as a function of arrays."""
    pointer = ctypes.c_void_p
    call = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, ctypes.c_long)(address)

    def compute(*operands: Any) -> Array:
        arrays = [np.ascontiguousarray(x, dtype) for x in operands]
        out = np.empty_like(arrays[0])
        call(out.ctypes.data, arrays[0].ctypes.data, arrays[-1].ctypes.data, out.size)
        return out

    return compute


@pytest.fixture(scope="module", params=FLAGS)
def vmath(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Function]:
    """Every function of the header, by name."""
    if not toolchain.available():
        pytest.skip(toolchain.reason())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        found = replace(toolchain.find(), flags=FLAGS[request.param])
        patch.setattr(toolchain, "find", lambda: found)
        halves = library.load([source(NAMES[::2]), source(NAMES[1::2])])
    return {name: function(halves[i % 2].function(name), DTYPES[name[-3:]][1]) for i, name in enumerate(NAMES)}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def all_f32(step: int, start: int = 0) -> Array:
    """Every `step`-th of all f32, by their bits."""
    return np.arange(start, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def special(dtype: Any) -> Array:
    return np.array([*SPECIAL, *(-x for x in SPECIAL)], dtype)


def pairs(values: Array) -> tuple[Array, Array]:
    x, y = np.meshgrid(values, values)
    return x.ravel(), y.ravel()


def same(x: Array, y: Array) -> Array:
    """Where two arrays have the same values, zeros the same signs."""
    return (x == y) & (np.signbit(x) == np.signbit(y)) | np.isnan(x) & np.isnan(y)


def ulps(found: Array, exact: Array) -> Array:
    """Distance in units in the last place of the exact values; 0 or inf where one side is nan or infinite."""
    about = np.finfo(found.dtype)
    exponent = np.maximum(np.frexp(np.abs(exact))[1] - 1, about.minexp)
    error = np.abs(found.astype(exact.dtype) - exact) / np.ldexp(exact.dtype.type(1), exponent - about.nmant)
    known = np.isfinite(found) & np.isfinite(exact.astype(found.dtype))
    return np.where(known, error, np.where(same(found, exact.astype(found.dtype)), 0.0, math.inf))


def worst(vmath: dict[str, Function], op: str, x: Array) -> float:
    return float(ulps(vmath[f"{op}_f32"](x), np.asarray(UNARY[op](x.astype(np.float64)))).max())


# ---------------------------------------------------------------- f32
@pytest.mark.parametrize("op", UNARY)
def test_f32_functions_keep_their_stated_error_over_all_numbers(op: str, vmath: dict[str, Function]) -> None:
    dense = np.random.default_rng(0).normal(0.0, 2.0, 100_000).astype(np.float32)
    assert worst(vmath, op, np.concatenate([all_f32(20011), dense, special(np.float32)])) <= ERRORS[f"{op}_f32"]


@pytest.mark.slow
@pytest.mark.parametrize("op", UNARY)
def test_f32_functions_keep_their_stated_error_over_a_dense_sweep(op: str, vmath: dict[str, Function]) -> None:
    step, pieces = 211, 16
    assert max(worst(vmath, op, all_f32(step * pieces, step * i)) for i in range(pieces)) <= ERRORS[f"{op}_f32"]


@pytest.mark.parametrize("op", UNARY)
def test_f32_functions_of_special_numbers_are_those_of_numpy(op: str, vmath: dict[str, Function]) -> None:
    x = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, -1e-45, 1e-40, -1e-40, 500.0, -500.0], np.float32)
    found, wanted = vmath[f"{op}_f32"](x), UNARY[op](x.astype(np.float64)).astype(np.float32)
    assert same(found, wanted)[:5].all()
    assert (np.isfinite(found) == np.isfinite(wanted)).all()
    assert (np.signbit(found) == np.signbit(wanted))[~np.isnan(wanted)].all()


def test_exp_f32_overflows_and_underflows_where_it_should(vmath: dict[str, Function]) -> None:
    limits = np.array([88.72283, 88.72284, -87.33655, -103.27893, -103.97208, -103.97209, 3e38, -3e38], np.float32)
    found = vmath["exp_f32"](limits)
    assert np.isinf(found).tolist() == [False, True, False, False, False, False, True, False]
    assert (found == 0).tolist() == [False, False, False, False, False, True, False, True]
    assert found[3] == found[4] == np.float32(1e-45)


def test_sine_and_cosine_are_right_next_to_multiples_of_a_quarter_turn(vmath: dict[str, Function]) -> None:
    rng = np.random.default_rng(1)
    near = (rng.integers(0, 2**23, 200_000) * (math.pi / 2)).astype(np.float32)
    closest = np.float32(16367173.0 * 2.0**72)  # of all f32 the one next to a multiple of pi / 2
    large = np.ldexp(rng.uniform(1.0, 2.0, 100_000), rng.integers(20, 128, 100_000)).astype(np.float32)
    for op in ("sin", "cos"):
        assert worst(vmath, op, np.concatenate([near, large, [closest, -closest]])) <= ERRORS[f"{op}_f32"]
    assert abs(vmath["cos_f32"]([closest])[0] - math.cos(float(closest))) <= 2e-16


@pytest.mark.parametrize("name", [f"{op}_{dtype}" for op in EXACT for dtype in ("f32", "f64")])
def test_floor_and_square_root_are_exact(name: str, vmath: dict[str, Function]) -> None:
    x = np.concatenate([all_f32(100_003), np.random.default_rng(2).normal(0.0, 9.0, 10_000).astype(np.float32)])
    x = x.astype(DTYPES[name[-3:]][1])
    assert same(vmath[name](x), EXACT[name[:-4]](x)).all()


def powers() -> tuple[Array, Array]:
    """Bases and exponents: ordinary ones, ones near 1 with large exponents, and all magnitudes."""
    rng, n = np.random.default_rng(3), 50_000
    bases = rng.uniform(0.0, 4.0, n), 1.0 + rng.normal(0.0, 1e-3, n), np.exp(rng.uniform(-100.0, 88.0, n))
    exponents = rng.normal(0.0, 5.0, n), rng.normal(0.0, 30_000.0, n), rng.normal(0.0, 1.0, n)
    whole = np.concatenate(exponents)[: n // 2].round()
    x = np.concatenate([*bases, -np.concatenate(bases)[: n // 2]])
    return x.astype(np.float32), np.concatenate([*exponents, whole]).astype(np.float32)


def test_pow_f32_keeps_its_stated_error(vmath: dict[str, Function]) -> None:
    x, y = powers()
    assert ulps(vmath["pow_f32"](x, y), np.power(x.astype(np.float64), y.astype(np.float64))).max() <= ERRORS["pow_f32"]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_pow_has_the_special_cases_of_c(dtype: str, vmath: dict[str, Function]) -> None:
    x, y = pairs(special(DTYPES[dtype][1]))
    wanted = np.power(x.astype(np.float64), y.astype(np.float64)).astype(x.dtype)
    found = vmath[f"pow_{dtype}"](x, y)
    assert (ulps(found, wanted.astype(np.longdouble)) <= 1.0).all()
    assert (np.signbit(found) == np.signbit(wanted))[~np.isnan(wanted)].all()


# ---------------------------------------------------------------- f64
def magnitudes(limit: float) -> Array:
    rng, n = np.random.default_rng(4), 100_000
    small = rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-320.0, 1.0, n)
    return np.concatenate([rng.uniform(-limit, limit, n), rng.normal(0.0, 1.0, n), small])


@pytest.mark.parametrize(("op", "limit"), [("exp", 750.0), ("tanh", 20.0), ("log", 5.0), ("sin", 1e6), ("cos", 1e6)])
def test_f64_functions_are_accurate(op: str, limit: float, vmath: dict[str, Function]) -> None:
    if np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("no wider floating-point type on this machine")
    x = np.concatenate([magnitudes(limit), special(np.float64)])
    exact = np.asarray(UNARY[op](x.astype(np.longdouble)))
    assert ulps(vmath[f"{op}_f64"](x), exact).max() <= ERRORS.get(f"{op}_f64", 1.0)


def test_erf_f64_is_that_of_the_c_library(vmath: dict[str, Function]) -> None:
    x = np.concatenate([magnitudes(6.0)[::50], special(np.float64)])
    assert same(vmath["erf_f64"](x), np.array([math.erf(v) for v in x])).all()


@pytest.mark.parametrize("op", UNARY)
def test_f64_functions_of_special_numbers_are_those_of_numpy(op: str, vmath: dict[str, Function]) -> None:
    x = np.array([0.0, -0.0, math.inf, -math.inf, math.nan], np.float64)
    assert same(vmath[f"{op}_f64"](x), np.asarray(UNARY[op](x))).all()


# ---------------------------------------------------------------- floordiv, mod
def quotients(dtype: Any) -> tuple[Array, Array]:
    """Operands: special ones, ones whose quotient is nearly whole, and quotients from 1e-70 to 1e70."""
    rng, n = np.random.default_rng(5), 20_000
    x, y = pairs(special(dtype))
    for spread in (0.0, 1.0, 4.0, 37.0):
        x, y = (np.append(v, rng.normal(0.0, 1.0, n) * 10.0 ** rng.uniform(-spread, spread, n)) for v in (x, y))
    multiples = rng.integers(-(10**6), 10**6, n) * 0.1
    return np.append(x, multiples).astype(dtype), np.append(y, np.full(n, 0.1)).astype(dtype)


@pytest.mark.parametrize("name", ["floordiv_f64", "mod_f64", "mod_f32"])
def test_division_gives_the_bits_of_numpy(name: str, vmath: dict[str, Function]) -> None:
    x, y = quotients(DTYPES[name[-3:]][1])
    assert same(vmath[name](x, y), BINARY[name[:-4]](x, y)).all()


def test_floordiv_f32_is_the_floor_of_the_exact_quotient(vmath: dict[str, Function]) -> None:
    x, y = quotients(np.float32)
    found, wide = vmath["floordiv_f32"](x, y), np.floor_divide(x.astype(np.float64), y.astype(np.float64))
    small = np.abs(wide) < 2.0**28  # beyond, NumPy's own f64 result is rounded
    assert same(found, wide.astype(np.float32))[small | ~np.isfinite(wide)].all()
    assert (ulps(found, np.where(np.isfinite(wide), wide, np.nan)) <= 1.0)[np.isfinite(wide)].all()
    assert vmath["floordiv_f32"]([1.0], [0.1]) == 9.0


def test_whole_numbers_divide_exactly(vmath: dict[str, Function]) -> None:
    rng, n, ends = np.random.default_rng(6), 200_000, [-(2**31), 2**31 - 1, -1, 1, 2, -7, 0]
    x, y = pairs(np.array(ends, np.int32))
    x = np.append(x, rng.integers(-(2**31), 2**31, n).astype(np.int32))
    y = np.append(y, (rng.integers(-(2**31), 2**31, n) >> rng.integers(0, 31, n)).astype(np.int32))
    assert (vmath["floordiv_i32"](x, y) == np.floor_divide(x, y)).all()
    assert (vmath["mod_i32"](x, y) == np.mod(x, y)).all()


# ---------------------------------------------------------------- what the compiler makes of them
@pytest.mark.parametrize("name", NAMES)
def test_a_result_does_not_depend_on_the_place_in_the_loop(name: str, vmath: dict[str, Function]) -> None:
    rng = np.random.default_rng(7)
    x, y = (rng.normal(0.0, 5.0, 4000).astype(DTYPES[name[-3:]][1]) for _ in range(2))
    operands = (x, y) if name[:-4] in BINARY else (x,)
    wanted = vmath[name](*operands)
    for count in (1, 7, 23, 37):  # ends of loops, which are scalar or of narrower vectors
        pieces = [vmath[name](*(v[i : i + count] for v in operands)) for i in range(0, x.size, count)]
        assert same(np.concatenate(pieces), wanted).all()


def bodies(assembly: str) -> dict[str, str]:
    """The text of each function."""
    labelled = re.split(r"^(\w+):$", assembly, flags=re.MULTILINE)
    return dict(zip(labelled[1::2], labelled[2::2], strict=True))


def test_loops_become_vector_code_without_calls(tmp_path: Any) -> None:
    found = toolchain.find()
    if platform.machine() != "x86_64" or "clang" in found.version or found.vector_bytes < 32:
        pytest.skip("looks for the registers of AVX as gcc prints them")
    command = [*found.command, *toolchain.REQUIRED, *found.flags, f"-I{library.HERE}"]
    toolchain.run([*command, "-S", "-o", os.fspath(tmp_path / "s"), "-x", "c", "-"], source(VECTORISED), 60.0)
    register = "%zmm" if found.vector_bytes == 64 else "%ymm"
    parts = bodies((tmp_path / "s").read_text())
    assert [name for name in VECTORISED if register not in parts[name] or "call" in parts[name]] == []
