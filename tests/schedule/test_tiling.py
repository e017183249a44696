"""Kernels for printed loops: what becomes one, where one must end, and what takes no memory."""

from __future__ import annotations

from tests.schedule.programs import graph
from zhdsl.schedule import schedule
from zhdsl.schedule.program import Kernel, Program
from zhdsl.schedule.verify import verify

LAYER_NORM = """
  input data x: [B, D=8] as %0
  input param gain: [D=8] as %1
  %2 = sum[D](%0)
  %3 = div(%2, 8.0)
  %4 = sub(%0, %3)
  %5 = ipow[2](%4)
  %6 = sum[D](%5)
  %7 = div(%6, 8.0)
  %8 = add(%7, 0.001)
  %9 = sqrt(%8)
  %10 = div(%4, %9)
  %11 = mul(%1, %10)
  output result y[B, D] = %11
"""
ATTENTION = """
  input data q: [B, T, E=4] as %0
  input data k: [B, K=T, E=4] as %1
  input data v: [B, K=T, E=4] as %2
  %3 = contract[E](%0, %1)
  %4 = div(%3, 2.0)
  %5 = max[K](%4)
  %6 = sub(%4, %5)
  %7 = exp(%6)
  %8 = sum[K](%7)
  %9 = div(%7, %8)
  %10 = contract[K](%9, %2)
  output result y[B, T, E] = %10
"""
DENSE = """
  input data x: [B, D=8] as %0
  input param W: [D=8, N=16] as %1
  input param b: [N=16] as %2
  %3 = contract[D](%0, %1)
  %4 = add(%3, %2)
  %5 = tanh(%4)
  output result y[B, N] = %5
"""


def tiled(lines: str) -> Program:
    found = schedule(graph(lines), direct=True)
    verify(found)
    return found


def large(program: Program) -> list[Kernel]:
    """The kernels that work on data."""
    return [k for k in program.all_kernels if k.tile is not None]


def test_layer_normalisation_is_one_kernel() -> None:
    assert len(tiled(LAYER_NORM).all_kernels) == 1


def test_attention_is_one_kernel_and_its_scores_take_no_memory() -> None:
    program = tiled(ATTENTION)
    (kernel,) = program.all_kernels
    assert kernel.tile is not None
    assert kernel.tile.label == "B"
    assert [e.view.buffer for e in program.outputs] == [b.name for b in program.of_place("arena")]


def test_bias_and_activation_follow_the_product_in_its_kernel() -> None:
    (kernel,) = tiled(DENSE).all_kernels
    assert [s.op.name for s in kernel.steps] == ["contract", "add", "tanh"]


def test_a_sum_over_the_samples_ends_the_kernel_for_who_reads_it() -> None:
    program = tiled("""
      input data x: [B, C=4096] as %0
      %1 = sum[B](%0)
      %2 = sub(%0, %1)
      output result y[B, C] = %2
    """)
    first, second = large(program)
    assert len(first.totals) == 1
    assert first.totals[0] in {v.buffer for v in second.inputs}


def test_a_product_with_large_weights_is_not_cut_into_pieces_of_a_few_rows() -> None:
    """A picture fills a piece; weights of half a million elements would be read again for each."""
    program = tiled("""
      input data x: [B, C=64, H=64, W=64] as %0
      input param W: [C=64, N=8192] as %1
      %2 = tanh(%0)
      %3 = sum[H, W](%2)
      %4 = contract[C](%3, %1)
      output result y[B, N] = %4
    """)
    assert [[s.op.name for s in k.steps] for k in large(program)] == [["tanh", "sum"], ["contract"]]


def test_cheap_values_of_an_earlier_kernel_are_computed_again() -> None:
    program = tiled("""
      input data x: [B, C=64, H=16] as %0
      input data g: [B, C=64, H=16] as %1
      %2 = tanh(%0)
      %3 = mul(%2, 3.0)
      %4 = sum[B, H](%3)
      %5 = mul(%1, %3)
      %6 = sub(%5, %4)
      output result y[B, C, H] = %6
    """)
    kept = [b.name for b in program.of_place("arena") if len(b.axes) == 3]
    shown = {e.view.buffer for e in program.outputs}
    assert len(kept) == len(shown) + 1  # tanh(x); what is three times as much is made anew


def test_a_stored_program_says_what_its_totals_are() -> None:
    text = str(
        tiled("""
      input data x: [B, C=4] as %0
      %1 = sum[B](%0)
      output result y[C] = %1
    """)
    )
    assert "of B, totals" in text
