"""Which steps become one kernel, and which must not."""

from __future__ import annotations

from tests.schedule.programs import kernels, program
from zhdsl.schedule.program import Kernel

MOMENTUM = """
  input param w: [D, N] as %0
  input state m: [D, N] as %1
  input data g: [D, N] as %2
  %3 = mul(0.9, %1)
  %4 = add(%3, %2)
  %5 = mul(0.1, %4)
  %6 = sub(%0, %5)
  output param w[D, N] = %6
  output state m[D, N] = %4
"""


def test_a_chain_is_one_kernel() -> None:
    found = program("""
      input data x: [B, N] as %0
      input data b: [N] as %1
      %2 = add(%0, %1)
      %3 = tanh(%2)
      %4 = mul(%3, %3)
      output result y[B, N] = %4
    """)
    assert kernels(found) == ["elementwise add tanh mul"]
    assert [b.place for b in found.buffers.values() if b.name.startswith("v")].count("local") == 2


def test_two_chains_that_meet_are_one_kernel() -> None:
    found = program("""
      input data x: [B] as %0
      input data y: [B] as %1
      %2 = exp(%0)
      %3 = tanh(%1)
      %4 = mul(%2, %3)
      output result y[B] = %4
    """)
    assert kernels(found) == ["elementwise exp tanh mul"]


def test_a_product_and_a_sum_part_chains() -> None:
    found = program("""
      input data x: [B, D] as %0
      input param W: [D, N] as %1
      %2 = tanh(%0)
      %3 = contract[D](%2, %1)
      %4 = exp(%3)
      %5 = neg(%4)
      %6 = sum[N](%5)
      %7 = log(%6)
      output result y[B] = %7
    """)
    assert kernels(found) == [
        "elementwise tanh",
        "contract contract",
        "elementwise exp neg",
        "reduce sum",
        "elementwise log",
    ]


def test_an_update_is_one_kernel_that_writes_over_what_it_updates() -> None:
    found = program(MOMENTUM)
    assert kernels(found) == ["elementwise mul add mul sub"]
    written = {v.buffer for v in found.all_kernels[0].written}
    assert {"param/w", "state/m"} <= written
    assert not any(b.place == "arena" for b in found.buffers.values())


def test_a_value_that_others_need_too_is_written_by_the_same_kernel() -> None:
    found = program("""
      input data x: [B, N] as %0
      %1 = tanh(%0)
      %2 = mul(%1, %1)
      %3 = sum[N](%1)
      output result y[B, N] = %2
      output result s[B] = %3
    """)
    assert sorted(kernels(found)) == ["elementwise tanh mul", "reduce sum"]


def test_other_axes_are_another_kernel() -> None:
    found = program("""
      input data x: [B] as %0
      input data y: [B, N] as %1
      %2 = tanh(%0)
      %3 = mul(%2, %1)
      output result y[B, N] = %3
    """)
    assert kernels(found) == ["elementwise tanh", "elementwise mul"]


def test_what_is_read_at_other_places_is_done_before() -> None:
    """Every element of the second step needs one that another round of the loop makes."""
    found = program("""
      input data x: [N] as %0
      %1 = tanh(%0)
      %2 = flip[N](%1)
      %3 = mul(%1, %2)
      output result y[N] = %3
    """)
    assert kernels(found) == ["elementwise tanh", "elementwise mul"]


def test_an_old_parameter_is_read_before_it_is_overwritten() -> None:
    """The transposed reader cannot be in the kernel that overwrites w, and must come before it."""
    found = program("""
      input param w: [D=3, N=3] as %0
      input data x: [B, N=3] as %1
      %2 = mul(2.0, %0)
      %3 = relabel[D as N, N as D](%0)
      %4 = tanh(%3)
      %5 = contract[N](%1, %4)
      output param w[D, N] = %2
      output result y[B, D] = %5
    """)
    at = {step.op.name: i for i, k in enumerate(found.all_kernels) for step in k.steps}
    assert at["tanh"] < at["mul"]
    writers = [k for k in found.all_kernels if any(v.buffer == "param/w" for v in k.written)]
    assert [s.op.name for k in writers for s in k.steps] == ["mul"]


def test_exchanged_parameters_are_saved_first() -> None:
    found = program("""
      input param a: [N] as %0
      input param b: [N] as %1
      output param a[N] = %1
      output param b[N] = %0
    """)
    assert kernels(found) == ["elementwise copy"] * 3


def test_the_last_reader_joins_although_its_turn_is_later() -> None:
    """`neg` comes behind the product in the order of nodes, but it is the last to need `exp`: that becomes scratch."""
    found = program("""
      input data x: [B, D] as %0
      input param W: [D, N] as %1
      %2 = exp(%0)
      %3 = tanh(%2)
      %4 = contract[D](%3, %1)
      %5 = neg(%2)
      output result y[B, N] = %4
      output result z[B, D] = %5
    """)
    assert kernels(found) == ["elementwise exp tanh neg", "contract contract"]


def test_a_reader_that_frees_nothing_waits_for_its_turn() -> None:
    found = program("""
      input data x: [B, D] as %0
      input param W: [D, N] as %1
      %2 = exp(%0)
      %3 = contract[D](%2, %1)
      %4 = neg(%2)
      output result y[B, N] = %3
      output result z[B, D] = %4
      output result e[B, D] = %2
    """)
    assert kernels(found) == ["elementwise exp", "contract contract", "elementwise neg"]


def test_large_scratch_is_a_piece_and_small_scratch_is_whole() -> None:
    found = program("""
      input data x: [B, N=64] as %0
      input data y: [K=8] as %1
      %2 = exp(%0)
      %3 = neg(%2)
      %4 = exp(%1)
      %5 = neg(%4)
      output result y[B, N] = %3
      output result z[K] = %5
    """)
    big, small = found.all_kernels
    assert isinstance(big, Kernel)
    assert big.tile is not None
    assert (big.tile.label, str(big.tile.size)) == ("B", "min(512, B)")
    assert small.tile is None


def test_kernels_know_their_nodes() -> None:
    found = program(MOMENTUM)
    assert [n.op.name for n in found.all_kernels[0].nodes] == ["mul", "add", "mul", "sub"]
    assert {v.buffer for v in found.all_kernels[0].inputs} >= {"param/w", "state/m", "data/g"}
