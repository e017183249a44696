"""Steps that nothing in the run feeds, put just before the first that needs them.

A border's zeros, a copy of weights, 0.9 times a momentum: each could run at any time, and where it stands its result
takes memory until it is read, and joins the wrong kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zhdsl.ops.families import Elementwise
from zhdsl.ops.index import Scatter
from zhdsl.schedule.forward import steps_of
from zhdsl.schedule.program import Step
from zhdsl.schedule.tape import Item, Tape


def light(step: Step) -> bool:
    """Whether it is worth to let it wait until somebody needs it: it costs little, and its result only takes memory."""
    return isinstance(step.op, Elementwise | Scatter)


def as_late_as_possible(tape: Tape, items: Sequence[Item]) -> list[Item]:
    """The items with light ones that nothing in the run feeds just before the first that needs them."""
    late = Late(tape, Counter(step.output.buffer for step in steps_of(items)))
    for item in items:
        if not (isinstance(item, Step) and late.takes(item)):
            late.before(item)
            late.found.append(item)
    for steps in list(late.ready.values()):
        for step in tuple(steps):
            late.place(step)
    return late.found


@dataclass
class Late:
    """Steps that could run at any time and have no place yet.

    Attributes:
        tape: whose buffers.
        writers: how many steps write a buffer.
        ready: those steps, by the buffer that they write.
        readers: those that read what is held, by its buffer: it may be written over.
        known: buffers that only such steps write.
        found: the new order.
    """

    tape: Tape
    writers: Mapping[str, int]
    ready: dict[str, list[Step]] = field(default_factory=dict)
    readers: dict[str, list[Step]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    found: list[Item] = field(default_factory=list)

    def takes(self, step: Step) -> bool:
        """Whether the step can wait; it then does."""
        buffers = self.tape.buffers
        if not light(step) or buffers[step.output.buffer].place != "arena":
            return False
        if any(buffers[v.buffer].place == "arena" and v.buffer not in self.known for v in step.inputs):
            return False
        self.ready.setdefault(step.output.buffer, []).append(step)
        self.known |= {step.output.buffer} if self.writers[step.output.buffer] == 1 else set()
        for view in step.inputs:
            if buffers[view.buffer].place == "held":
                self.readers.setdefault(view.buffer, []).append(step)
        return True

    def before(self, item: Item) -> None:
        """Place what an item needs, or would spoil."""
        for step in steps_of([item]):
            touched = (*(v.buffer for v in step.inputs), step.output.buffer)
            for other in [s for name in touched for s in self.ready.get(name, ())]:
                self.place(other)
            for other in tuple(self.readers.get(step.output.buffer, ())):
                self.place(other)

    def place(self, step: Step) -> None:
        """Place a step, behind what it needs itself; nothing if it has its place."""
        waiting = self.ready.get(step.output.buffer, [])
        if any(step is s for s in waiting):
            self.ready[step.output.buffer] = [s for s in waiting if s is not step]
            self.before(step)
            self.found.append(step)
