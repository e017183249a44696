"""Copies that need not be: a value that is only copied elsewhere is computed there in the first place.

    v1 = tanh(v0)                          held/W = sub(held/W, v3)      pad: the producer writes inside the border
    pad[1..n] = copy(v1)      becomes      pad[1..n] = tanh(v0)          concat, stacks of loops, new parameters: the same

The producer of a dense buffer may write elsewhere if nobody in between needs what was there before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from zhdsl.ir.op import Op
from zhdsl.ops.families import Elementwise
from zhdsl.schedule.program import Kernel, Loop, Step
from zhdsl.schedule.tape import Copy, Item, Pending, Tape
from zhdsl.schedule.views import View

@dataclass
class Uses:
    """Who reads and writes which buffer.

    Attributes:
        writers, readers: how many steps write a buffer, and how many steps and outputs read it.
        odd: buffers that are read other than as a whole in their own order.
        dense: buffers that a reader needs without gaps: the schedule has looked at their strides for it.
    """

    writers: Counter[str] = field(default_factory=Counter)
    readers: Counter[str] = field(default_factory=Counter)
    odd: set[str] = field(default_factory=set)
    dense: set[str] = field(default_factory=set)

    def inherit(self, old: str, new: str) -> None:
        """Who read the old buffer reads the new one, but for the copy between them."""
        self.readers[new] += self.readers[old] - 1
        self.dense |= {new} if old in self.dense else set()


def forward(tape: Tape, items: list[Item], outputs: Sequence[View]) -> tuple[list[Item], list[View]]:
    """The items with copies taken out where the producer can write to the copy's place, and the outputs' places."""
    uses = Uses()
    for step in steps_of(items):
        uses.writers[step.output.buffer] += 1
        _note(tape, uses, step.inputs)
        if not isinstance(step.op, Elementwise):
            uses.dense |= {v.buffer for v in step.inputs}
    _note(tape, uses, outputs)
    moved: dict[View, View] = {}
    kept = _forward_list(tape, items, uses, moved)
    return [_renamed(item, moved) for item in kept], [moved.get(v, v) for v in outputs]


def steps_of(items: Iterable[Item]) -> Iterator[Step]:
    """Every step, in kernels and loops too."""
    for item in items:
        if isinstance(item, Step):
            yield item
        else:
            yield from steps_of(item.body if isinstance(item, Pending | Loop) else item.steps)


def _note(tape: Tape, uses: Uses, views: Sequence[View]) -> None:
    uses.readers.update({v.buffer for v in views})
    uses.odd |= {v.buffer for v in views if v != tape.buffers[v.buffer].whole}


def _forward_list(tape: Tape, items: list[Item], uses: Uses, moved: dict[View, View]) -> list[Item]:
    result: list[Item] = []
    made: dict[str, int] = {}  # buffer -> place in the result of the item that makes all of it
    last = {s.output.buffer: i for i, item in enumerate(items) for s in steps_of([item])}
    for i, item in enumerate(items):
        if isinstance(item, Pending):
            item = replace(item, body=_forward_list(tape, item.body, uses, moved))
        at = _producer(tape, item, result, uses, made)
        if at is not None and isinstance(item, Step) and last[item.output.buffer] > i:
            at = _not_overwritten(tape, uses, item, at)
        if at is None:
            made |= {v.buffer: len(result) for v in _made(item)}
            result.append(item)
            continue
        assert isinstance(item, Step)
        source = item.inputs[0]
        result[at] = _redirected(result[at], item.output)
        moved |= {old: item.output for old, new in moved.items() if new == source} | {source: item.output}
        made[item.output.buffer] = at
        uses.inherit(source.buffer, item.output.buffer)
    return result


def _made(item: Item) -> Iterator[View]:
    """What this step, or this kernel as its last step, writes."""
    if isinstance(item, Step):
        yield item.output
    elif isinstance(item, Kernel):
        yield item.steps[-1].output


def _producer(tape: Tape, item: Item, before: list[Item], uses: Uses, made: dict[str, int]) -> int | None:
    """The place of the item that can write where this copy writes; `None` if it must stay a copy."""
    if not isinstance(item, Step) or not isinstance(item.op, Copy):
        return None
    source, target = item.inputs[0], item.output
    at = made.get(source.buffer)
    if at is None or source.buffer in uses.odd or uses.writers[source.buffer] != 1:
        return None
    if tape.buffers[source.buffer].place != "arena" or source != tape.buffers[source.buffer].whole:
        return None
    last = before[at].steps[-1] if isinstance(before[at], Kernel) else before[at]
    assert isinstance(last, Step)
    alike = source.dims == target.dims
    if last.output != source or not (alike or (source.buffer not in uses.dense and _can_write(last.op, source, target))):
        return None
    return at if _free(tape, before, at, target) else None


def _not_overwritten(tape: Tape, uses: Uses, copy: Step, at: int) -> int | None:
    """`at`, unless the place is written again (as a carry is) while others still need what is copied there."""
    alone = uses.readers[copy.inputs[0].buffer] == 1
    return at if alone or copy.output.buffer in tape.parts else None


def _can_write(op: Op, source: View, target: View) -> bool:
    """Whether the op can write to such a place: anywhere, or to matrices of the same order."""
    if isinstance(op, Elementwise) or op.family == "reduce":
        return True
    if op.family == "contract" or op.name == "fold":
        order = tuple(n for n in target.labels if n in source.sizes)
        return order == source.labels and (not order or target.strides[order[-1]] == 1)
    return False


def _free(tape: Tape, items: list[Item], at: int, target: View) -> bool:
    """Whether, from the producer on, nobody needs what the target held before.

    Parts of one buffer are written independently and read when they are all there, or in a stack at other places.
    """
    if target.buffer in tape.parts:
        return True
    producer = items[at]
    for step in steps_of([producer]):
        for view in step.inputs:
            alike = isinstance(producer, Step) and isinstance(step.op, Elementwise) and view.dims == target.dims
            if view.buffer == target.buffer and not (alike and view.offset == target.offset):
                return False
    later = list(steps_of(items[at + 1 :]))
    return all(target.buffer not in (s.output.buffer, *(v.buffer for v in s.inputs)) for s in later)


def _redirected(item: Item, target: View) -> Item:
    if isinstance(item, Kernel):
        return replace(item, steps=(*item.steps[:-1], replace(item.steps[-1], output=target)))
    assert isinstance(item, Step)
    return replace(item, output=target)


def _renamed(item: Item, moved: dict[View, View]) -> Item:
    """The item reading values where they are now."""
    if isinstance(item, Step):
        return replace(item, inputs=tuple(moved.get(v, v) for v in item.inputs))
    if isinstance(item, Kernel):
        steps = tuple(replace(s, inputs=tuple(moved.get(v, v) for v in s.inputs)) for s in item.steps)
        return replace(item, steps=steps)
    if isinstance(item, Pending):
        return replace(item, body=[_renamed(i, moved) for i in item.body])
    return item
