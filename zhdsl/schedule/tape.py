"""The tape: what `schedule` writes while it walks over a graph, steps on views of buffers, not yet grouped.

Steps go to the *depth* they depend on: -1 is run once when sizes are known (constants), 0 is the run itself, every loop
is one deeper. What does not depend on a loop is so written before it, without a pass of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from zhdsl.ir.node import Node
from zhdsl.ir.op import Op
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Axis
from zhdsl.ops.families import Elementwise
from zhdsl.schedule.layout import Layout
from zhdsl.schedule.program import Buffer, Kernel, Loop, Step
from zhdsl.schedule.views import View, arranged, dense, without

ONCE, TOP = -1, 0


@dataclass(frozen=True)
class Copy(Elementwise):
    """The same value in another place. Only schedules have it: in a graph, a value has no place."""

    name: ClassVar[str] = "copy"
    kernel: ClassVar[str] = "{x}"
    takes: ClassVar[str] = "any"


@dataclass(frozen=True)
class Fill(Elementwise):
    """A number everywhere: the border of a padded buffer. Only schedules have it."""

    name: ClassVar[str] = "fill"
    arity: ClassVar[int | None] = 0
    kernel: ClassVar[str] = "{value}"
    value: float


@dataclass
class Pending:
    """A loop whose body is still a list."""

    counter: str
    size: Size
    reverse: bool
    body: list[Item]


Item = Step | Kernel | Loop | Pending


@dataclass
class Tape:
    """Buffers and steps so far.

    Attributes:
        layout: the orders to aim at.
        direct: whether the backend reads operands where they lie (`direct.py`), or has a library for matrices.
        uses: how many nodes (and outputs) use a node.
        looked_through: how many windows use a window.
        buffers: all buffers by name.
        parts: buffers that several steps write, each a part of its own (padded ones, concatenations, stacks).
        stacks: those of them that a loop writes, one entry after the other.
        lazy: buffers that are computed when they are needed, and not before.
        lists: the open lists of steps, from depth -1 on.
        values: where the value of a node is.
        picked: the results of a loop that are asked for.
        results: where they are.
        padded, copies: what has been padded or copied already, and where it is.
    """

    layout: Layout
    direct: bool = False
    uses: Counter[Node] = field(default_factory=Counter)
    looked_through: Counter[Node] = field(default_factory=Counter)
    picked: dict[Node, set[int]] = field(default_factory=dict)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)
    stacks: set[str] = field(default_factory=set)
    lazy: set[str] = field(default_factory=set)
    lists: list[list[Item]] = field(default_factory=lambda: [[], []])
    values: dict[Node, View] = field(default_factory=dict)
    results: dict[tuple[Node, int], View] = field(default_factory=dict)
    padded: dict[object, View] = field(default_factory=dict)
    copies: dict[object, View] = field(default_factory=dict)
    _depths: dict[str, int] = field(default_factory=dict)  # of buffers and of loops' counters
    _count: int = 0

    @property
    def depth(self) -> int:
        """Of the innermost open loop."""
        return len(self.lists) - 2

    def depth_of(self, views: Iterable[View]) -> int:
        """The depth on which these views depend."""
        return max((self._depth(v) for v in views), default=ONCE)

    def _depth(self, view: View) -> int:
        return max([self._depths[view.buffer], *(self._depths.get(s, ONCE) for s in view.symbols)])

    def fresh(self, letter: str) -> str:
        """A name that nothing has."""
        self._count += 1
        return f"{letter}{self._count}"

    def buffer(self, dtype: str, axes: Sequence[Axis], depth: int, place: str = "arena", name: str = "") -> View:
        """A new buffer, whole."""
        place = "const" if depth == ONCE else place
        new = Buffer(name or self.fresh("c" if place == "const" else "v"), dtype, tuple(axes), place)
        self.buffers[new.name] = new
        self._depths[new.name] = depth
        return new.whole

    def stack(self, dtype: str, axes: Sequence[Axis], depth: int) -> View:
        """A new buffer for one entry per step of a loop."""
        view = self.buffer(dtype, axes, depth)
        self.parts.add(view.buffer)
        self.stacks.add(view.buffer)
        return view

    def write(self, item: Item, depth: int) -> None:
        """Append to the steps of a depth."""
        self.lists[depth + 1].append(item)

    def step(self, op: Op, inputs: Sequence[View], dtype: str, axes: Sequence[Axis], node: Node | None = None) -> View:
        """A step with a buffer of its own; the result's place."""
        depth = self.depth_of(inputs)
        output = self.buffer(dtype, axes, depth)
        self.write(Step(op, tuple(inputs), output, node), depth)
        return output

    def copy(self, view: View, order: Sequence[str]) -> View:
        """A dense copy with the axes in this order. Of what a run does not change there is one for all."""
        key = view, tuple(order)
        if key in self.copies:
            return self.copies[key]
        buffer = self.buffers[view.buffer]
        made = self.step(Copy(), (view,), buffer.dtype, arranged(view, order).axes)
        if buffer.place in ("input", "held", "const") and self._depth(view) <= TOP:
            self.copies[key] = made
        return made

    def fill(self, value: float, into: View, depth: int) -> None:
        """Write a number to all places of a view."""
        self.write(Step(Fill(value), (), into), depth)

    def move(self, view: View, into: View, depth: int) -> None:
        """Write a value to the places of a view. Labels of size 1 say nothing about places and are left out."""
        single = {n for n, size in into.axes if size == 1}
        self.write(Step(Copy(), (without(view, single),), without(into, single)), depth)

    def last(self, depth: int) -> Item | None:
        """The latest item of a depth."""
        items = self.lists[depth + 1]
        return items[-1] if items else None

    def pop(self, depth: int) -> None:
        self.lists[depth + 1].pop()

    def local(self, dtype: str, axes: Sequence[Axis]) -> View:
        """Scratch of one kernel."""
        new = Buffer(self.fresh("t"), dtype, tuple(axes), "local")
        self.buffers[new.name] = new
        return dense(new.name, new.axes)

    def make_local(self, name: str, axes: Sequence[Axis]) -> View:
        """Turn a buffer into scratch of the one kernel that uses it, with these axes (a piece of its own)."""
        old = self.buffers[name]
        self.buffers[name] = Buffer(name, old.dtype, tuple(axes), "local")
        return self.buffers[name].whole

    def settle(self, view: View, depth: int) -> None:
        """From now on what reads this buffer depends on this depth: a carry changes with every step of its loop."""
        self._depths[view.buffer] = depth

    def mark(self) -> tuple[dict[Node, View], dict[object, View]]:
        """What is known where; for `forget`."""
        return dict(self.values), dict(self.padded)

    def forget(self, mark: tuple[dict[Node, View], dict[object, View]]) -> None:
        """Back to what was known at the mark, but keep constants: they are the same everywhere."""
        self.values = {n: v for n, v in self.values.items() if n in mark[0] or self._depth(v) == ONCE}
        self.padded = mark[1]

    def open_loop(self, counter: str) -> None:
        """Steps that depend on the counter go to a new list from now on."""
        self.lists.append([])
        self._depths[counter] = self.depth

    def close_loop(self) -> list[Item]:
        """The steps of the innermost loop."""
        return self.lists.pop()
