"""The memory plan: nothing that lives at the same time overlaps, and what does not live together shares."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from tests.schedule.programs import program
from zhdsl.schedule.memory import ALIGN, Block, place, plan
from zhdsl.schedule.program import Kernel, Loop

LIVES = st.tuples(st.integers(0, 20), st.integers(0, 8)).map(lambda t: (t[0], t[0] + t[1]))
BLOCKS = st.lists(st.tuples(st.integers(0, 9), LIVES), max_size=30).map(
    lambda found: [Block(f"b{i}", size * ALIGN, life) for i, (size, life) in enumerate(found)]
)


@given(BLOCKS)
def test_blocks_that_live_at_the_same_time_do_not_overlap(blocks: list[Block]) -> None:
    starts, end = place(blocks)
    assert end == max((starts[b.slot] + b.size for b in blocks), default=0)
    for i, a in enumerate(blocks):
        for b in blocks[:i]:
            together = a.life[0] <= b.life[1] and b.life[0] <= a.life[1]
            apart = starts[a.slot] + a.size <= starts[b.slot] or starts[b.slot] + b.size <= starts[a.slot]
            assert not together or apart or not (a.size and b.size)


@given(BLOCKS)
def test_the_arena_is_between_what_lives_at_once_and_all_together(blocks: list[Block]) -> None:
    _, end = place(blocks)
    at_once = max((sum(b.size for b in blocks if b.life[0] <= t <= b.life[1]) for t in range(29)), default=0)
    assert at_once <= end <= sum(b.size for b in blocks)


def test_the_smallest_gap_that_is_large_enough_is_taken() -> None:
    blocks = [Block("a", 640, (0, 9)), Block("gap", 320, (0, 1)), Block("b", 256, (0, 9)), Block("late", 192, (3, 4))]
    starts, end = place(blocks)
    assert end == 640 + 320 + 256
    assert starts["late"] == 640


CHAIN = """
  input data x: [B, D=4] as %0
  input param W: [D=4] as %1
  %2 = mul(%0, %1)
  %3 = sum[D](%2)
  %4 = tanh(%2)
  %5 = exp(%4)
  %6 = max[D](%5)
  output result y[B] = %3
  output result z[B] = %6
"""


def test_an_elementwise_result_takes_the_place_of_an_operand_that_dies() -> None:
    found = program(CHAIN)
    slots = [b.slot for b in found.of_place("arena", "input") if len(b.axes) == 2]
    assert len(slots) > len(set(slots))


def test_inputs_that_are_needed_again_and_parameters_are_not_overwritten() -> None:
    found = program("""
      input data x: [B] as %0
      input param w: [B] as %1
      %2 = mul(%0, %1)
      %3 = max[B](%2)
      %4 = sub(%0, %3)
      output result y[B] = %2
      output result z[B] = %4
    """)
    by_name = found.buffers
    taken = [b.name for b in by_name.values() if b.place == "arena" and b.slot == "data/x"]
    writers = [k for k in found.all_kernels if any(v.buffer in taken for v in k.written)]
    assert all(k.steps[0].op.name == "sub" for k in writers)
    assert not any(b.slot == "param/w" for b in by_name.values() if b.place != "held")


def test_the_plan_counts_exactly_and_is_aligned() -> None:
    found = program("""
      input data x: [B, D=4] as %0
      input param W: [D=4, N=3] as %1
      %2 = contract[D](%0, %1)
      output result y[B, N] = %2
    """)
    planned = plan(found, {"B": 100}, 4)
    assert planned.held == 64  # 12 floats
    assert planned.arena == 1600 + 1216  # x: 1600 bytes; y: 1200, and up to the next multiple of 64
    assert planned.peak == planned.held + planned.arena + planned.constant
    assert all(offset % ALIGN == 0 for offset in planned.offsets.values())
    assert plan(found, {"B": 100}, 8).arena == 3200 + 2432


def test_sharing_saves_memory_and_scratch_can_be_left_out() -> None:
    found = program(CHAIN)
    sizes = {"B": 1000}
    shared, alone = plan(found, sizes), plan(found, sizes, reuse=False)
    assert shared.arena < alone.arena
    assert plan(found, sizes, scratch=False).arena <= shared.arena


def test_what_a_loop_reads_from_outside_lives_as_long_as_the_loop() -> None:
    found = program("""
      input data h: [B] as %0
      input data x: [T, B] as %1
      input data w: [B] as %2
      %3 = mul(%2, %2)
      %4 = scan[label=T, size=T, reverse=false, truncate=0, body={
        carry %0: [B]
        slice %1: [B]
        capture %2: [B]
        %3 = mul(%0, %2)
        %4 = add(%3, %1)
        next %4
        emit %4
      }](%0, %1, %3)
      %5 = project[2](%4): [B]
      output result y[B] = %5
    """)
    (loop,) = (k for k in found.kernels if isinstance(k, Loop))
    before = sum(len(k.steps) for k in found.kernels[: found.kernels.index(loop)] if isinstance(k, Kernel))
    inside = sum(len(k.steps) for k in loop.body if isinstance(k, Kernel))
    (captured,) = {v.buffer for k in loop.body if isinstance(k, Kernel) for v in k.inputs if v.buffer != "data/x"} & {
        v.buffer for v in found.all_kernels[0].written
    }
    assert found.buffers[captured].life == (0, before + inside - 1)
