"""Kernels and loops as lists of calls: a kernel piece by piece, a loop step by step, all laid out beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zhdsl.backends.numpy import contract, elementwise, index, labelled, movement, reduce
from zhdsl.backends.numpy.calls import Call, Frame
from zhdsl.backends.numpy.memory import Memory
from zhdsl.schedule.program import Kernel, Loop, Step

Rule = Callable[[Frame, Step], list[Call]]

FAMILIES: dict[str, Rule] = {
    "source": labelled.bind_source,
    "elementwise": elementwise.bind,
    "reduce": reduce.bind,
    "contract": contract.bind,
    "movement": movement.bind,
    "index": index.bind,
    "random": labelled.bind,
}


@dataclass(frozen=True)
class Bound:
    """A kernel's calls in one step of the loops around it."""

    kernel: Kernel
    calls: list[Call]


def bind_kernel(memory: Memory, kernel: Kernel) -> list[Call]:
    """All calls of a kernel."""
    return [
        call for frame in frames(memory, kernel) for step in kernel.steps for call in FAMILIES[step.op.family](frame, step)
    ]


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
    """Kernels in the order in which they run, those of loops once per step.

    What does not depend on a loop's counter is bound once and runs in every step with the same arrays.
    """
    yield from _bind(memory, items, {})


def _bind(memory: Memory, items: Iterable[Kernel | Loop], known: dict[int, Bound]) -> Iterator[Bound]:
    for item in items:
        if isinstance(item, Kernel):
            yield known[id(item)] if id(item) in known else Bound(item, bind_kernel(memory, item))
            continue
        fixed = {id(k): Bound(k, bind_kernel(memory, k)) for k in _fixed(item)}
        count = memory.number(item.size)
        for at in range(count - 1, -1, -1) if item.reverse else range(count):
            memory.sizes[item.counter] = at
            yield from _bind(memory, item.body, {**known, **fixed})
        memory.sizes.pop(item.counter, None)


def _fixed(loop: Loop) -> list[Kernel]:
    """Kernels of a loop that no counter of a loop moves."""
    direct = [k for k in loop.body if isinstance(k, Kernel)]
    return [k for k in direct if not any(s.startswith("@") for s in k.symbols)]
