"""Kernels and loops as lists of calls: a kernel piece by piece, a loop step by step, all laid out beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from zhdsl.backends.numpy import contract, elementwise, index, labelled, movement, random, reduce
from zhdsl.backends.numpy.calls import Call, Frame, copied
from zhdsl.backends.numpy.memory import Array, Memory
from zhdsl.ops.evaluate import round_bf16
from zhdsl.schedule.program import Kernel, Loop, Step

Rule = Callable[[Frame, Step], list[Call]]

FAMILIES: dict[str, Rule] = {
    "source": labelled.bind_source,
    "elementwise": elementwise.bind,
    "reduce": reduce.bind,
    "contract": contract.bind,
    "movement": movement.bind,
    "index": index.bind,
    "random": random.bind,
}


@dataclass(frozen=True)
class Bound:
    """A kernel's calls in one step of the loops around it."""

    kernel: Kernel
    calls: list[Call]


def bind_kernel(memory: Memory, kernel: Kernel) -> list[Call]:
    """All calls of a kernel. In a loop, steps that no counter moves get the same calls in every round."""
    zeros = [copied(memory.flat(name), np.zeros((), memory.flat(name).dtype)) for name in kernel.totals]
    return [*zeros, *(c for frame in frames(memory, kernel) for step in kernel.steps for c in _calls(frame, step))]


def _calls(frame: Frame, step: Step) -> list[Call]:
    moves = any(s.startswith("@") for v in (step.output, *step.inputs) for s in v.symbols)
    if moves:
        return _made(frame, step)
    return frame.memory.remembered((id(step), frame.piece), lambda: _made(frame, step))


def _made(frame: Frame, step: Step) -> list[Call]:
    calls = FAMILIES[step.op.family](frame, step)
    if frame.memory.program.buffers[step.output.buffer].dtype == "bf16" and calls:
        calls = [*calls, (_round, (frame.array(step.output),))]
    return calls


def _round(x: Array) -> None:
    np.copyto(x, round_bf16(x))


def frames(memory: Memory, kernel: Kernel) -> Iterator[Frame]:
    """One per piece: the last one may be shorter."""
    if kernel.tile is None:
        yield Frame(memory)
        return
    label, size = kernel.tile.label, memory.number(kernel.tile.size)
    buffers = memory.program.buffers
    views = (v for s in kernel.steps for v in (s.output, *s.inputs))
    whole = next(v.sizes[label] for v in views if label in v.sizes and buffers[v.buffer].place != "local")
    count = memory.number(whole)
    for start in range(0, count, max(size, 1)):
        yield Frame(memory, (label, start, min(start + size, count)))


def bind_all(memory: Memory, items: Iterable[Kernel | Loop]) -> Iterator[Bound]:
    """Kernels in the order in which they run, those of loops once per step."""
    for item in items:
        if isinstance(item, Kernel):
            yield Bound(item, bind_kernel(memory, item))
            continue
        count = memory.number(item.size)
        for at in range(count - 1, -1, -1) if item.reverse else range(count):
            memory.sizes[item.counter] = at
            yield from bind_all(memory, item.body)
        memory.sizes.pop(item.counter, None)
