"""The memory that is drawn is the memory that is planned."""

from __future__ import annotations

import pytest

from tests.viz.scenes import graph_of
from zhdsl.schedule import schedule
from zhdsl.schedule.memory import plan
from zhdsl.viz.timeline import memory_of


@pytest.mark.parametrize("text", ["two_spirals.zh", "digits.zh", "supervised/xor.zh"])
def test_the_peak_is_what_the_arena_must_hold(text: str) -> None:
    program = schedule(graph_of(text, "passes"))
    sizes = dict.fromkeys(program.symbols, 8)
    found, planned = memory_of(program, sizes), plan(program, sizes)
    assert (found.arena, found.held, found.constant) == (planned.arena, planned.held, planned.constant)
    peak = max(found.bytes)
    assert found.bytes[found.peak] == peak
    assert 0.5 * planned.arena <= peak <= planned.arena  # the plan adds alignment and gaps
    assert sum(size for _, size, _ in found.buffers) <= peak


def test_the_peak_is_in_a_kernel_of_the_program() -> None:
    program = schedule(graph_of("two_spirals.zh", "passes"))
    found = memory_of(program, dict.fromkeys(program.symbols, 8))
    kernel = next(k for k in program.all_kernels if k.name == found.kernel)
    assert found.place
    assert {name for name, _, _ in found.buffers} & {b.slot for b in program.buffers.values()}
    assert kernel.steps
