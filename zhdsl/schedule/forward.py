"""Copies that need not be: a value that is only copied elsewhere is computed there in the first place.

    v1 = tanh(v0)                                                   a padded buffer: written inside its border;
    v2[1..n] = copy(v1)       becomes       v2[1..n] = tanh(v0)     concat, stacks of loops, new parameters: the same

What makes a dense buffer may write elsewhere if nobody in between needs what was there before. Where the other place
has the same strides, all views of the buffer move with it; else one step must make it, and all must read it whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zhdsl.ir.op import Op
from zhdsl.ops.families import Elementwise
from zhdsl.schedule.program import Kernel, Loop, Step
from zhdsl.schedule.tape import Copy, Item, Pending, Tape
from zhdsl.schedule.views import View


def forward(tape: Tape, items: list[Item], outputs: Sequence[View]) -> tuple[list[Item], list[View]]:
    """The items with copies taken out where the producer can write to the copy's place, and the outputs' places."""
    items = _updates_last(tape, items)
    walk = Forwarding(tape, items, outputs)
    kept = walk.run(items)
    return [_renamed(item, walk.moved) for item in kept], [_new_place(v, walk.moved) for v in outputs]


def _updates_last(tape: Tape, items: Sequence[Item]) -> list[Item]:
    """The items with what only updates held buffers behind all that may read their old contents."""
    readers = Counter(name for s in steps_of(items) for name in {v.buffer for v in s.inputs})
    steps = [item for item in items if isinstance(item, Step)]
    commits = {id(s): s for s in steps if isinstance(s.op, Copy) and tape.buffers[s.output.buffer].place == "held"}
    only_these = {s.inputs[0].buffer for s in commits.values() if readers[s.inputs[0].buffer] == 1}
    late = {id(s): s for s in steps if isinstance(s.op, Elementwise) and s.output.buffer in only_these}
    rest = (item for item in items if id(item) not in commits and id(item) not in late)
    return [*rest, *late.values(), *commits.values()]


def steps_of(items: Iterable[Item]) -> Iterator[Step]:
    """Every step, in kernels and loops too."""
    for item in items:
        if isinstance(item, Step):
            yield item
        else:
            yield from steps_of(item.body if isinstance(item, Pending | Loop) else item.steps)


@dataclass
class Forwarding:
    """One walk over the items.

    Attributes:
        writers, readers: how many steps write a buffer, and how many steps and outputs read it.
        odd: buffers that are read other than as a whole in their own order.
        dense: buffers that a reader needs without gaps: the schedule has looked at their strides for it.
        moved: where the elements of a buffer are now.
    """

    tape: Tape
    items: Sequence[Item]
    outputs: Sequence[View]
    writers: Counter[str] = field(default_factory=Counter)
    readers: Counter[str] = field(default_factory=Counter)
    odd: set[str] = field(default_factory=set)
    dense: set[str] = field(default_factory=set)
    moved: dict[str, Move] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for step in steps_of(self.items):
            self.writers[step.output.buffer] += 1
            self._note(step.inputs)
            if not isinstance(step.op, Elementwise):
                self.dense |= {v.buffer for v in step.inputs}
        self._note(self.outputs)

    def _note(self, views: Sequence[View]) -> None:
        self.readers.update({v.buffer for v in views})
        self.odd |= {v.buffer for v in views if v != self.tape.buffers[v.buffer].whole}

    def run(self, items: Sequence[Item]) -> list[Item]:
        """The items of one list (the run, or a loop's body) without the copies that need not be."""
        result: list[Item] = []
        made: dict[str, list[int]] = {}  # buffer -> places in the result of the items that write it
        last = {s.output.buffer: i for i, item in enumerate(items) for s in steps_of([item])}
        for i, item in enumerate(items):
            if isinstance(item, Pending):
                item = replace(item, body=self.run(item.body))
            if not isinstance(item, Step) or not self._needless(item, result, made, last[item.output.buffer] > i):
                for step in steps_of([item]):
                    made.setdefault(step.output.buffer, []).append(len(result))
                result.append(item)
                continue
            source, target = item.inputs[0], item.output
            move = Move(target, source.dims == target.dims)
            for at in dict.fromkeys(made[source.buffer]):
                result[at] = _redirected(result[at], source.buffer, move)
            self._move(source.buffer, move)
            made.setdefault(target.buffer, []).extend(made.pop(source.buffer))
        return result

    def _move(self, old: str, move: Move) -> None:
        """From now on the buffer's elements are elsewhere; who read the buffer reads there."""
        here, new = {old: move}, move.target.buffer
        self.moved = {n: Move(_new_place(m.target, here), m.alike) for n, m in self.moved.items()} | here
        self.readers[new] += self.readers[old] - 1
        self.dense |= {new} if old in self.dense else set()
        self.odd |= {new} if old in self.odd or move.target != self.tape.buffers[new].whole else set()

    def _needless(self, copy: Step, before: list[Item], made: dict[str, list[int]], again: bool) -> bool:
        """Whether what is copied can be computed at the copy's place; `again`: others write there later."""
        if not isinstance(copy.op, Copy) or copy.inputs[0].buffer not in made:
            return False
        source, target = copy.inputs[0], copy.output
        buffer, places = self.tape.buffers[source.buffer], made[source.buffer]
        steps = [s for at in dict.fromkeys(places) for s in steps_of([before[at]]) if s.output.buffer == buffer.name]
        if buffer.place != "arena" or source != buffer.whole or buffer.name in self.tape.stacks:
            return False
        if len(steps) != self.writers[buffer.name] or any(isinstance(before[at], Pending) for at in places):
            return False
        if again and target.buffer not in self.tape.parts and self.readers[buffer.name] > 1:
            return False  # overwritten (as a carry is) while others still need it
        alike = source.dims == target.dims
        if not alike and (buffer.name in self.odd | self.dense or not _one_writer(steps, source, target)):
            return False
        return self._free(before, min(places), steps, target)

    def _free(self, items: list[Item], at: int, writers: Sequence[Step], target: View) -> bool:
        """Whether, from the first writer on, nobody needs what the target held before.

        Parts of one buffer are written independently and read when they are all there, or in a stack at other places.
        """
        if target.buffer in self.tape.parts:
            return True
        for step in steps_of(items[at:]):
            if step.output.buffer == target.buffer:
                return False
            for view in step.inputs:
                own = step in writers and len(writers) == 1 and isinstance(step.op, Elementwise)
                alike = view.dims == target.dims and view.offset == target.offset
                if view.buffer == target.buffer and not (own and alike and isinstance(items[at], Step)):
                    return False
        return True


def _one_writer(steps: Sequence[Step], source: View, target: View) -> bool:
    """Whether one step makes it all and can write to such a place: anywhere, or to matrices of the same order."""
    if len(steps) != 1 or steps[0].output != source:
        return False
    op: Op = steps[0].op
    if isinstance(op, Elementwise) or op.family == "reduce":
        return True
    order = tuple(n for n in target.labels if n in source.sizes)
    ends_well = order == source.labels and (not order or target.strides[order[-1]] == 1)
    return ends_well and (op.family == "contract" or op.name == "fold")


# ---------------------------------------------------------------- places
@dataclass(frozen=True)
class Move:
    """Where a buffer's elements are now; `alike`: with the same strides, so that any view of it can move."""

    target: View
    alike: bool

    def of(self, view: View) -> View:
        """The new place of what a view of the buffer shows."""
        if not self.alike:
            return self.target
        return View(self.target.buffer, self.target.offset + view.offset, view.dims)


def _new_place(view: View, moved: Mapping[str, Move]) -> View:
    move = moved.get(view.buffer)
    return view if move is None else move.of(view)


def _redirected(item: Item, old: str, move: Move) -> Item:
    """The item writing to the new place."""
    here = {old: move}
    if isinstance(item, Step):
        return replace(item, output=_new_place(item.output, here))
    assert isinstance(item, Kernel)
    return replace(item, steps=tuple(replace(s, output=_new_place(s.output, here)) for s in item.steps))


def _renamed(item: Item, moved: Mapping[str, Move]) -> Item:
    """The item reading values where they are now."""
    if isinstance(item, Step):
        return replace(item, inputs=tuple(_new_place(v, moved) for v in item.inputs))
    if isinstance(item, Kernel):
        steps = tuple(replace(s, inputs=tuple(_new_place(v, moved) for v in s.inputs)) for s in item.steps)
        return replace(item, steps=steps)
    if isinstance(item, Pending):
        return replace(item, body=[_renamed(i, moved) for i in item.body])
    return item
