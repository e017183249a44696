"""What kernels become: library products without copies, few calls, ufuncs on memory that is there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.backends.harness import ordered
from tests.schedule.programs import graph, program
from zhdsl.backends.numpy import NumpyExecutable
from zhdsl.backends.numpy.calls import coalesced
from zhdsl.backends.numpy.contract import library_matrix
from zhdsl.ops.evaluate import evaluate

ATTENTION = """
  input data x: [B, Q, D=8] as %0
  input param Wq: [D=8, H=2, E=4] as %1
  input param Wk: [D=8, H=2, E=4] as %2
  input param Wo: [H=2, E=4, N=8] as %3
  %4 = contract[D](%0, %1)
  %5 = contract[D](%0, %2)
  %6 = relabel[Q as K](%5)
  %7 = contract[E](%4, %6)
  %8 = exp(%7)
  %9 = contract[K](%8, %6)
  %10 = contract[H, E](%9, %3)
  %11 = contract[B, Q](%0, %10)
  output result y[B, Q, N] = %10
  output result dW[D, N] = %11
"""
CONVOLUTION = """
  input data x: [B, H=8, W=8, C=4] as %0
  input param k: [C=4, R=3, S=3, N=6] as %1
  %2 = window[label=H, tap=R, taps=3, stride=1, dilation=1, low=1, count=8](%0)
  %3 = window[label=W, tap=S, taps=3, stride=1, dilation=1, low=1, count=8](%2)
  %4 = contract[C, R, S](%3, %1)
  %5 = contract[B, H, W](%3, %4)
  %6 = contract[N](%4, %1)
  %7 = fold[label=W, tap=S, stride=1, dilation=1, low=1, size=8](%6)
  %8 = fold[label=H, tap=R, stride=1, dilation=1, low=1, size=8](%7)
  output result y[B, H, W, N] = %4
  output result dk[C, R, S, N] = %5
  output result dx[B, H, W, C] = %8
"""


def is_library_matrix(array: np.ndarray) -> bool:
    (m, n), (row, column) = array.shape[-2:], (s // array.itemsize for s in array.strides[-2:])
    return library_matrix((m, row), (n, column))


@pytest.mark.parametrize(("lines", "sizes", "most"), [(ATTENTION, {"B": 3, "Q": 5}, 6), (CONVOLUTION, {"B": 5}, 3)])
def test_every_product_is_one_that_a_library_takes_as_it_is(lines: str, sizes: dict[str, int], most: int) -> None:
    binding = NumpyExecutable(program(lines), "f32").bind(sizes)
    products = [args for function, args in binding.calls if function is np.matmul]
    assert 0 < len(products) <= most
    assert all(is_library_matrix(array) for args in products for array in args)


def test_a_small_step_is_a_few_calls() -> None:
    binding = NumpyExecutable(
        program("""
          input data x: [B, D=3] as %0
          input param W: [D=3, N=4] as %1
          input param b: [N=4] as %2
          %3 = contract[D](%0, %1)
          %4 = add(%3, %2)
          %5 = lt(0.0, %4)
          %6 = where(%5, %4, 0.0)
          output result y[B, N] = %6
        """),
        "f32",
    ).bind({"B": 5})
    assert len(binding.calls) == 4  # product, sum, comparison, choice
    assert all(array.base is not None for _, args in binding.calls for array in args)  # views of the arena


@pytest.mark.parametrize(("y", "z"), [("%1", "0.0"), ("0.0", "%1"), ("%1", "%2"), ("%1", "-0.0"), ("%2", "%2")])
@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_a_choice_is_exact_to_the_bit(y: str, z: str, dtype: str) -> None:
    lines = f"""
      input data c: bool[N] as %0
      input data x: [N] as %1
      input data w: [N] as %2
      %3 = where(%0, {y}, {z})
      output result y[N] = %3
    """
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, 1e-320, -2.0])
    kind = {"f16": "f2", "f32": "f4", "f64": "f8"}[dtype]
    c, x, w = np.arange(8) % 2 == 0, special.astype(kind), special[::-1].astype(kind)
    values = {"%1": x, "%2": w, "0.0": np.zeros(8, kind), "-0.0": np.full(8, -0.0, kind)}
    found = NumpyExecutable(program(lines), dtype).run({"data/c": c, "data/x": x, "data/w": w}, sizes={"N": 8})
    assert found["result/y"].tobytes() == np.where(c, values[y], values[z]).tobytes()


def test_a_choice_over_its_own_operands() -> None:
    """Both branches die here, so the result lies over one of them."""
    lines = """
      input data x: [N] as %0
      %1 = lt(0.0, %0)
      %2 = exp(%0)
      %3 = sin(%0)
      %4 = where(%1, %2, %3)
      %5 = where(%1, %4, %2)
      output result y[N] = %5
    """
    x = np.linspace(-2, 2, 9)
    found = NumpyExecutable(program(lines), "f64").run({"data/x": x})["result/y"]
    np.testing.assert_allclose(found, np.exp(x), rtol=1e-15)


def test_erf_in_single_precision_is_right_to_a_few_ulp() -> None:
    lines = """
      input data x: [N] as %0
      %1 = erf(%0)
      output result y[N] = %1
    """
    ends = [np.nan, np.inf, -np.inf, 0.0, 1e-30, -1e-5, 3.9, -3.9, 5.0]
    x = np.concatenate([np.linspace(-5, 5, 20001), ends]).astype("f4")
    found = NumpyExecutable(program(lines), "f32").run({"data/x": x})["result/y"].astype("f8")
    wanted = np.array([math.erf(float(value)) for value in x])
    assert np.isnan(found[-len(ends)])
    assert np.nanmax(np.abs(found)) == 1
    there = wanted != 0
    error = np.abs(found[there] - wanted[there]) / np.abs(wanted[there])
    assert np.nanmax(error) < 5e-7
    assert not found[~there].any()


@pytest.mark.parametrize("axes", ["N=3, M", "M", "M=1", ""])
@pytest.mark.parametrize("size", [1, 7, 40_000])
def test_random_numbers_are_those_of_the_reference_in_every_run(axes: str, size: int) -> None:
    lines = f"""
      input counter seed: i32[] as %0
      input counter sample: i32[B] as %1
      input counter t: i32[K=2] as %2
      %3 = uniform[stream=5, axes=[{axes}]](%0, %1, %2)
      %4 = uniform[stream=6, axes=[{axes}]](%0)
      output result y[B, K{", " + axes.replace("=3", "").replace("=1", "") if axes else ""}] = %3
      output result z[{axes.replace("=3", "").replace("=1", "")}] = %4
    """
    executable = NumpyExecutable(program(lines), "f64")
    of_graph = graph(lines)
    for seed in (3, -1):
        values = [np.asarray(seed), np.arange(3) * seed, np.array([5, 6])]
        keys = ("counter/seed", "counter/sample", "counter/t")
        sizes = {"B": 3, "M": size}
        found = executable.run(dict(zip(keys, values, strict=True)), sizes=sizes)
        given = dict(zip((p.node for p in of_graph.inputs), values, strict=True))
        for port, wanted in zip(of_graph.outputs, evaluate(of_graph, given, sizes), strict=True):
            np.testing.assert_array_equal(found[f"result/{port.name}"], ordered(wanted, port))


@pytest.mark.parametrize("count", [10, 5000])
def test_a_short_reduction_is_right_both_ways(count: int) -> None:
    """With many results it is one ufunc per reduced index, with few it is `reduce`."""
    lines = """
      input data x: [B, K=3] as %0
      %1 = sum[K](%0)
      %2 = max[K](%0)
      output result s[B] = %1
      output result m[B] = %2
    """
    x = np.random.default_rng(0).standard_normal((count, 3))
    x[1, 2] = np.nan
    found = NumpyExecutable(program(lines), "f64").run({"data/x": x})
    np.testing.assert_allclose(found["result/s"], x.sum(1))
    np.testing.assert_array_equal(found["result/m"], x.max(1))


@pytest.mark.parametrize("size", [4, 700])
def test_rows_that_meet_are_added_one_by_one_or_sorted(size: int) -> None:
    lines = """
      input data g: [B, D=8] as %0
      input data i: i32[B] as %1
      %2 = scatter[V](%0, %1): [V=5, D=8]
      output result y[V, D] = %2
    """
    rng = np.random.default_rng(size)
    g, i = rng.standard_normal((size, 8)), rng.integers(-1, 7, size)
    wanted = np.zeros((5, 8))
    inside = (i >= 0) & (i < 5)
    np.add.at(wanted, i[inside], g[inside])
    found = NumpyExecutable(program(lines), "f64").run({"data/g": g, "data/i": i})["result/y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_bf16_is_rounded_after_every_op() -> None:
    lines = """
      input data x: [B, D=9] as %0
      %1 = cast[bf16](%0)
      %2 = tanh(%1)
      %3 = contract[B](%1, %2)
      %4 = sum[D](%2)
      %5 = cast[float](%3)
      %6 = cast[float](%4)
      output result y[D] = %5
      output result z[B] = %6
    """
    x = np.random.default_rng(0).standard_normal((5, 9))
    found = NumpyExecutable(program(lines), "f64").run({"data/x": x})
    of_graph = graph(lines)
    y, z = evaluate(of_graph, {of_graph.inputs[0].node: x}, {"B": 5})
    np.testing.assert_allclose(found["result/y"], y, rtol=2**-7)  # sums in another order may round to a neighbour
    np.testing.assert_allclose(found["result/z"], z, rtol=2**-7)
    assert np.array_equal(found["result/y"].astype("f4").view("u4") & 0xFFFF, np.zeros(9))


def test_axes_merge_where_all_operands_allow_it() -> None:
    assert coalesced([2, 3, 4], [(12, 12), (4, 4), (1, 1)]) == ([24], [(1, 1)])
    assert coalesced([2, 3, 4], [(12, 0), (4, 4), (1, 1)]) == ([2, 12], [(12, 0), (1, 1)])
    assert coalesced([2, 1, 4], [(4, 4), (9, 0), (1, 1)]) == ([8], [(1, 1)])
    assert math.prod(coalesced([], [])[0]) == 1
