"""Loops: the calls of all steps are made from those of three, and are what binding every step would give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.schedule.programs import program
from zhdsl.backends.numpy import NumpyExecutable, kernels
from zhdsl.backends.numpy.backend import Binding

LSTM_LIKE = """
  input data x: [T, B, D=3] as %0
  input data h: [B, N=4] as %1
  input param W: [D=3, N=4] as %2
  input param U: [N=4, M=4] as %3
  %4 = scan[label=T, size=T, reverse=REVERSE, truncate=0, body={
    carry %0: [B, N=4]
    slice %1: [B, D=3]
    capture %2: [D=3, N=4]
    capture %3: [N=4, M=4]
    %4 = contract[D](%1, %2)
    %5 = contract[N](%0, %3)
    %6 = relabel[M as N](%5)
    %7 = add(%4, %6)
    %8 = erf(%7)
    %9 = sum[N](%8)
    %10 = lt(%9, %7)
    %11 = where(%10, %8, 0.0)
    next %11
    emit %9
    emit %8
  }](%1, %0, %2, %3)
  %5 = project[0](%4): [B, T]
  %6 = project[1](%4): [B, N=4, T]
  output result s[B, T] = %5
  output result e[B, T, N] = %6
"""
SCALARS = """
  input data x: [T] as %0
  input data h: [] as %1
  %2 = scan[label=T, size=T, reverse=REVERSE, truncate=0, body={
    carry %0: []
    slice %1: []
    %2 = mul(%0, %1)
    %3 = tanh(%2)
    next %3
    emit %3
  }](%1, %0)
  %3 = project[0](%2): [T]
  output result y[T] = %3
"""
GATHER = """
  input data x: [T, V=5] as %0
  input data ids: i32[T, B] as %1
  input data h: [B] as %2
  %3 = scan[label=T, size=T, reverse=REVERSE, truncate=0, body={
    carry %0: [B]
    slice %1: [V=5]
    slice %2: i32[B]
    %3 = gather[V](%1, %2)
    %4 = add(%3, %0)
    next %4
    emit %4
  }](%2, %0, %1)
  %4 = project[0](%3): [B, T]
  output result y[T, B] = %4
"""
NESTED = """
  input data x: [T, K=6, B] as %0
  input data h: [B] as %1
  %2 = scan[label=T, size=T, reverse=REVERSE, truncate=0, body={
    carry %0: [B]
    slice %1: [B, K=6]
    %2 = scan[label=K, size=6, reverse=false, truncate=0, body={
      carry %0: [B]
      slice %1: [B]
      %2 = mul(%0, %1)
      %3 = tanh(%2)
      next %3
      emit %3
    }](%0, %1)
    %3 = project[2](%2): [B]
    %4 = project[0](%2): [B, K=6]
    next %3
    emit %4
  }](%1, %0)
  %3 = project[0](%2): [B, K=6, T]
  output result y[T, K, B] = %3
"""
TEXTS = {"products": LSTM_LIKE, "scalars": SCALARS, "gather": GATHER, "nested": NESTED}


def bound(text: str, steps: int, reverse: str = "false", dtype: str = "f32") -> Binding:
    found = program(text.replace("REVERSE", reverse))
    sizes = {s: 3 if s == "B" else steps for s in found.symbols}
    return NumpyExecutable(found, dtype).bind(sizes)


def filled(binding: Binding) -> dict[str, Any]:
    """Results on numbers that depend on nothing but their places."""
    rng = np.random.default_rng(0)
    for array in binding.inputs.values():
        array[...] = rng.integers(0, 5, array.shape) if array.dtype.kind == "i" else rng.normal(size=array.shape)
    binding.execute()
    return {key: array.copy() for key, array in binding.outputs.items()}


@pytest.mark.parametrize("reverse", ["false", "true"])
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("steps", [5, 9])
def test_the_calls_of_a_long_loop_are_those_of_its_steps(
    name: str, steps: int, reverse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = bound(TEXTS[name], steps, reverse)
    results = filled(short)
    monkeypatch.setattr(kernels, "FEW", 1000)
    each = bound(TEXTS[name], steps, reverse)
    assert [b.kernel.name for b in short.bound] == [b.kernel.name for b in each.bound]
    assert [f for f, _ in short.calls if f is np.add] == [f for f, _ in each.calls if f is np.add]
    for key, array in filled(each).items():
        np.testing.assert_array_equal(results[key], array)


@pytest.mark.parametrize(("name", "times"), [("products", 3), ("scalars", 3)])
def test_a_kernel_of_a_long_loop_is_bound_three_times(name: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    bind_kernel = kernels.bind_kernel
    monkeypatch.setattr(kernels, "bind_kernel", lambda m, k: (seen.append(k.name), bind_kernel(m, k))[1])
    binding = bound(TEXTS[name], 1000)
    looped = [k.name for k in binding.program.all_kernels[1:]]
    assert max(seen.count(k) for k in looped) == times
