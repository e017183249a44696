"""Fusion: elementwise steps over the same axes that feed one another become one kernel.

    t0 = mul(x, w)                          k0 elementwise
    v1 = add(t0, b)         becomes             t0 = mul(x, w); t1 = add(t0, b); v2 = tanh(t1)
    v2 = tanh(v1)

A group stays open until somebody outside of it needs what it writes, or overwrites what it needs; then it is a kernel,
at that place of the order. Values that only the group needs become scratch that holds one piece at a time: a long chain
stays in the cache in a backend of arrays, and in registers in one that prints loops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from zhdsl.ir.node import Node, Origins
from zhdsl.ir.types import Axis
from zhdsl.ops.families import Elementwise
from zhdsl.schedule import pieces
from zhdsl.schedule.forward import steps_of
from zhdsl.schedule.program import Kernel, Loop, Step, Tile
from zhdsl.schedule.tape import Fill, Item, Pending, Tape
from zhdsl.schedule.views import View, sample
from zhdsl.schedule.waiting import Waiting


@dataclass(eq=False)
class Group:
    """An open kernel: its steps with their places in the order, and where it reads and writes."""

    steps: list[tuple[int, Step]]
    reads: dict[str, set[View]] = field(default_factory=dict)
    writes: dict[str, set[View]] = field(default_factory=dict)

    @cached_property
    def domain(self) -> frozenset[Axis]:
        """The axes that all its steps range over."""
        return self.steps[0][1].output.domain

    @property
    def touched(self) -> set[str]:
        """The buffers that it reads or writes."""
        return self.reads.keys() | self.writes.keys()

    def add(self, at: int, step: Step) -> None:
        self.steps.append((at, step))
        for view in step.inputs:
            self.reads.setdefault(view.buffer, set()).add(view)
        self.writes.setdefault(step.output.buffer, set()).add(step.output)

    def absorb(self, other: Group) -> None:
        """Take over another group's steps."""
        self.steps = sorted(self.steps + other.steps, key=lambda pair: pair[0])
        for mine, theirs in ((self.reads, other.reads), (self.writes, other.writes)):
            for buffer, views in theirs.items():
                mine.setdefault(buffer, set()).update(views)


class Fusion:
    """One walk over a list of items; `kernels` is the result."""

    def __init__(self, tape: Tape, shared: Mapping[str, int], origins: Mapping[Node, Origins]):
        self.tape = tape
        self.shared = shared  # how many steps and outputs touch a buffer
        self.origins = origins
        self.open: dict[Group, None] = {}
        self.touching: dict[str, dict[Group, None]] = {}  # the open groups that touch a buffer
        self.kernels: list[Kernel | Loop] = []
        self.waiting: Waiting

    def run(self, items: Sequence[Item]) -> tuple[Kernel | Loop, ...]:
        self.waiting = Waiting(items, self.shared, self._apart)
        for at, item in enumerate(items):
            if at in self.waiting.items:
                self._take(at, item)
        self._close(list(self.open))
        return tuple(self.kernels)

    def _take(self, at: int, item: Item) -> None:
        """The next item, after those that are better done while the groups are open which it will close."""
        closing = self._in_the_way(item)
        while closing and (early := self._early(closing)) is not None:
            self._take(*early)
            closing = self._in_the_way(item)
        self.waiting.take(at)
        if isinstance(item, Step):
            self._step(at, item)
        else:
            self._block(item)

    def _early(self, closing: Sequence[Group]) -> tuple[int, Step] | None:
        """A step that can join one of these groups now and is the last to read something that the group writes.

        Others wait for their turn, even if they could: what they make would take memory for longer.
        """
        for group in closing:
            for at, step in self.waiting.last_readers(group.writes):
                if self._joins(group, step) and not self._in_the_way(step):
                    return at, step
        return None

    def _in_the_way(self, item: Item) -> list[Group]:
        """The open groups that this item would close."""
        if not isinstance(item, Step):
            return list(dict.fromkeys(g for name in sorted(_touched(item)) for g in self.touching.get(name, ())))
        met = dict.fromkeys(self._feeding(item))
        free = [g for g in met if self._joins(g, item)]
        met |= dict.fromkeys(g for g in self.touching.get(item.output.buffer, ()) if self._disturbs(g, item.output))
        return [g for g in met if g not in free]

    def _feeding(self, step: Step) -> list[Group]:
        """The open groups that make what the step reads."""
        found = (g for v in step.inputs for g in self.touching.get(v.buffer, ()) if self._feeds(g, v))
        return list(dict.fromkeys(found))

    def _block(self, item: Kernel | Loop | Pending) -> None:
        self._close(self._in_the_way(item))
        if isinstance(item, Pending):
            body = Fusion(self.tape, self.shared, self.origins).run(item.body)
            self.kernels.append(Loop("", item.counter, item.size, item.reverse, body))
        elif isinstance(item, Kernel):
            self.kernels.append(replace(item, origins=self._places(item.steps)))
        else:
            self.kernels.append(item)

    def _step(self, at: int, step: Step) -> None:
        self._close(self._in_the_way(step))
        joined = self._feeding(step)
        if joined or _fusable(step):
            self._add(at, step, joined)
        elif isinstance(step.op, Fill) and self._borders(step):
            last = self.kernels.pop()
            assert isinstance(last, Kernel)
            self.kernels.append(replace(last, steps=(*last.steps, step)))
        else:
            self.kernels.append(self._kernel([step]))

    def _borders(self, step: Step) -> bool:
        """Whether the latest kernel fills another part of the same buffer."""
        last = self.kernels[-1] if self.kernels else None
        return (
            isinstance(last, Kernel)
            and last.family == "movement"
            and last.steps[-1].op == step.op
            and (last.steps[-1].output.buffer == step.output.buffer)
        )

    def _add(self, at: int, step: Step, joined: Sequence[Group]) -> None:
        group = joined[0] if joined else Group([])
        self.open[group] = None
        for other in joined[1:]:
            group.absorb(other)
            self._forget(other)
        group.add(at, step)
        for name in group.touched:
            self.touching.setdefault(name, {})[group] = None

    def _forget(self, group: Group) -> None:
        """The group is not open any more."""
        self.open.pop(group)
        for name in group.touched:
            self.touching[name].pop(group)

    # ------------------------------------------------------------ what depends on what
    def _feeds(self, group: Group, view: View) -> bool:
        """Whether the group writes what this view shows."""
        return any(not self._apart(view, written) for written in group.writes.get(view.buffer, ()))

    def _disturbs(self, group: Group, output: View) -> bool:
        """Whether writing there changes what the group needs or has written."""
        read, written = group.reads.get(output.buffer, ()), group.writes.get(output.buffer, ())
        return not all(self._apart(output, v) for v in read) or not all(self._apart(output, v, True) for v in written)

    def _apart(self, a: View, b: View, both_written: bool = False) -> bool:
        """Whether two views of one buffer share no element for sure.

        Other entries of a loop's stack do not, nor do parts that are written.
        """
        if both_written and a.buffer in self.tape.parts:
            return a != b
        if a.buffer not in self.tape.stacks or _counters(a) != _counters(b) or not _counters(a):
            return False
        return self._entries(a).isdisjoint(self._entries(b))

    def _entries(self, view: View) -> set[int]:
        """The entries of a stack that a view in its loop touches; by sample sizes, which tell them apart as any do."""
        entry = max(sample(self.tape.buffers[view.buffer].whole.dims[0][2]), 1)
        reach = [sample(stride) * (sample(size) - 1) for _, size, stride in view.dims]
        first, last = (sample(view.offset) + sum(r for r in reach if r * way > 0) for way in (-1, 1))
        return set(range(first // entry, last // entry + 1))

    def _joins(self, group: Group, step: Step) -> bool:
        """Whether the step can run in the group's loop: the same axes, and every element needs only its own."""
        if not _fusable(step) or isinstance(group.steps[0][1].op, Fill) or group.domain != step.output.domain:
            return False
        own = (w == v for v in step.inputs for w in group.writes.get(v.buffer, ()) if not self._apart(v, w))
        read, written = (places.get(step.output.buffer, ()) for places in (group.reads, group.writes))
        return (
            all(own)
            and all(v == step.output or self._apart(v, step.output) for v in read)
            and all(v == step.output or self._apart(v, step.output, True) for v in written)
        )

    # ------------------------------------------------------------ kernels
    def _close(self, groups: Sequence[Group]) -> None:
        for group in groups:
            self._forget(group)
            self.kernels.append(self._kernel([step for _, step in group.steps]))

    def _kernel(self, steps: list[Step]) -> Kernel:
        last = steps[-1]
        family = "movement" if isinstance(last.op, Fill) else last.op.family
        if len(steps) == 1:
            return Kernel("", family, tuple(steps), None, self._places(steps))
        local = self._local(steps)
        order = last.output.labels
        tile = pieces.tile(last.output, order[0], pieces.ELEMENTWISE) if order and local else None
        views = {name: self._scratch(name, tile) for name in local}
        renamed = [_with_views(step, views) for step in steps]
        return Kernel("", family, tuple(renamed), tile, self._places(steps))

    def _local(self, steps: Sequence[Step]) -> list[str]:
        """Buffers that only these steps need."""
        here: Counter[str] = Counter()
        for step in steps:
            here.update({step.output.buffer, *(v.buffer for v in step.inputs)})
        arena = (b for b in here if self.tape.buffers[b].place == "arena" and b not in self.tape.parts)
        written = {s.output.buffer for s in steps}
        return [b for b in arena if b in written and here[b] == self.shared[b]]

    def _scratch(self, name: str, tile: Tile | None) -> View:
        return self.tape.make_local(name, pieces.axes(self.tape.buffers[name].axes, tile))

    def _places(self, steps: Sequence[Step]) -> Origins:
        nothing: Origins = frozenset()
        return nothing.union(*(self.origins.get(s.node, nothing) for s in steps if s.node is not None))


def _counters(view: View) -> set[str]:
    return {s for s in view.offset.symbols if s.startswith("@")}


def _touched(item: Item) -> set[str]:
    return {name for s in steps_of([item]) for name in (s.output.buffer, *(v.buffer for v in s.inputs))}


def _fusable(step: Step) -> bool:
    return isinstance(step.op, Elementwise) and not isinstance(step.op, Fill)


def _with_views(step: Step, views: Mapping[str, View]) -> Step:
    inputs = tuple(views.get(v.buffer, v) for v in step.inputs)
    return replace(step, inputs=inputs, output=views.get(step.output.buffer, step.output))


def count_uses(items: Iterable[Item], outputs: Iterable[View]) -> dict[str, int]:
    """How many steps and outputs touch every buffer."""
    found: Counter[str] = Counter()
    for step in steps_of(items):
        found.update({step.output.buffer, *(v.buffer for v in step.inputs)})
    found.update(v.buffer for v in outputs)
    return dict(found)
