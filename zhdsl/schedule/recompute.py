"""Values that are cheaper to compute again than to keep: what a few elementwise steps make of one value that is kept.

    k0  y = contract(x, W); c = sub(y, m); z = mul(c, gain); …      k0  y = contract(x, W); …
    k1  … = mul(g, z)                                   becomes     k1  c' = sub(y, m); z' = mul(c', gain); … z' …

The normalised values of a batch normalisation need no memory between the forward and the backward pass: only what the
convolution gave does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from zhdsl.ops.families import Elementwise
from zhdsl.schedule.forward import steps_of
from zhdsl.schedule.program import Step
from zhdsl.schedule.tape import Fill, Item, Tape
from zhdsl.schedule.views import View, sample

LONGEST = 6  # steps that are worth it together
LEAST = 1 << 12  # elements of a value from which on memory counts
DEAR = ("exp", "log", "tanh", "erf", "sin", "cos", "pow", "floordiv", "mod")


@dataclass
class Recomputing:
    """What a kernel has made and what waits.

    Attributes:
        tape: where buffers are made.
        shared: how many steps and outputs touch a buffer; kept up to date.
        made: the kernel's elementwise steps whose results are whole values of their own, by buffer.
        uses: how many of the kernel's steps touch a buffer.
        waiting: the items behind the kernel.
    """

    tape: Tape
    shared: dict[str, int]
    made: dict[str, Step]
    uses: Mapping[str, int]
    waiting: list[Item]
    copies: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(tape: Tape, shared: dict[str, int], steps: Sequence[Step], waiting: list[Item]) -> Recomputing:
        uses: dict[str, int] = {}
        writers: dict[str, int] = {}
        for step in steps:
            writers[step.output.buffer] = writers.get(step.output.buffer, 0) + 1
            for name in {step.output.buffer, *(v.buffer for v in step.inputs)}:
                uses[name] = uses.get(name, 0) + 1
        alone = [s for s in steps if writers[s.output.buffer] == 1 and _cheap(tape, s)]
        return Recomputing(tape, shared, {s.output.buffer: s for s in alone}, uses, waiting)

    def run(self) -> list[Item]:
        """What waits, with clones of steps in front of the first that needs them."""
        for name in [n for n in self.made if self._asked(n)]:
            chain = self._chain(name)
            if chain:
                self._clone(name, chain)
        return self.waiting

    def _asked(self, name: str) -> bool:
        """Whether only this kernel and plain steps that wait touch the value, and some of them do.

        A clone that nobody in its kernel reads is there to be kept: its reader cannot be where it is.
        """
        if name in self.tape.lazy and self.uses[name] == 1:
            return False
        readers = [s for s in self.waiting if isinstance(s, Step) and _touches(s, name)]
        loops = [item for item in self.waiting if not isinstance(item, Step)]
        inside = any(_touches(s, name) for s in steps_of(loops))
        return bool(readers) and not inside and self.uses[name] + len(readers) == self.shared.get(name, 0)

    def _chain(self, name: str) -> list[Step]:
        """The steps that make the value of one large one that is kept; nothing if that takes too many, or too much."""
        chain: list[Step] = []
        large: set[str] = set()
        open_ = [name]
        while open_:
            step = self.made[open_.pop()]
            if step not in chain:
                chain.append(step)
            for view in step.inputs:
                if view.buffer in self.made and self._whole(view):
                    open_.append(view.buffer)
                elif view.count.symbols and len(view.varying) > 1:
                    large.add(view.buffer)
            if len(chain) > LONGEST or len(large) > 1:
                return []
        kept = all(n in self.shared and self.tape.buffers[n].place in ("arena", "input") for n in large)
        return chain[::-1] if large and kept and not self._spoiled(chain) else []

    def _whole(self, view: View) -> bool:
        return _same_places(view, self.tape.buffers[view.buffer].whole)

    def _spoiled(self, chain: Sequence[Step]) -> bool:
        """Whether something that waits writes what the chain reads (an update of a parameter comes last)."""
        sources = {v.buffer for s in chain for v in s.inputs}
        places = {n: self.tape.buffers[n].place for n in sources}
        written = {s.output.buffer for s in steps_of(self.waiting)}
        return any(n in written for n in sources if places[n] != "held")

    def _clone(self, name: str, chain: Sequence[Step]) -> None:
        """Put the chain in front of the first that reads the value, and let all that wait read the clone."""
        first = next(i for i, s in enumerate(self.waiting) if isinstance(s, Step) and _touches(s, name))
        if any(self.tape.buffers[s.output.buffer].place == "held" for s in steps_of(self.waiting[:first])):
            return
        names: dict[str, str] = {}
        clones: list[Item] = []
        for step in chain:
            buffer = self.tape.buffers[step.output.buffer]
            view = self.tape.buffer(buffer.dtype, buffer.axes, 0)
            self.tape.lazy.add(view.buffer)
            clone = _reading(step, names)
            names[step.output.buffer] = view.buffer
            clones.append(replace(clone, output=replace(step.output, buffer=view.buffer)))
        last = {name: names[name]}
        for item in clones:
            self._count(item, 1)
        for i, item in enumerate(self.waiting):
            if isinstance(item, Step) and _touches(item, name):
                self._count(item, -1)
                self.waiting[i] = _reading(item, last)
                self._count(self.waiting[i], 1)
        self.waiting[first:first] = clones

    def without_dead(self, steps: Sequence[Step]) -> list[Step]:
        """The kernel's steps without those whose results nobody reads any more, for who did reads a clone."""
        kept: list[Step] = []
        for step in reversed(steps):
            name = step.output.buffer
            if name in self.made and self.shared.get(name, 0) == 1:
                self._count(step, -1)
            else:
                kept.append(step)
        return kept[::-1]

    def _count(self, item: Item, change: int) -> None:
        for step in steps_of([item]):
            for name in {step.output.buffer, *(v.buffer for v in step.inputs)}:
                self.shared[name] = self.shared.get(name, 0) + change


def _cheap(tape: Tape, step: Step) -> bool:
    """Whether a step is worth to be done again: arithmetic that makes a large float value of its own."""
    buffer = tape.buffers[step.output.buffer]
    plain = isinstance(step.op, Elementwise) and not isinstance(step.op, Fill) and step.op.name not in DEAR
    own = buffer.place == "arena" and buffer.name not in tape.parts and step.output.buffer not in tape.stacks
    large = bool(buffer.count.symbols) and sample(buffer.count) >= LEAST
    return plain and own and large and buffer.dtype != "bool" and _same_places(step.output, buffer.whole)


def _same_places(view: View, whole: View) -> bool:
    """Whether a view shows a whole buffer in its own order, under whatever labels."""
    return view.offset == whole.offset and [d[1:] for d in view.dims] == [d[1:] for d in whole.dims]


def _touches(step: Step, name: str) -> bool:
    return step.output.buffer == name or any(v.buffer == name for v in step.inputs)


def _reading(step: Step, names: Mapping[str, str]) -> Step:
    inputs = tuple(replace(v, buffer=names.get(v.buffer, v.buffer)) for v in step.inputs)
    return replace(step, inputs=inputs)
