"""Tiling: steps that all run over one label become one kernel, which runs all of them for a few indices at a time.

    v1[B, N] = contract(x, W)                k0 tiled by 32 of B
    v2[B, N] = tanh(v1)             becomes      t1 = contract(x, W); t2 = tanh(t1); t3[N] = sum[B](t2 * t2); s = s + t3
    s[N] = sum[B](v2 * v2)

What only these steps need is scratch that holds one piece, in the cache and not in memory; products, reductions and
elementwise steps follow one another without a barrier. A step that sums over the label adds its part to a *total*,
which is whole when the kernel is over: who reads it waits for the next kernel. Batch normalisation so ends one kernel
and begins the next; layer normalisation, softmax and attention do not.

For backends that print loops; pieces in that of arrays are `fuse.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zhdsl.ir.node import Node, Origins
from zhdsl.ir.sizes import Size, extreme
from zhdsl.ops.contract import Contract
from zhdsl.ops.elementwise import Add
from zhdsl.ops.families import Elementwise
from zhdsl.schedule import pieces
from zhdsl.schedule.apart import inside, role
from zhdsl.schedule.forward import steps_of
from zhdsl.schedule.late import as_late_as_possible, light
from zhdsl.schedule.program import Buffer, Kernel, Loop, Step, Tile
from zhdsl.schedule.recompute import Recomputing
from zhdsl.schedule.tape import Fill, Item, Pending, Tape
from zhdsl.schedule.views import ONE, ZERO, View, product, relabel, sample

PIECE = 1 << 18  # elements that the steps of one piece may touch: about half a second-level cache in f32
WEIGHTS = 1 << 16  # elements of weights from which on every piece should use them for ROWS rows
TOTAL = 1 << 16  # elements of the largest total: every chunk of pieces has one of its own
ROWS = 16  # pieces of more indices have a multiple of it, so that products have few odd rows
SMALL = 1 << 11  # elements that one thread deals with faster than a barrier
CHUNKS = 4  # parts in which totals are added up, whatever the number of threads: the bits do not depend on it


@dataclass(eq=False)
class Tiled:
    """A kernel that is still open.

    Attributes:
        label, size: what it is cut along; no label: its steps have none, or none that serves.
        heavy: whether it multiplies with weights that are read again for every piece, and should be for many rows.
        small: whether it takes steps on few elements, one after the other, and no others.
        steps: so far.
        written, read: views by buffer.
        totals: buffers whose values are whole only behind the kernel.
        touched: about how many elements of every buffer one index of the label touches.
    """

    label: str
    size: Size
    small: bool = False
    heavy: bool = False
    steps: list[Step] = field(default_factory=list)
    written: dict[str, list[View]] = field(default_factory=dict)
    read: dict[str, list[View]] = field(default_factory=dict)
    totals: set[str] = field(default_factory=set)
    touched: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Tiled:
        """The same, to try something."""
        written, read = ({name: list(views) for name, views in d.items()} for d in (self.written, self.read))
        rest = (list(self.steps), written, read, set(self.totals), dict(self.touched))
        return Tiled(self.label, self.size, self.small, self.heavy, *rest)

    def take(self, other: Tiled) -> None:
        """Become the other."""
        self.steps, self.written, self.read, self.totals = other.steps, other.written, other.read, other.totals
        self.touched, self.heavy = other.touched, other.heavy

    def note(self, step: Step) -> None:
        self.steps.append(step)
        for view in step.inputs:
            self.read.setdefault(view.buffer, []).append(view)
        self.written.setdefault(step.output.buffer, []).append(step.output)
        widen(self.touched, step, self.label)


class Tiling:
    """Groups the items of one list; `run` gives the kernels.

    Args:
        tape: where buffers are made.
        shared: how many steps and outputs touch a buffer.
        origins: places in the user's text.
    """

    def __init__(self, tape: Tape, shared: Mapping[str, int], origins: Mapping[Node, Origins]):
        self.tape = tape
        self.shared = dict(shared)
        self.origins = origins

    def run(self, items: Sequence[Item]) -> tuple[Kernel | Loop, ...]:
        kernels: list[Kernel | Loop] = []
        waiting = as_late_as_possible(self.tape, items)
        while waiting:
            waiting = self._round(waiting, kernels)
        return tuple(kernels)

    def _round(self, items: list[Item], kernels: list[Kernel | Loop]) -> list[Item]:
        """Make one kernel of as many items as can join the first one, and what must go before it; the rest waits."""
        first, *rest = items
        if not isinstance(first, Step):
            kernels.append(self._block(first))
            return rest
        group = self._opened(first)
        early, late = self._gathered(group, rest)
        while early:
            early = self._round(early, kernels)
        recomputing = Recomputing.of(self.tape, self.shared, group.steps, late)
        late = recomputing.run()
        group.steps = recomputing.without_dead(group.steps)
        if group.steps:
            kernels.append(self._closed(group))
        return late

    def _gathered(self, group: Tiled, items: Iterable[Item]) -> tuple[list[Item], list[Item]]:
        """Let items join, with what they need of those that can run at any time; the rest waits.

        What a joining step needs and what cannot join itself runs before the group: copies of weights, for example.
        """
        early: list[Item] = []
        waiting: list[Item] = []
        free: list[Step] = []  # among those that wait: they depend on nothing that the run has computed
        behind = Touched()
        for item in items:
            if not behind.orders(item) and isinstance(item, Step):
                lazy = item.output.buffer in self.tape.lazy
                if lazy or (self._free(item, free) and self._independent(group, item)):
                    waiting.append(item)
                    free.append(item)
                    continue
                needed = _needed(free, item)
                if needed is not None and self._join_with(group, item, needed, early):
                    free = [s for s in free if s not in needed]
                    waiting = [s for s in waiting if s not in needed]
                    continue
            waiting.append(item)
            behind.note(item)
        return early, waiting

    def _join_with(self, group: Tiled, step: Step, needed: Sequence[Step], early: list[Item]) -> bool:
        """Add a step and before it what it needs; `False` if it cannot join."""
        if not needed:
            return self._join(group, step)
        trial = group.copy()
        outside = []
        names = names_alike(group, step) if group.label else {}
        for other in needed:
            if not self._join(trial, renamed(other, names)):
                if not self._independent(trial, other):
                    return False
                outside.append(other)
        if not self._join(trial, step):
            return False
        group.take(trial)
        early += outside
        return True

    def _free(self, step: Step, free: Sequence[Step]) -> bool:
        """Whether the step reads nothing but what is there before the run, or what such steps make of it."""
        made = {s.output.buffer for s in free}
        buffers = self.tape.buffers
        fed = any(buffers[v.buffer].place == "arena" and v.buffer not in made for v in step.inputs)
        return light(step) and not fed and buffers[step.output.buffer].place == "arena"

    @staticmethod
    def _independent(group: Tiled, item: Item) -> bool:
        """Whether the item may as well run before the group."""
        for step in steps_of([item]):
            if any(v.buffer in group.written for v in step.inputs):
                return False
            if step.output.buffer in group.written or step.output.buffer in group.read:
                return False
        return True

    # ------------------------------------------------------------ who may join
    def _opened(self, step: Step) -> Tiled:
        if small(step):
            few = Tiled("", ONE, small=True)
            few.note(step)
            return few
        for label, size in self._candidates(step):
            group = Tiled(label, size)
            if self._join(group, step):
                return group
        alone = Tiled("", ONE)
        alone.note(step)
        return alone

    @staticmethod
    def _candidates(step: Step) -> list[tuple[str, Size]]:
        """Labels to cut along, the best first: the outermost of data, or data that are summed up, or any."""
        views = sorted((step.output, *step.inputs), key=lambda v: -sample(v.count))
        found = {n: size for v in views for n, size, _ in v.dims}
        far = {n: max(abs(sample(v.strides.get(n, ZERO))) for v in views) for n in found}
        own = {n: abs(sample(stride)) for n, _, stride in step.output.dims}
        of_data = bool(step.output.count.symbols)

        def rank(n: str) -> tuple[bool, bool, int]:
            return (n not in own if of_data else not found[n].symbols, n not in own, -own.get(n, far[n]))

        return [(n, found[n]) for n in sorted(found, key=rank) if found[n] != 1]

    def _join(self, group: Tiled, step: Step) -> bool:
        """Add the step if every piece needs nothing of other pieces."""
        if not group.label:
            if not group.small or not small(step):
                return False
            group.note(step)
            return True
        step = renamed(step, names_alike(group, step))
        kind = role(step, group.label)
        if not self._worth(group, step):
            return False
        if kind == "own" and step.output.sizes[group.label] == group.size and self._apart(group, step):
            group.note(step)
            return True
        if kind == "sum" and self._summable(group, step):
            self._add_total(group, step)
            return True
        return False

    def _worth(self, group: Tiled, step: Step) -> bool:
        """Whether large weights of the kernel would be used for enough rows at once, with this step in it."""
        heavy = group.heavy or heavy_for(step, group.label)
        if not heavy or not group.steps:
            group.heavy = heavy
            return True
        touched = dict(group.touched)
        widen(touched, step, group.label)
        fits = sum(touched.values()) * ROWS <= PIECE
        group.heavy = heavy and fits
        return fits

    def _apart(self, group: Tiled, step: Step) -> bool:
        """Whether all that the step shares with the group it touches in the same piece."""
        views = [(v, group.written.get(v.buffer, [])) for v in step.inputs]
        out = step.output
        views.append((out, [*group.written.get(out.buffer, []), *group.read.get(out.buffer, [])]))
        for view, others in views:
            if others and (view.buffer in group.totals or not self._aligned(group, [view, *others])):
                return False
        own = [v for v in step.inputs if v.buffer == out.buffer]
        return not own or self._aligned(group, [out, *own])

    def _aligned(self, group: Tiled, views: Sequence[View]) -> bool:
        """Whether index i of the label shows elements that no other index shows, the same in all these views."""
        strides = {v.strides.get(group.label) for v in views}
        if len(strides) != 1:
            return False
        (stride,) = strides
        return stride is not None and all(inside(v, group.label, stride) for v in views)

    def _summable(self, group: Tiled, step: Step) -> bool:
        inputs = [v for v in step.inputs if v.buffer in group.written]
        small = not step.output.count.symbols and sample(step.output.count) <= TOTAL
        sizes = {v.sizes[group.label] for v in step.inputs if group.label in v.sizes}
        fresh = step.output.buffer not in group.written and step.output.buffer not in group.read
        place = self.tape.buffers[step.output.buffer]
        whole = step.output == place.whole and place.place == "arena"
        if not (small and fresh and whole and sizes == {group.size}):
            return False
        if any(v.buffer in group.totals for v in inputs):
            return False
        return all(self._aligned(group, [v, *group.written[v.buffer]]) for v in inputs)

    def _add_total(self, group: Tiled, step: Step) -> None:
        """The step's part of one piece, added to the total."""
        out = step.output
        part = self.tape.local(self.tape.buffers[out.buffer].dtype, out.axes)
        group.note(replace(step, output=part))
        group.note(Step(Add(), (out, part), out))
        group.totals.add(out.buffer)

    # ------------------------------------------------------------ kernels
    def _block(self, item: Item) -> Kernel | Loop:
        if isinstance(item, Pending):
            body = Tiling(self.tape, self.shared, self.origins).run(item.body)
            return Loop("", item.counter, item.size, item.reverse, body)
        assert not isinstance(item, Step)
        return item

    def _closed(self, group: Tiled) -> Kernel:
        tile = self._tile(group)
        if tile is not None:
            for name in self._scratch(group):
                old = self.tape.buffers[name]
                self.tape.make_local(name, pieces.axes(old.axes, tile))
        nothing: Origins = frozenset()
        places = nothing.union(*(self.origins.get(s.node, nothing) for s in group.steps if s.node is not None))
        family = "tiled" if len(group.steps) > 1 else _family(group.steps[0])
        return Kernel("", family, tuple(group.steps), tile, places, tuple(sorted(group.totals)))

    def _tile(self, group: Tiled) -> Tile | None:
        """How many indices make a piece: few enough for the cache, and with totals so that there are some chunks.

        Without totals a backend may cut finer, so that every thread has a piece: nothing is added up over pieces.
        """
        if not group.label:
            return None
        fitting = max(1, PIECE // max(1, sum(group.touched.values())))
        fitting -= fitting % ROWS if fitting > ROWS else 0
        share = (group.size + (CHUNKS - 1)) // CHUNKS if group.totals else group.size
        return Tile(group.label, extreme("max", (1, extreme("min", (fitting, share)))))

    def _scratch(self, group: Tiled) -> list[str]:
        """Buffers that only this kernel needs, and that a piece at a time can be made of."""
        counts: dict[str, int] = {}
        for step in group.steps:
            for name in {step.output.buffer, *(v.buffer for v in step.inputs)}:
                counts[name] = counts.get(name, 0) + 1
        found = []
        for name, views in group.written.items():
            buffer = self.tape.buffers[name]
            alone = counts.get(name) == self.shared.get(name, 0) and name not in self.tape.stacks
            if buffer.place == "arena" and alone and name not in group.totals and self._outermost(group, buffer, views):
                found.append(name)
        return found

    def _outermost(self, group: Tiled, buffer: Buffer, views: Sequence[View]) -> bool:
        """Whether the label is the buffer's outermost axis, so that a piece is laid out as the whole."""
        if not buffer.axes or buffer.axes[0][1] != group.size:
            return False
        stride = product(n for _, n in buffer.axes[1:])
        return all(v.strides[group.label] == stride for v in views)


# ---------------------------------------------------------------- what depends on what
@dataclass
class Touched:
    """The buffers that some items read and write."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)

    def note(self, item: Item) -> None:
        for step in steps_of([item]):
            self.reads |= {v.buffer for v in step.inputs}
            self.writes.add(step.output.buffer)

    def orders(self, item: Item) -> bool:
        """Whether the item must stay behind these."""
        return any(
            s.output.buffer in self.reads
            or s.output.buffer in self.writes
            or any(v.buffer in self.writes for v in s.inputs)
            for s in steps_of([item])
        )


def _needed(free: Sequence[Step], step: Step) -> list[Step] | None:
    """Those of the free steps that must run before this one; `None` if it would spoil what another one reads."""
    reads = {v.buffer for v in step.inputs}
    needed: list[Step] = []
    for other in reversed(free):
        if other.output.buffer in reads or (isinstance(other.op, Fill) and other.output.buffer == step.output.buffer):
            needed.append(other)
            reads |= {v.buffer for v in other.inputs}
        elif step.output.buffer in (other.output.buffer, *(v.buffer for v in other.inputs)):
            return None
    return needed[::-1]


def names_alike(group: Tiled, step: Step) -> dict[str, str]:
    """What an elementwise step calls the group's label, if it calls it otherwise: by what it reads of the group."""
    if not isinstance(step.op, Elementwise) or any(group.label in v.sizes for v in (step.output, *step.inputs)):
        return {}
    for view in step.inputs:
        for written in group.written.get(view.buffer, ())[:1]:
            same = (written.sizes.get(group.label), written.strides.get(group.label))
            for other, n, stride in view.dims:
                if (n, stride) == same:
                    return {other: group.label}
    return {}


def renamed(step: Step, names: Mapping[str, str]) -> Step:
    """An elementwise step with other names for labels."""
    if not names or not isinstance(step.op, Elementwise):
        return step
    return replace(step, inputs=tuple(relabel(v, names) for v in step.inputs), output=relabel(step.output, names))


def widen(touched: dict[str, int], step: Step, label: str) -> None:
    """Note what a step touches for one index of the label, by buffer."""
    for view in (*step.inputs, step.output):
        if label in view.sizes:
            own = product(n for other, n, _ in view.dims if other != label)
            touched[view.buffer] = max(touched.get(view.buffer, 0), sample(own))


def heavy_for(step: Step, label: str) -> bool:
    """Whether it is a product of few rows for each index of the label with weights that do not fit a small cache."""
    if not isinstance(step.op, Contract) or label not in step.output.sizes:
        return False
    for weights, data in (step.inputs, step.inputs[::-1]):
        if label not in weights.sizes and sample(weights.count) >= WEIGHTS:
            rows = product(n for other, n, _ in data.dims if other != label and other in step.output.sizes)
            return sample(rows) < ROWS
    return False


def small(step: Step) -> bool:
    """Whether it is over before threads have shared it out: on statistics of channels, on scalars."""
    counts = [v.count for v in (step.output, *step.inputs)]
    work = product({n: size for v in (step.output, *step.inputs) for n, size, _ in v.dims}.values())
    return all(not n.symbols for n in counts) and sample(work) <= SMALL


def _family(step: Step) -> str:
    return "movement" if isinstance(step.op, Fill) else step.op.family
