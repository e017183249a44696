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
    writers = Counter(s.output.buffer for s in steps_of(items))  # a carry is written before its loop and in it
    steps = [item for item in items if isinstance(item, Step)]
    commits = {id(s): s for s in steps if isinstance(s.op, Copy) and tape.buffers[s.output.buffer].place == "held"}
    sources = {s.inputs[0].buffer for s in commits.values()}
    only_these = {name for name in sources if readers[name] == writers[name] == 1}
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
    guests: dict[str, list[str]] = field(default_factory=dict)  # which buffers have moved to a buffer

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
        kept: list[Item] = []
        touched: dict[str, list[int]] = {}  # buffer -> places in `kept` of the items that touch it
        last = {s.output.buffer: i for i, item in enumerate(items) for s in steps_of([item])}
        for i, item in enumerate(items):
            if isinstance(item, Pending):
                item = replace(item, body=self.run(item.body))
            places = self._writers(item, kept, touched, last[item.output.buffer] > i) if isinstance(item, Step) else []
            if places and isinstance(item, Step):
                self._redirect(item, kept, places)
                touched.setdefault(item.output.buffer, []).extend(places)
                continue
            for name in {n for s in steps_of([item]) for n in (s.output.buffer, *(v.buffer for v in s.inputs))}:
                touched.setdefault(name, []).append(len(kept))
            kept.append(item)
        return kept

    def _redirect(self, copy: Step, kept: list[Item], places: Sequence[int]) -> None:
        """Let what writes the copied buffer write to the copy's place; who reads the buffer reads there from now on."""
        old, new = copy.inputs[0].buffer, copy.output.buffer
        move = Move(copy.output, copy.inputs[0].dims == copy.output.dims)
        for at in places:
            kept[at] = _redirected(kept[at], old, move)
        guests = self.guests.pop(old, [])
        self.moved |= {name: Move(move.of(self.moved[name].target), self.moved[name].alike) for name in guests}
        self.moved[old] = move
        self.guests.setdefault(new, []).extend((*guests, old))
        self.readers[new] += self.readers[old] - 1
        self.dense |= {new} if old in self.dense else set()
        self.odd |= {new} if old in self.odd or copy.output != self.tape.buffers[new].whole else set()

    def _writers(self, copy: Step, kept: list[Item], touched: Mapping[str, list[int]], again: bool) -> list[int]:
        """Where the items are that write what is copied, if they can write to the copy's place; else nothing.

        `again`: others write to that place later.
        """
        if not isinstance(copy.op, Copy):
            return []
        source, target = copy.inputs[0], copy.output
        buffer = self.tape.buffers[source.buffer]
        if buffer.place != "arena" or source != buffer.whole or buffer.name in self.tape.stacks:
            return []
        places = [at for at in dict.fromkeys(touched.get(buffer.name, ())) if _writes(kept[at], buffer.name)]
        steps = [s for at in places for s in steps_of([kept[at]]) if s.output.buffer == buffer.name]
        in_loops = any(isinstance(kept[at], Pending) for at in places)
        if in_loops or len(steps) != self.writers[buffer.name]:  # or some are in another list
            return []
        if again and target.buffer not in self.tape.parts and self.readers[buffer.name] > 1:
            return []  # overwritten (as a carry is) while others still need it
        if source.dims != target.dims and not self._can_spread(steps, source, target):
            return []
        return places if self._free(kept, places, touched.get(target.buffer, ()), target) else []

    def _can_spread(self, steps: Sequence[Step], source: View, target: View) -> bool:
        """Whether writer and readers of a whole buffer can do with other strides.

        Printed loops have a library's copies for nothing: there, other readers keep the rows that vectors run along.
        """
        last = source.labels[-1] if source.labels else ""
        if self.tape.direct and self.readers[source.buffer] > 1 and target.strides.get(last) != 1:
            return False
        return source.buffer not in self.odd | self.dense and _one_writer(steps, source, target)

    def _free(self, kept: Sequence[Item], places: Sequence[int], touching: Iterable[int], target: View) -> bool:
        """Whether, from the first writer on, nobody needs what the target held before.

        Parts of one buffer are written independently and read when they are all there, or in a stack at other places.
        """
        if target.buffer in self.tape.parts:
            return True
        for at in touching:
            item = kept[at]
            in_place = len(places) == 1 and at == places[0] and isinstance(item, Step)
            if at >= min(places) and not (in_place and isinstance(item, Step) and _reads_alike(item, target)):
                return False
        return True


def _writes(item: Item, name: str) -> bool:
    return any(s.output.buffer == name for s in steps_of([item]))


def _reads_alike(step: Step, target: View) -> bool:
    """Whether an elementwise step reads of the target's buffer what lies where it writes, element by element."""
    read = [v for v in step.inputs if v.buffer == target.buffer]
    return isinstance(step.op, Elementwise) and all((v.offset, v.dims) == (target.offset, target.dims) for v in read)


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
