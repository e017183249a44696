"""Windows in pieces: what ranges over positions and taps of a window becomes scratch of one kernel.

    v0[B, H, H'] = contract(g, W)          the data                 k0 movement by … of B
    v1[B, H] = fold[H, H'](v0)             gradient of a        →       t0[B, H, H'] = contract(g, W)
                                           convolution                  v1[B, H] = fold[H, H'](t0)

Every element of the input stands in such a buffer once per tap: nine times for a 3 x 3 filter. All steps that write or
read it are run together, some indices of its outermost label at a time, if nothing between them needs to be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

from zhdsl.ops.contract import Contract
from zhdsl.ops.families import Elementwise, Reduce
from zhdsl.ops.window import Fold
from zhdsl.schedule import pieces
from zhdsl.schedule.forward import steps_of
from zhdsl.schedule.products import overlaps
from zhdsl.schedule.program import Kernel, Loop, Step, Tile
from zhdsl.schedule.tape import Item, Pending, Tape
from zhdsl.schedule.views import Dim, View, sample, window
from zhdsl.schedule.views import product as all_of

Pairs = frozenset[frozenset[str]]  # labels of positions and taps
NONE: Pairs = frozenset()
TILED = (Elementwise, Reduce, Contract, Fold)


def in_pieces(tape: Tape, items: Sequence[Item], shared: Mapping[str, int]) -> list[Item]:
    """The items with those that share windows' taps as one kernel each, where that can be.

    Args:
        tape: its buffers of taps become scratch.
        items: in order.
        shared: how many steps and outputs touch a buffer.
    """
    items = [replace(i, body=in_pieces(tape, i.body, shared)) if isinstance(i, Pending) else i for i in items]
    for buffers in _components(items, _tap_buffers(tape, items)):
        items = _joined(tape, items, buffers, shared)
    return items


# ---------------------------------------------------------------- what holds taps
def window_pairs(view: View) -> Pairs:
    """The pairs of labels of a view that meet the same elements: positions and taps of a window."""
    dims = tuple(d for d in view.dims if d[2] != 0)
    if not overlaps(replace(view, dims=dims)):
        return NONE
    met = (pair for pair in combinations(dims, 2) if overlaps(replace(view, dims=pair)))
    return frozenset(frozenset((a[0], b[0])) for a, b in met)


def folded_pairs(step: Step) -> Pairs:
    """The labels of a fold if it reads, for every tap, elements of its own, and they overlap in the result."""
    op, view = step.op, step.inputs[0]
    assert isinstance(op, Fold)
    if not {op.label, op.tap} <= set(view.varying):
        return NONE
    extent = view.sizes[op.label], view.sizes[op.tap]
    return window_pairs(window(step.output, op.label, op.tap, (op.stride, op.dilation, -op.low), extent))


def _tap_buffers(tape: Tape, items: Sequence[Item]) -> dict[str, Pairs]:
    """Buffers in memory that range over positions and taps: they are made of windows, or folds need them."""
    found: dict[str, Pairs] = {}
    steps = list(steps_of(i for i in items if not isinstance(i, Pending)))
    for step in steps:
        met = {p for v in step.inputs for p in (*window_pairs(v), *found.get(v.buffer, NONE))}
        _mark(found, step.output, met)
    for step in reversed(steps):
        if isinstance(step.op, Fold):
            _mark(found, step.inputs[0], folded_pairs(step))
        if isinstance(step.op, Elementwise) and step.output.buffer in found:
            for view in step.inputs:
                _mark(found, view, found[step.output.buffer] - window_pairs(view))
    return {name: pairs for name, pairs in found.items() if tape.buffers[name].place == "arena"}


def _mark(found: dict[str, Pairs], view: View, pairs: Iterable[frozenset[str]]) -> None:
    """Note the pairs that a view has as labels of its buffer."""
    own = frozenset(p for p in pairs if p <= set(view.varying))
    if own:
        found[view.buffer] = found.get(view.buffer, NONE) | own


def _components(items: Sequence[Item], taps: Iterable[str]) -> Iterator[frozenset[str]]:
    """Buffers of taps that are touched by the same items, in the order of the items."""
    left = dict.fromkeys(taps)
    touched = [_touched(item) & left.keys() for item in items]
    while left:
        group, size = {next(iter(left))}, 0
        while size < len(group):
            size = len(group)
            group = group.union(*(t for t in touched if t & group))
        yield frozenset(group)
        left = {name: None for name in left if name not in group}


def _touched(item: Item) -> set[str]:
    return {v.buffer for s in steps_of([item]) for v in (*s.inputs, s.output)}


def _written(item: Item) -> set[str]:
    return {s.output.buffer for s in steps_of([item])}


# ---------------------------------------------------------------- one kernel
def _joined(tape: Tape, items: list[Item], buffers: frozenset[str], shared: Mapping[str, int]) -> list[Item]:
    """The items with all that touch these buffers as one kernel; as they are where that cannot be."""
    members = [at for at, item in enumerate(items) if _touched(item) & buffers]
    parts = [items[at] for at in members]
    order = None if any(isinstance(i, Pending | Loop) for i in parts) else _order(items, members)
    if order is None:
        return items
    work = Work(tape, tuple(steps_of(parts)), buffers, shared)
    tiles = {item.tile for item in parts if isinstance(item, Kernel)} - {None}
    label = work.label()
    if label is None or len(tiles) > 1 or any(t.label != label for t in tiles if t):
        return items
    before, after = order
    return [*before, work.kernel(next(iter(tiles), None) or work.tile(label)), *after]


def _order(items: Sequence[Item], members: Sequence[int]) -> tuple[list[Item], list[Item]] | None:
    """What comes before and behind the members if they are done at once; `None` if something must come between."""
    first, last = members[0], members[-1]
    before, later = list(items[:first]), list[Item]()
    behind: list[Item] = []  # members and what must follow them
    for at in range(first, last + 1):
        item = items[at]
        if at not in members and not any(_conflict(item, other) for other in behind):
            before.append(item)
            continue
        if at in members and any(_conflict(item, other) for other in later):
            return None
        behind.append(item)
        later += [] if at in members else [item]
    return before, [*later, *items[last + 1 :]]


def _conflict(item: Item, earlier: Item) -> bool:
    """Whether an item must stay behind an earlier one."""
    return bool(_written(earlier) & _touched(item) or _touched(earlier) & _written(item))


@dataclass(frozen=True)
class Work:
    """Steps that shall run as one kernel.

    Attributes:
        taps: the buffers for whose sake they shall.
        shared: how many steps and outputs touch a buffer, of these steps and others.
    """

    tape: Tape
    steps: tuple[Step, ...]
    taps: frozenset[str]
    shared: Mapping[str, int]

    @cached_property
    def scratch(self) -> tuple[str, ...]:
        """The buffers that only these steps touch."""
        counts = Counter(n for s in self.steps for n in {s.output.buffer, *(v.buffer for v in s.inputs)})
        mine = (n for n in self.made if counts[n] == self.shared[n] and n not in self.tape.parts)
        return tuple(n for n in mine if self.tape.buffers[n].place == "arena")

    @cached_property
    def made(self) -> dict[str, View]:
        """What the steps write."""
        return {s.output.buffer: s.output for s in self.steps}

    def label(self) -> str | None:
        """The label along which all can be done in pieces; `None` if there is none."""
        outermost = {self.tape.buffers[name].axes[0][0] for name in self.taps}
        if len(outermost) > 1 or not self.taps <= set(self.scratch):
            return None
        (label,) = outermost
        if not all(self._divides(step, label) for step in self.steps):
            return None
        whole = {v.sizes[label] for v in self.made.values() if self.tape.buffers[v.buffer].place != "local"}
        return label if len(whole) == 1 else None

    def _divides(self, step: Step, label: str) -> bool:
        """Whether an index of the label of the result needs of what the others make that index only."""
        if not isinstance(step.op, TILED) or label not in step.output.sizes:
            return False
        if isinstance(step.op, Fold) and label in (step.op.label, step.op.tap):
            return False
        return all(_alike(v, self.made[v.buffer], label) for v in step.inputs if v.buffer in self.made)

    def tile(self, label: str) -> Tile | None:
        """Pieces that stay in the cache."""
        product = any(isinstance(s.op, Contract) for s in self.steps)
        largest = max((self.tape.buffers[n].whole for n in sorted(self.taps)), key=lambda v: sample(v.count))
        return pieces.tile(largest, label, pieces.MATRIX if product else pieces.ELEMENTWISE)

    def kernel(self, tile: Tile | None) -> Kernel:
        """All steps, piece by piece."""
        local = [n for n in self.scratch if tile is None or self.tape.buffers[n].axes[0][0] == tile.label]
        for name in local:
            self.tape.make_local(name, pieces.axes(self.tape.buffers[name].axes, tile))

        def cut(view: View) -> View:
            return replace(view, dims=_resized(view, tile)) if view.buffer in local else view

        steps = tuple(replace(s, inputs=tuple(map(cut, s.inputs)), output=cut(s.output)) for s in self.steps)
        product = any(isinstance(s.op, Contract) for s in steps)
        return Kernel("", "contract" if product else steps[-1].op.family, steps, tile)


def _alike(view: View, made: View, label: str) -> bool:
    """Whether what is read at an index of the label is what was written at that index."""
    if view.offset != made.offset or label not in view.sizes:
        return False
    if set(view.dims) == set(made.dims):
        return True
    others = all_of(size for n, size, stride in view.dims if n != label and stride != 0)
    return view.strides[label] == made.strides[label] == others  # the same rows, with their elements in any order


def _resized(view: View, tile: Tile | None) -> tuple[Dim, ...]:
    return tuple((n, tile.size if tile and n == tile.label else size, stride) for n, size, stride in view.dims)
