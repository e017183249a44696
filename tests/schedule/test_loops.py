"""Loops: a body once, slices as views, results written where they stay."""

from __future__ import annotations

from tests.schedule.programs import kernels, program
from zhdsl.ir.sizes import Size
from zhdsl.schedule.program import Loop, Program


def cell(asked: str, reverse: str = "false") -> Program:
    return program(f"""
      input data h: [B, N=4] as %0
      input data x: [B, T, N=4] as %1
      input param U: [N=4, M=4] as %2
      %3 = scan[label=T, size=T, reverse={reverse}, truncate=0, body={{
        carry %0: [B, N=4]
        slice %1: [B, N=4]
        capture %2: [N=4, M=4]
        %3 = contract[N](%0, %2)
        %4 = relabel[M as N](%3)
        %5 = add(%4, %1)
        %6 = tanh(%5)
        %7 = mul(%6, %1)
        next %6
        emit %7
      }}](%0, %1, %2)
      {asked}
    """)


FINAL = "%4 = project[2](%3): [B, N=4]\n      output result y[B, N] = %4"
ENTRY = "%4 = project[1](%3): [B, N=4, T]\n      output result y[B, T, N] = %4"
EMITS = "%4 = project[0](%3): [B, N=4, T]\n      output result y[B, T, N] = %4"


def the_loop(found: Program) -> Loop:
    (loop,) = (k for k in found.kernels if isinstance(k, Loop))
    return loop


def test_a_carry_that_nobody_stacks_is_overwritten_in_place() -> None:
    found = cell(FINAL)
    assert kernels(found) == ["elementwise copy", "loop contract contract", "loop elementwise add tanh"]
    assert max(len(b.axes) for b in found.of_place("arena")) == 2


def test_entries_are_a_stack_of_one_more_than_there_are_steps() -> None:
    found = cell(ENTRY)
    (stack,) = (b for b in found.of_place("arena") if len(b.axes) == 3)
    assert stack.axes[0] == ("T", Size.of("T") + 1)
    assert kernels(found) == ["elementwise copy", "loop contract contract", "loop elementwise add tanh"]
    step = the_loop(found).body[-1].steps[-1]
    assert the_loop(found).counter in step.output.offset.symbols


def test_emits_are_written_into_their_stack() -> None:
    found = cell(EMITS)
    assert kernels(found)[-1] == "loop elementwise add tanh mul"
    (stack,) = (b for b in found.of_place("arena") if len(b.axes) == 3)
    assert [n for n, _ in stack.axes] == ["T", "B", "N"]


def test_a_reversed_loop_reads_one_entry_ahead() -> None:
    found = cell(ENTRY, reverse="true")
    loop = the_loop(found)
    assert loop.reverse
    read = loop.body[0].steps[0].inputs[0]
    stack = found.buffers[read.buffer].whole
    assert read.offset == stack.strides["T"] * (Size.of(loop.counter) + 1)


def test_slices_are_views_of_the_whole_input() -> None:
    loop = the_loop(cell(FINAL))
    views = [v for k in loop.body for s in k.steps for v in s.inputs if v.buffer == "data/x"]
    assert views
    assert all(v.offset == Size.of(loop.counter) * 4 and v.strides["B"] == Size.of("T") * 4 for v in views)


def test_what_no_step_changes_is_done_before_the_loop() -> None:
    found = program("""
      input data h: [B] as %0
      input data w: [B] as %1
      %2 = scan[label=T, size=T, reverse=false, truncate=0, body={
        carry %0: [B]
        capture %1: [B]
        %2 = exp(%1)
        %3 = mul(%0, %2)
        next %3
      }](%0, %1)
      %3 = project[1](%2): [B]
      output result y[B] = %3
    """)
    assert sorted(kernels(found)) == ["elementwise copy", "elementwise exp", "loop elementwise mul"]


def test_an_emitted_carry_is_stored_once() -> None:
    found = program("""
      input data h: [B] as %0
      input data x: [T, B] as %1
      %2 = scan[label=T, size=T, reverse=false, truncate=0, body={
        carry %0: [B]
        slice %1: [B]
        %2 = mul(%0, %1)
        next %2
        emit %2
      }](%0, %1)
      %3 = project[0](%2): [B, T]
      output result y[T, B] = %3
    """)
    assert kernels(found) == ["elementwise copy", "loop elementwise mul"]
    assert sum(len(b.axes) == 2 for b in found.of_place("arena")) == 1


def test_parts_of_an_emitted_concat_are_written_in_place() -> None:
    found = program("""
      input data x: [T, B] as %0
      %1 = scan[label=T, size=T, reverse=false, truncate=0, body={
        slice %0: [B]
        %1 = exp(%0)
        %2 = expand[G=1](%1)
        %3 = neg(%1)
        %4 = expand[G=1](%3)
        %5 = concat[G](%2, %4)
        emit %5
      }](%0)
      %2 = project[0](%1): [B, G=2, T]
      output result y[T, B, G] = %2
    """)
    assert not any("copy" in k for k in kernels(found)[1:]) or kernels(found) == ["loop elementwise exp neg copy"]
    assert sum(b.place == "arena" for b in found.buffers.values()) == 1
