"""Program → how many bytes are alive at every step, and what they are where they are most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zhdsl.ir.arrays import np
from zhdsl.schedule.memory import length, plan, size_in_bytes, timeline
from zhdsl.schedule.program import Program, places_text

SHOWN = 12  # buffers at the peak


@dataclass(frozen=True)
class Memory:
    """The memory of one run.

    Attributes:
        name: of the program.
        bytes: alive at every step.
        arena, held, constant: of the plan; the arena is never smaller than the largest of `bytes`.
        peak: the first step where most is alive; its kernel and the place in the text.
        buffers: the largest that are alive there: name, bytes, place.
    """

    name: str
    bytes: tuple[int, ...]
    arena: int
    held: int
    constant: int
    peak: int
    kernel: str
    place: str
    buffers: tuple[tuple[str, int, str], ...]


def memory_of(program: Program, sizes: Mapping[str, int], float_bytes: int = 4) -> Memory:
    """The bytes of a program's values over its steps, counted once for values that share memory."""
    found = plan(program, sizes, float_bytes)
    steps = max(length(program.kernels), 1)
    slots: dict[str, tuple[int, int, int]] = {}
    for buffer in program.of_place("arena", "input", "local"):
        size, (first, last) = size_in_bytes(buffer, sizes, float_bytes), buffer.life
        old = slots.get(buffer.slot, (0, first, last))
        slots[buffer.slot] = max(old[0], size), min(old[1], first), max(old[2], last)
    change = np.zeros(steps + 2, np.int64)
    for size, first, last in slots.values():
        change[max(first, 0)] += size
        change[min(last, steps) + 1] -= size
    alive = np.cumsum(change)[:steps]
    peak = int(np.argmax(alive))
    moment = next((m for m in timeline(program.kernels) if m.life[0] <= peak <= m.life[1]), None)
    writers = {v.buffer: k for k in program.all_kernels for v in k.written}
    largest = sorted(((size, slot) for slot, (size, a, b) in slots.items() if a <= peak <= b), reverse=True)[:SHOWN]
    buffers = tuple((s, n, places_text(writers[s].origins) if s in writers else "input") for n, s in largest)
    return Memory(
        program.name,
        tuple(int(n) for n in alive),
        found.arena,
        found.held,
        found.constant,
        peak,
        moment.kernel.name if moment else "",
        places_text(moment.kernel.origins) if moment else "",
        buffers,
    )
