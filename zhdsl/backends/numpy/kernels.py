"""Kernels and loops as lists of calls: a kernel piece by piece, a loop step by step, all laid out beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from zhdsl.backends.numpy import contract, elementwise, index, labelled, movement, random, reduce
from zhdsl.backends.numpy.calls import Call, Frame, copied
from zhdsl.backends.numpy.memory import Array, Memory
from zhdsl.ir.op import Op
from zhdsl.ops.evaluate import round_bf16
from zhdsl.schedule.program import Kernel, Loop, Step

Rule = Callable[[Frame, Step], list[Call]]
PLAIN = (int, str, tuple, np.generic, np.dtype, Op)  # what calls have for arguments beside arrays
FEW = 4  # steps of a loop up to which each is bound by itself

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
        order = range(count - 1, -1, -1) if item.reverse else range(count)
        kernels = [k for k in item.body if isinstance(k, Kernel)]
        if count > FEW and len(kernels) == len(item.body):
            yield from _bind_long(memory, item.counter, kernels, order)
            continue
        for at in order:
            memory.sizes[item.counter] = at
            yield from bind_all(memory, item.body)
        memory.sizes.pop(item.counter, None)


# ---------------------------------------------------------------- long loops
def _bind_long(memory: Memory, counter: str, kernels: list[Kernel], order: range) -> Iterator[Bound]:
    """The kernels of a loop's body, step by step, made from three of them: memory moves evenly with the counter."""
    rounds = [_rounds(memory, counter, kernel, len(order)) for kernel in kernels]
    for at in order:
        yield from (Bound(kernel, own[at]) for kernel, own in zip(kernels, rounds, strict=True))


def _rounds(memory: Memory, counter: str, kernel: Kernel, count: int) -> list[list[Call]]:
    """A kernel's calls in every step; bound one by one where they are no plain calls on arrays."""

    def bound(at: int) -> list[Call]:
        memory.sizes[counter] = at
        calls = bind_kernel(memory, kernel)
        memory.sizes.pop(counter)
        return calls

    first, second, last = (bound(at) for at in (0, 1, count - 1))
    if len(first) == len(second) == len(last):
        columns = [_moved(call, count) for call in zip(first, second, last, strict=True)]
        if all(columns):
            return [list(calls) for calls in zip(*(c for c in columns if c), strict=True)] or [[]] * count
    return [bound(at) for at in range(count)]


def _moved(calls: tuple[Call, Call, Call], count: int) -> list[Call] | None:
    """A call in every step, from those in steps 0, 1 and the last; `None` where that cannot be told."""
    first, second, last = calls
    if first is second is last:
        return [first] * count
    if not first[0] == second[0] == last[0] or not len(first[1]) == len(second[1]) == len(last[1]):
        return None
    columns = [_moved_argument(values, count) for values in zip(first[1], second[1], last[1], strict=True)]
    if any(c is None for c in columns):
        return None
    return [(first[0], args) for args in zip(*(c for c in columns if c is not None), strict=True)]


def _moved_argument(values: tuple[Any, Any, Any], count: int) -> list[Any] | None:
    """An argument in every step: arrays whose memory moves, lists of such, or what stays the same."""
    first, second, last = values
    if isinstance(first, list):
        parts = [_moved_argument(v, count) for v in zip(*values, strict=True)]
        return None if any(p is None for p in parts) else [list(v) for v in zip(*(p for p in parts if p), strict=True)]
    if not isinstance(first, np.ndarray):
        plain = isinstance(first, PLAIN) and type(first) is type(second) is type(last)
        return [first] * count if first is second is last or (plain and first == second == last) else None
    start, step = first.ctypes.data, second.ctypes.data - first.ctypes.data
    same = {(v.shape, v.strides, v.dtype) for v in values}
    if len(same) > 1 or last.ctypes.data != start + step * (count - 1):
        return None
    every = np.lib.stride_tricks.as_strided(first, (count, *first.shape), (step, *first.strides))
    return list(every) if first.ndim else [every[at, ...] for at in range(count)]
