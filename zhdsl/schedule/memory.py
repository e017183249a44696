"""The memory plan: how long every buffer is needed, which buffers may be the same memory, and where all of them lie.

Time is counted in steps. A buffer is needed from the first kernel that touches it to the last; what a loop reads and
has not written in the same round is needed for the whole loop. An elementwise kernel may write its result over an
operand that dies in it and has the same layout (`slot`). `plan` places the slots in one arena, largest first, each at
the gap that fits best among those that live at the same time: the peak is the arena's size, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from zhdsl.ir.types import FLOAT
from zhdsl.schedule.program import Buffer, Entry, Kernel, Loop, Program, Step

ALIGN = 64  # bytes: a cache line, and a vector of AVX-512
ITEM = {"bool": 1, "i32": 4, "f16": 2, "bf16": 4, "f32": 4, "f64": 8}  # bf16 is kept in f32 by backends of arrays

Life = tuple[int, int]
Items = Sequence[Kernel | Loop]


# ---------------------------------------------------------------- lifetimes
@dataclass(frozen=True)
class Moment:
    """A kernel in time: its first step's number, and the loops around it as (first, last) step."""

    kernel: Kernel
    start: int
    loops: tuple[Life, ...]

    @property
    def life(self) -> Life:
        return self.start, self.start + len(self.kernel.steps) - 1


def timeline(items: Items, start: int = 0, loops: tuple[Life, ...] = ()) -> Iterator[Moment]:
    """Kernels in order with their times."""
    for item in items:
        if isinstance(item, Loop):
            around = (start, start + length([item]) - 1)
            yield from timeline(item.body, start, (*loops, around))
        else:
            yield Moment(item, start, loops)
        start += length([item])


def length(items: Iterable[Kernel | Loop]) -> int:
    """Number of steps."""
    return sum(length(i.body) if isinstance(i, Loop) else len(i.steps) for i in items)


def lifetimes(buffers: Mapping[str, Buffer], items: Items, outputs: Sequence[Entry]) -> dict[str, Life]:
    """When each buffer of arena, inputs and scratch is needed."""
    moments = list(timeline(items))
    end = length(items)
    touched: dict[str, list[tuple[Moment, bool]]] = {}
    lives: dict[str, Life] = {}
    for moment in moments:
        for name, reads in _touches(moment.kernel).items():
            touched.setdefault(name, []).append((moment, reads))
        lives |= {n: life for n, life in _scratch_lives(moment) if buffers[n].place == "local"}
    shown = {entry.view.buffer for entry in outputs}
    for name, buffer in buffers.items():
        if buffer.place in ("arena", "input"):
            first, last = _life(touched.get(name, []), buffer.place == "input" or name in shown)
            lives[name] = -1 if buffer.place == "input" else first, end if name in shown else last
    return lives


def _touches(kernel: Kernel) -> dict[str, bool]:
    """The buffers a kernel touches, and whether it first reads them."""
    found: dict[str, bool] = {}
    for step in kernel.steps:
        for view in step.inputs:
            found.setdefault(view.buffer, True)
        found.setdefault(step.output.buffer, False)
    return found


def _scratch_lives(moment: Moment) -> Iterator[tuple[str, Life]]:
    """Scratch is written anew in every piece: it is needed from step to step."""
    found: dict[str, Life] = {}
    for at, step in enumerate(moment.kernel.steps, moment.start):
        for name in (step.output.buffer, *(v.buffer for v in step.inputs)):
            found[name] = found.get(name, (at, at))[0], at
    yield from found.items()


def _life(touched: Sequence[tuple[Moment, bool]], outside: bool) -> Life:
    """From the first to the last touch, and all of a loop where the value enters or leaves it.

    Args:
        touched: kernels that touch the buffer, in order, and whether they first read it.
        outside: whether it is an input or an output.
    """
    first = min((m.life[0] for m, _ in touched), default=0)
    last = max((m.life[1] for m, _ in touched), default=0)
    for moment, _ in touched:
        for depth, loop in enumerate(moment.loops):
            inside = [(m, r) for m, r in touched if m.loops[depth : depth + 1] == (loop,)]
            if len(inside) < len(touched) or outside or inside[0][1]:
                first, last = min(first, loop[0]), max(last, loop[1])
    return first, last


# ---------------------------------------------------------------- the same memory at different times
def in_place(buffers: Mapping[str, Buffer], items: Items, lives: dict[str, Life]) -> dict[str, str]:
    """Slots: the buffer whose memory each buffer has. Results of elementwise steps take that of a dying operand."""
    slots = {name: name for name in lives}
    ends = dict(lives)
    for moment in timeline(items):
        if moment.kernel.family == "elementwise":
            for step_at, step in enumerate(moment.kernel.steps, moment.start):
                _take(buffers, moment, (step_at, step), slots, ends)
    return slots


def _take(
    buffers: Mapping[str, Buffer], moment: Moment, at: tuple[int, Step], slots: dict[str, str], ends: dict[str, Life]
) -> None:
    time, step = at
    new = buffers[step.output.buffer]
    if new.place not in ("arena", "local") or slots[new.name] != new.name or step.output != new.whole:
        return
    start = time if new.place == "local" else moment.start
    if ends[new.name][0] != start or _reads_before(moment.kernel, time - moment.start, new.name):
        return
    for old in _dying(buffers, moment, time, ends):
        if _alike(new, buffers[old]) and ends[slots[old]] == ends[old]:
            slots[new.name] = slots[old]
            for name in (slots[old], old, new.name):
                ends[name] = ends[slots[old]][0], ends[new.name][1]
            return


def _reads_before(kernel: Kernel, at: int, name: str) -> bool:
    return any(v.buffer == name for s in kernel.steps[:at] for v in s.inputs) or any(
        s.output.buffer == name for s in kernel.steps[:at]
    )


def _dying(buffers: Mapping[str, Buffer], moment: Moment, time: int, ends: Mapping[str, Life]) -> Iterator[str]:
    """Buffers that the kernel reads as a whole, last at this step at the latest, and that nobody reads after it."""
    steps = moment.kernel.steps
    views = dict.fromkeys(v for s in steps for v in s.inputs)
    for view in views:
        old = buffers[view.buffer]
        if old.place not in ("arena", "local", "input") or _touched(steps[time - moment.start + 1 :], old.name):
            continue
        whole = all(v == old.whole for v in views if v.buffer == old.name)
        last = time if old.place == "local" else moment.life[1]
        born = time if old.place == "local" else moment.start
        kept = any(ends[old.name][0] <= loop[0] for loop in moment.loops)  # the next round may need it
        if whole and ends[old.name][1] == last and ends[old.name][0] < born and not kept:
            yield old.name


def _touched(steps: Iterable[Step], name: str) -> bool:
    return any(name in (s.output.buffer, *(v.buffer for v in s.inputs)) for s in steps)


def _alike(new: Buffer, old: Buffer) -> bool:
    place = {"input": "arena"}.get(old.place, old.place)
    return (new.dtype, new.axes, new.place) == (old.dtype, old.axes, place)


def with_memory(buffers: Mapping[str, Buffer], items: Items, outputs: Sequence[Entry]) -> dict[str, Buffer]:
    """The buffers that are used, with lifetimes and slots. Inputs stay, used or not."""
    lives = lifetimes(buffers, items, outputs)
    slots = in_place(buffers, items, dict(lives))
    return {name: replace(b, slot=slots.get(name, name), life=lives.get(name, (0, 0))) for name, b in buffers.items()}


# ---------------------------------------------------------------- the arena
@dataclass(frozen=True)
class Plan:
    """Where everything lies for given sizes, in bytes.

    Attributes:
        offsets: of buffers in the arena, multiples of `ALIGN`.
        arena: size of the arena.
        held: parameters and states. constant: what is computed once.
    """

    offsets: Mapping[str, int]
    arena: int
    held: int
    constant: int

    @property
    def peak(self) -> int:
        """All memory of a run, in bytes."""
        return self.arena + self.held + self.constant


def plan(
    program: Program, sizes: Mapping[str, int], float_bytes: int = 4, *, scratch: bool = True, reuse: bool = True
) -> Plan:
    """Place all buffers of a program.

    Args:
        program: what is to run.
        sizes: the value of every symbol.
        float_bytes: of an element of dtype `float`.
        scratch: whether local buffers take memory (not in a backend that keeps them in registers).
        reuse: whether buffers may share memory at all; without, each has its own (to test that sharing is safe).
    """
    places = ("arena", "input", "local") if scratch else ("arena", "input")
    buffers = program.of_place(*places)
    slots: dict[str, list[Buffer]] = {}
    for buffer in buffers:
        slots.setdefault(buffer.slot if reuse else buffer.name, []).append(buffer)
    blocks = []
    for slot, members in slots.items():
        count = max(size_in_bytes(b, sizes, float_bytes) for b in members)
        life = (min(b.life[0] for b in members), max(b.life[1] for b in members)) if reuse else (0, 0)
        blocks.append(Block(slot, _aligned(count), life))
    starts, arena = place(blocks)
    offsets = {b.name: starts[slot] for slot, members in slots.items() for b in members}
    held, constant = (
        sum(_aligned(size_in_bytes(b, sizes, float_bytes)) for b in program.of_place(p)) for p in ("held", "const")
    )
    return Plan(offsets, arena, held, constant)


def size_in_bytes(buffer: Buffer, sizes: Mapping[str, int], float_bytes: int) -> int:
    """Of the elements, without alignment."""
    item = float_bytes if buffer.dtype == FLOAT else ITEM[buffer.dtype]
    return buffer.count.evaluate(sizes) * item


def _aligned(count: int) -> int:
    return -(-count // ALIGN) * ALIGN


@dataclass(frozen=True)
class Block:
    """Memory of one slot: how much and from when to when."""

    slot: str
    size: int
    life: Life


def place(blocks: Iterable[Block]) -> tuple[dict[str, int], int]:
    """Offsets for blocks such that those that live at the same time do not overlap, and the end of the last one.

    Greedy, largest block first, into the smallest gap that is large enough, else behind all.
    """
    placed: list[tuple[int, Block]] = []  # sorted by offset
    starts: dict[str, int] = {}
    for block in sorted(blocks, key=lambda b: (-b.size, b.life, b.slot)):
        neighbours = [(o, b) for o, b in placed if b.life[0] <= block.life[1] and block.life[0] <= b.life[1]]
        start = _best_gap(neighbours, block.size)
        starts[block.slot] = start
        at = next((i for i, (o, _) in enumerate(placed) if o > start), len(placed))
        placed.insert(at, (start, block))
    return starts, max((o + b.size for o, b in placed), default=0)


def _best_gap(neighbours: Sequence[tuple[int, Block]], size: int) -> int:
    end, best, best_gap = 0, None, 0
    for offset, block in neighbours:
        gap = offset - end
        if gap >= size and (best is None or gap < best_gap):
            best, best_gap = end, gap
        end = max(end, offset + block.size)
    return end if best is None else best
