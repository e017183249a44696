"""Contractions: which need no copy, and what becomes of those that do."""

from __future__ import annotations

from tests.schedule.programs import kernels, order, program
from zhdsl.schedule.program import Program


def copies(found: Program) -> int:
    return sum(step.op.name == "copy" for k in found.all_kernels for step in k.steps)


def test_a_dense_layer_and_its_gradients_need_no_copy() -> None:
    found = program("""
      input data x: [B, D=3] as %0
      input param W: [D=3, N=5] as %1
      input data g: [B, N=5] as %2
      %3 = contract[D](%0, %1)
      %4 = contract[N](%2, %1)
      %5 = contract[B](%0, %2)
      output result y[B, N] = %3
      output result dx[B, D] = %4
      output result dW[D, N] = %5
    """)
    assert kernels(found) == ["contract contract"] * 3
    assert [order(found, f"result/{n}") for n in ("y", "dx", "dW")] == [("B", "N"), ("B", "D"), ("D", "N")]


def test_attention_needs_no_copy() -> None:
    """The product of heads is laid out as the next one wants it: [B, Q, H, E], though batch first is natural."""
    found = program("""
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
      output result y[B, Q, N] = %10
    """)
    assert copies(found) == 0
    assert order(found, "result/y") == ("B", "Q", "N")


def test_gradients_over_two_labels_need_no_copy() -> None:
    found = program("""
      input data x: [B, T, D=3] as %0
      input data g: [B, T, H=2, E=2] as %1
      %2 = contract[B, T](%0, %1)
      output result dW[D, H, E] = %2
    """)
    assert kernels(found) == ["contract contract"]


def test_summed_labels_in_other_orders_copy_the_smaller_operand_once() -> None:
    found = program("""
      input data x: [B, H=2, E=4] as %0
      input param W: [E=4, N=3, H=2] as %1
      %2 = tanh(%0)
      %3 = contract[H, E](%0, %1)
      %4 = contract[H, E](%2, %1)
      output result y[B, N] = %3
      output result z[B, N] = %4
    """)
    assert copies(found) == 1


def test_a_convolution_copies_windows_piece_by_piece_and_never_stores_them() -> None:
    found = program("""
      input data x: [B, H=8, W=8, C=4] as %0
      input param k: [C=4, R=3, S=3, N=6] as %1
      %2 = window[label=H, tap=R, taps=3, stride=1, dilation=1, low=1, count=8](%0)
      %3 = window[label=W, tap=S, taps=3, stride=1, dilation=1, low=1, count=8](%2)
      %4 = contract[C, R, S](%3, %1)
      output result y[B, H, W, N] = %4
    """)
    stored = [b for b in found.buffers.values() if b.place == "arena"]
    assert not any({"H", "R"} <= {n for n, _ in b.axes} for b in stored)
    assert "contract copy contract" in kernels(found)
    (padded,) = (b for b in stored if len(b.axes) == 4 and ("H", 10) in [(n, s.number) for n, s in b.axes])
    assert [n for n, _ in padded.axes] == ["B", "H", "W", "C"]
    assert kernels(found).count("movement fill fill fill fill") == 1


def test_the_weight_gradient_of_a_convolution_adds_up_pieces() -> None:
    found = program("""
      input data x: [B, T=9, C=4] as %0
      input data g: [B, T=7, N=6] as %1
      %2 = window[label=T, tap=R, taps=3, stride=1, dilation=1, low=0, count=7](%0)
      %3 = contract[B, T](%2, %1)
      output result dk[C, R, N] = %3
    """)
    assert kernels(found) == ["movement fill", "contract copy contract add"]
    tile = found.all_kernels[1].tile
    assert tile is not None
    assert tile.label == "B"


def test_the_data_gradient_of_a_convolution_folds_piece_by_piece() -> None:
    found = program("""
      input data g: [B, T=7, N=6] as %0
      input param k: [C=4, R=3, N=6] as %1
      %2 = contract[N](%0, %1)
      %3 = fold[label=T, tap=R, stride=1, dilation=1, low=0, size=9](%2)
      output result dx[B, T, C] = %3
    """)
    assert kernels(found)[-1] == "contract contract fold"
    stored = [b for b in found.buffers.values() if b.place == "arena"]
    assert not any({"T", "R", "B"} <= {n for n, _ in b.axes} for b in stored)


TAPS_OF_A_GRADIENT = """
      input data g: [B, T=7, N=6] as %0
      input param k: [C=4, R=3, N=6] as %1
      %2 = contract[N](%0, %1)
      %3 = fold[label=T, tap=R, stride=1, dilation=1, low=0, size=9](%2)
"""


def test_taps_that_a_sum_needs_too_are_made_once_piece_by_piece() -> None:
    more = "%4 = sum[R](%2)\n output result dx[B, T, C] = %3\n output result s[B, T, C] = %4"
    assert kernels(program(TAPS_OF_A_GRADIENT + more)) == ["contract contract fold sum"]


def test_taps_that_are_asked_for_are_stored() -> None:
    found = program(TAPS_OF_A_GRADIENT + "output result dx[B, T, C] = %3\n output result taps[B, T, R, C] = %2")
    assert "movement fold" in kernels(found)


def test_sums_of_repeated_values_are_not_multiplied_out() -> None:
    """sum[K](expand[K](x) * y) is x * sum[K](y)."""
    found = program("""
      input data x: [B, D=2] as %0
      input data y: [K, D=2, N=3] as %1
      %2 = expand[K](%0)
      %3 = contract[K, D](%2, %1)
      output result z[B, N] = %3
    """)
    assert kernels(found) == ["reduce sum", "contract contract"]


def test_sums_of_products_without_rows_and_columns_are_no_library_calls() -> None:
    strided = program("""
      input data x: [B, N] as %0
      input data y: [B, N] as %1
      %2 = contract[B](%0, %1)
      output result z[N] = %2
    """)
    assert kernels(strided)[-1] == "contract mul sum add"
    dots = program("""
      input data x: [B, N] as %0
      input data y: [B, N] as %1
      %2 = contract[N](%0, %1)
      output result z[B] = %2
    """)
    assert kernels(dots) == ["contract contract"]


def test_an_outer_product_is_elementwise() -> None:
    found = program("""
      input data x: [B] as %0
      input data y: [N] as %1
      %2 = contract[](%0, %1)
      %3 = exp(%2)
      output result z[B, N] = %3
    """)
    assert kernels(found) == ["elementwise mul exp"]
