"""The memory plan: how long every buffer is needed, which buffers may be the same memory, and where all of them lie.

Time is counted in steps. A buffer is needed from the first kernel that touches it to the last; what a loop reads and
has not written in the same round is needed for the whole loop. An elementwise kernel may write its result over an
operand that dies in it and has the same layout (`slot`). `plan` places the slots in one arena, largest first, each at
the gap that fits best among those that live at the same time: the peak is the arena's size, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.types import FLOAT
from zhdsl.schedule.program import Buffer, Entry, Kernel, Loop, Program

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
def in_place(buffers: Mapping[str, Buffer], items: Items, lives: Mapping[str, Life]) -> dict[str, str]:
    """Slots: the buffer whose memory each buffer has. Results of elementwise steps take that of a dying operand."""
    slots = {name: name for name in lives}
    ends = dict(lives)
    for moment in timeline(items):
        if moment.kernel.family == "elementwise":
            _share(buffers, moment, slots, ends)
    return slots


def _share(buffers: Mapping[str, Buffer], moment: Moment, slots: dict[str, str], ends: dict[str, Life]) -> None:
    """Find for every buffer that a kernel makes one that it does not need any more.

    `ends` are lifetimes of slots, by any of their buffers that still matters.
    """
    uses = _uses(buffers, moment.kernel)
    free: list[str] = []  # what no later step of the kernel touches
    for i, step in enumerate(moment.kernel.steps):
        free += [n for n, use in uses.items() if use.last == i and _dies(buffers[n], use, moment, ends)]
        new = buffers[step.output.buffer]
        begins = moment.start + (i if new.place == "local" else 0)
        fresh = uses[new.name].first == i and uses[new.name].whole and new.place in ("arena", "local")
        if fresh and ends[new.name][0] == begins:
            old = next((n for n in reversed(free) if _alike(new, buffers[n]) and n != new.name), None)
            if old is not None:
                free.remove(old)
                slots[new.name] = slots[old]
                ends[new.name] = ends[old][0], ends[new.name][1]


@dataclass(frozen=True)
class Use:
    """How a kernel uses a buffer: the first and last of its steps that touch it, and whether always as a whole."""

    first: int
    last: int
    whole: bool


def _uses(buffers: Mapping[str, Buffer], kernel: Kernel) -> dict[str, Use]:
    found: dict[str, Use] = {}
    for i, step in enumerate(kernel.steps):
        for view in (*step.inputs, step.output):
            old = found.get(view.buffer)
            whole = view == buffers[view.buffer].whole and (old is None or old.whole)
            found[view.buffer] = Use(old.first if old else i, i, whole)
    return found


def _dies(buffer: Buffer, use: Use, moment: Moment, ends: Mapping[str, Life]) -> bool:
    """Whether nobody needs the buffer after its last use in the kernel."""
    if buffer.place not in ("arena", "local", "input") or not use.whole:
        return False
    first, last = ends[buffer.name]
    if buffer.place == "local":
        return True
    kept = any(first <= loop[0] for loop in moment.loops)  # the next round may need it
    return last == moment.life[1] and first < moment.start and not kept


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
    ordered = sorted(blocks, key=lambda b: (-b.size, b.life, b.slot))
    first, last = (np.array([b.life[i] for b in ordered], np.int64) for i in (0, 1))
    starts, ends = np.zeros(len(ordered), np.int64), np.zeros(len(ordered), np.int64)
    for i, block in enumerate(ordered):
        there = np.flatnonzero((first[:i] <= block.life[1]) & (last[:i] >= block.life[0]))
        starts[i] = _best_gap(starts[there], ends[there], block.size)
        ends[i] = starts[i] + block.size
    return {b.slot: int(start) for b, start in zip(ordered, starts, strict=True)}, int(ends.max(initial=0))


def _best_gap(starts: Array, ends: Array, size: int) -> int:
    """Where the smallest gap of at least this size begins between stretches of memory, or where the last one ends."""
    order = np.argsort(starts, kind="stable")
    reached = np.concatenate(([0], np.maximum.accumulate(ends[order])))  # up to where everything before is taken
    gaps = starts[order] - reached[:-1]
    fitting = np.flatnonzero(gaps >= size)
    return int(reached[fitting[np.argmin(gaps[fitting])]] if len(fitting) else reached[-1])
