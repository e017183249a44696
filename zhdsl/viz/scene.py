"""A scene: what is to be drawn, before anything is placed. Every format prints one.

An immutable value made of the compiler's own objects: `scene_of_graph` and `scene_of_program` make one, `fold` chooses
what of it is seen, the files of formats print it. Items, groups and edges are numbered in the order of the graph, so
the same graph is the same picture, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

ROOT = -1  # the group of what is in no group


@dataclass(frozen=True)
class Item:
    """One node of the graph, or one step of a program.

    Attributes:
        label: what is written in its box.
        op: of the IR, `contract`. family: of the op; `param`, `state`, `data`, `counter` for inputs.
        type: dtype and axes as text.
        group: the innermost group around it.
        name: the user's name, or the path of a parameter.
        phase: forward, backward, update or metric.
        place: where it comes from, `net.zh:6:9`.
        formula: what it computes, as nested lists of MathML.
        params: numbers in a parameter. flops: floating-point operations. bytes: of its value. saved: of its value if
            the backward pass needs it, else 0. All for the scene's sizes.
        value: the literal of a scalar constant, which is written where it is used instead of being drawn.
        outputs: the names under which the graph gives its value out.
        key: the same for a value and its gradient: they light up together.
    """

    label: str
    op: str
    family: str
    type: str
    group: int = ROOT
    name: str = ""
    phase: str = "forward"
    place: str = ""
    formula: str = ""
    params: int = 0
    flops: int = 0
    bytes: int = 0
    saved: int = 0
    value: str | None = None
    outputs: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True)
class Group:
    """Items that are folded into one box.

    Attributes:
        label: `Dense`, `repeat s × 3`, `k12 elementwise`.
        kind: block, fn, repeat, round, scan, phase, kernel or loop.
        parent: the group around it, or `ROOT`.
        key: the same for a group and its backward pass.
        note: what else there is to say: the path of a block.
    """

    label: str
    kind: str
    parent: int = ROOT
    key: str = ""
    note: str = ""


@dataclass(frozen=True)
class Edge:
    """A value that goes from one item to an operand of another.

    `back` marks the edges of a loop from one round to the next, which are in no layer.
    """

    source: int
    target: int
    slot: int
    back: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """Items in nested groups, and edges between items.

    Attributes:
        name: the graph's.
        sizes: the values of symbols for which bytes and operations are counted.
        about: one line on what is shown.
    """

    name: str
    items: tuple[Item, ...]
    groups: tuple[Group, ...]
    edges: tuple[Edge, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    about: str = ""

    @cached_property
    def chains(self) -> tuple[tuple[int, ...], ...]:
        """For every group, itself and those around it, innermost first."""
        found: list[tuple[int, ...]] = []
        for number, group in enumerate(self.groups):  # a group comes after the one around it
            found.append((number, *(found[group.parent] if group.parent != ROOT else ())))
        return tuple(found)

    def around(self, group: int) -> tuple[int, ...]:
        """A group and those around it, innermost first; nothing for `ROOT`."""
        return self.chains[group] if group != ROOT else ()

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The groups that stand side by side: forward, backward, update."""
        return tuple(number for number, group in enumerate(self.groups) if group.kind == "phase")

    def is_across(self, edge: Edge) -> bool:
        """Whether an edge leads from one phase to another."""
        ends = (self.around(self.items[i].group)[-1:] for i in (edge.source, edge.target))
        a, b = ends
        return a != b and bool(self.phases)

    @cached_property
    def items_of(self) -> Mapping[int, tuple[int, ...]]:
        """The items directly in a group."""
        found: dict[int, list[int]] = {number: [] for number in range(ROOT, len(self.groups))}
        for number, item in enumerate(self.items):
            found[item.group].append(number)
        return {group: tuple(numbers) for group, numbers in found.items()}

    @cached_property
    def groups_of(self) -> Mapping[int, tuple[int, ...]]:
        """The groups directly in a group."""
        found: dict[int, list[int]] = {number: [] for number in range(ROOT, len(self.groups))}
        for number, group in enumerate(self.groups):
            found[group.parent].append(number)
        return {group: tuple(numbers) for group, numbers in found.items()}

    @cached_property
    def totals(self) -> tuple[Item, ...]:
        """For every group, an item with the sums over all that is in it."""
        sums = [[0, 0, 0, 0] for _ in self.groups]
        for item in self.items:
            for group in self.around(item.group):
                parts = (item.params, item.flops, item.saved, 1)
                sums[group] = [a + b for a, b in zip(sums[group], parts, strict=True)]
        return tuple(
            Item(g.label, g.kind, g.kind, f"{n:,} operations", params=p, flops=f, saved=s)
            for g, (p, f, s, n) in zip(self.groups, sums, strict=True)
        )


def bytes_text(count: float) -> str:
    """`2.1 MB`: powers of 1,000, as disks and papers count."""
    return quantity(count, ("B", "kB", "MB", "GB", "TB"))


def count_text(count: float) -> str:
    """`1.7 M`."""
    return quantity(count, ("", "k", "M", "G", "T")).rstrip()


def quantity(count: float, units: tuple[str, ...]) -> str:
    """A number with three digits and its unit."""
    step = 0
    while abs(count) >= 999.5 and step < len(units) - 1:
        count, step = count / 1000, step + 1
    digits = 0 if step == 0 or abs(count) >= 99.5 else 1
    return f"{count:.{digits}f} {units[step]}"
