"""The verifier of programs: all specs and layers pass, and every rule catches what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.schedule.programs import graph, kernels, program
from zhdsl.backends.numpy.backend import NumpyExecutable
from zhdsl.errors import CompilerError
from zhdsl.ir.graph import Graph
from zhdsl.lang.check import check
from zhdsl.lang.model import Project
from zhdsl.lang.parser import parse
from zhdsl.passes import run_passes
from zhdsl.runtime.spec import opened
from zhdsl.runtime.step import gradient_graph, step_graph
from zhdsl.schedule import schedule
from zhdsl.schedule.program import Kernel, Program
from zhdsl.schedule.taps import window_pairs
from zhdsl.schedule.verify import RULES, verify
from zhdsl.source import Source

SPECS = Path(__file__).parent.parent.parent / "specs"
FILES = sorted(str(path.relative_to(SPECS)) for path in SPECS.rglob("*.zh"))
QUICK = {"convnets/lenet5.zh", "digits.zh", "sequences/adding.zh", "supervised/xor.zh", "translation/seq2seq.zh"}
LAYERS = (
    'Conv[5, 3, pad = "valid"]',
    "Conv[5, 3, stride = 2, pad = 1, bias = zeros]",
    'Conv[6, 2, dilation = 3, pad = "full", groups = 2]',
    "Depthwise[3, stride = 2]",
    "Separable[5, 3]",
    "ConvTranspose[5, 4, stride = 3, pad = 2]",
    "maxpool[2]",
    "maxpool[3, stride = 2, pad = 1]",
    "maxpool[3, stride = 1, pad = 1]",
    "avgpool[3, stride = 2, pad = 1]",
    "upsample[2]",
    "resize[H, 11]",
    "global_pool",
)
IMAGE = "x: [B, C=4, H=9, W=8]"
GRADIENT = """
  input data g: [B, T=7, N=6] as %0
  input param k: [C=4, R=3, N=6] as %1
  %2 = contract[N](%0, %1)
  %3 = fold[label=T, tap=R, stride=1, dilation=1, low=0, size=9](%2)
  output result dx[B, T, C] = %3
"""
POOL = """
  input data x: [B, C, T=9] as %0
  %1 = window[label=T, tap=R, taps=3, stride=2, dilation=1, low=0, count=4](%0)
  %2 = tanh(%1)
  %3 = sum[R](%2)
  output result y[B, C, T] = %3
"""


# ---------------------------------------------------------------- what passes
def gradients(layer: str) -> Graph:
    """A layer on a picture with the gradients of everything."""
    spec, _ = opened(f"block M({IMAGE}) {{ return x -> {layer} }}", "M")
    return gradient_graph(spec.model, ["x", *spec.model.params])


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_and_its_gradients_store_no_window(layer: str) -> None:
    schedule(run_passes(gradients(layer)), verify=True)


@cache
def project(name: str) -> Project:
    path = SPECS / name
    return check(parse(Source(name, path.read_text("utf-8"))), path.parent)


def graphs(found: Project) -> Iterator[Graph]:
    """What a spec is run as: prediction, validation and training step, or gradients where there is no recipe."""
    yield from (model.infer for model in found.models.values())
    for recipe in found.recipes.values():
        yield from (recipe.evaluate, step_graph(recipe))
    for model in found.models.values():
        if model.name not in found.recipes and any(p.node.type.is_float for p in model.outputs):
            yield gradient_graph(model)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FILES])
def test_no_program_of_a_spec_stores_a_window(name: str) -> None:
    for one in graphs(project(name)):
        schedule(run_passes(one), verify=True)


# ---------------------------------------------------------------- what is caught
def stored(found: Program) -> Program:
    """The program with its scratch in memory that stays."""
    changed = {n: replace(b, place="arena") if b.place == "local" else b for n, b in found.buffers.items()}
    assert changed != found.buffers
    return replace(found, buffers=changed)


def refused(found: Program, rule: str) -> str:
    with pytest.raises(CompilerError) as caught:
        verify(found, "test")
    text = str(caught.value)
    assert text.startswith(f"test: case: {rule}: ")
    return text


@pytest.mark.parametrize(("lines", "says"), [(GRADIENT, "holds all taps R of T"), (POOL, "positions and taps R, T")])
def test_taps_in_memory_are_refused(lines: str, says: str) -> None:
    found = program(lines)
    verify(found)
    assert says in refused(stored(found), "windows_are_not_stored")


def test_a_copy_of_a_window_in_memory_is_refused() -> None:
    found = program("""
      input data x: [B, T=9, C=4] as %0
      input param k: [C=4, R=3, N=6] as %1
      %2 = window[label=T, tap=R, taps=3, stride=1, dilation=1, low=0, count=7](%0)
      %3 = contract[C, R](%2, %1)
      output result y[B, T, N] = %3
    """)
    verify(found)
    assert "holds a window, positions and taps R, T" in refused(stored(found), "windows_are_not_stored")


def test_a_window_that_the_text_asks_for_is_no_fault() -> None:
    verify(program(POOL.replace("[B, C, T] = %3", "[B, C, T, R] = %2")))


def one_view(found: Program, change: Callable[[Any], Any]) -> Program:
    """The program with the first view of the last step changed."""
    *rest, last = found.kernels
    assert isinstance(last, Kernel)
    step = replace(last.steps[-1], inputs=(change(last.steps[-1].inputs[0]), *last.steps[-1].inputs[1:]))
    return replace(found, kernels=(*rest, replace(last, steps=(*last.steps[:-1], step))))


SUM = """
  input data x: [B, T] as %0
  %1 = sum[T](%0)
  output result y[B] = %1
"""


def test_a_view_that_reaches_out_of_its_buffer_is_refused() -> None:
    text = refused(one_view(program(SUM), lambda v: replace(v, offset=v.offset + 1)), "views_stay_inside")
    assert "data/x has 49 elements, a view of it shows 1 to 49" in text


def test_a_view_of_no_buffer_is_refused() -> None:
    refused(one_view(program(SUM), lambda v: replace(v, buffer="gone")), "buffers_are_known")


def test_scratch_of_another_kernel_is_refused() -> None:
    found = program(GRADIENT)
    kernel = found.all_kernels[-1]
    both = replace(found, kernels=(kernel, replace(kernel, name="k9")))
    assert f"is scratch of {kernel.name}" in refused(both, "scratch_is_private")


def test_every_rule_is_broken_by_a_test_above() -> None:
    text = Path(__file__).read_text("utf-8")
    assert all(f'"{rule.__name__}")' in text for rule in RULES)


# ---------------------------------------------------------------- what the pieces compute
def test_steps_between_that_need_the_taps_result_stay_in_order() -> None:
    """What is read between two members waits behind the kernel, if no member needs it; values stay."""
    lines = """
      input data x: [B, T=9] as %0
      input data g: [B, T=4] as %1
      %2 = window[label=T, tap=R, taps=3, stride=2, dilation=1, low=0, count=4](%0)
      %3 = mul(%2, %1)
      %4 = sum[R](%3)
      %5 = contract[T](%4, %1)
      %6 = fold[label=T, tap=R, stride=2, dilation=1, low=0, size=9](%3)
      %7 = add(%6, %0)
      output result a[B] = %5
      output result b[B, T] = %7
    """
    found = schedule(graph(lines), verify=True)
    assert "movement mul sum fold" in kernels(found) or "movement mul fold sum" in kernels(found)
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(5, 9)), rng.normal(size=(5, 4))
    taps = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1)[:, ::2] * g[..., None]
    wanted = x.copy()
    for t in range(4):
        wanted[:, 2 * t : 2 * t + 3] += taps[:, t]
    result = NumpyExecutable(found, "f64").run({"data/x": x, "data/g": g})
    np.testing.assert_allclose(result["result/b"], wanted, rtol=1e-13)
    np.testing.assert_allclose(result["result/a"], (taps.sum(2) * g).sum(1), rtol=1e-12)


def test_taps_whose_sum_over_the_batch_they_need_themselves_stay_in_memory() -> None:
    """No piece of the batch can be finished before all have been seen: the values are right, and the rule says so."""
    lines = """
      input data x: [B, T=9] as %0
      %1 = window[label=T, tap=R, taps=3, stride=1, dilation=1, low=0, count=7](%0)
      %2 = exp(%1)
      %3 = sum[B, R](%2)
      %4 = div(%2, %3)
      %5 = sum[R](%4)
      output result y[B, T] = %5
    """
    found = program(lines)
    refused(found, "windows_are_not_stored")
    x = np.random.default_rng(0).normal(size=(5, 9))
    taps = np.exp(np.lib.stride_tricks.sliding_window_view(x, 3, axis=1))
    wanted = (taps / taps.sum((0, 2))[:, None]).sum(2)
    np.testing.assert_allclose(NumpyExecutable(found, "f64").run({"data/x": x})["result/y"], wanted, rtol=1e-12)


def test_pairs_are_positions_and_taps_and_not_the_axes_beside_them() -> None:
    found = program(POOL)
    (view,) = (v for k in found.all_kernels for s in k.steps if s.op.name == "tanh" for v in s.inputs)
    assert window_pairs(view) == {frozenset(("T", "R"))}


def test_taps_of_two_batches_side_by_side_keep_their_sizes() -> None:
    """A concatenation along the outermost axis: each part is a kernel, or none, but never pieces of both at once."""
    lines = """
      input data x: [B=3, T=9] as %0
      input data z: [B=5, T=9] as %1
      %2 = window[label=T, tap=R, taps=3, stride=1, dilation=1, low=1, count=9](%0)
      %3 = tanh(%2)
      %4 = window[label=T, tap=R, taps=3, stride=1, dilation=1, low=1, count=9](%1)
      %5 = tanh(%4)
      %6 = concat[B](%3, %5)
      %7 = sum[R](%6)
      output result y[B, T] = %7
    """
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(3, 9)), rng.normal(size=(5, 9))
    big = np.pad(np.concatenate([x, z]), [(0, 0), (1, 1)])
    wanted = np.tanh(np.lib.stride_tricks.sliding_window_view(big, 3, axis=1)).sum(2)
    found = NumpyExecutable(program(lines), "f64").run({"data/x": x, "data/z": z})
    np.testing.assert_allclose(found["result/y"], wanted, rtol=1e-13)
