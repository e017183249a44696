"""Scene → text for a terminal: one line a box, from top to bottom, with bars beside it for values that pass by.

● image [B, C=3, H=32, W=32]
│
├ Conv                     432 parameters   [B, C=16, H=32, W=32] · 65.5 kB
├─╮ relu
│ │ …                      a skip connection: the value of relu is used further down
├─╯ add
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from zhdsl.viz.fold import opened, seen_as
from zhdsl.viz.layers import Cell, Level, levels
from zhdsl.viz.place import group_words, words
from zhdsl.viz.scene import ROOT, Scene, bytes_text

MOST = 40  # boxes
TOLD = ("param", "state")  # families that are told where they are used
QUIET = (*TOLD, "counter", "source")  # families whose lines are not drawn


@dataclass
class Row:
    """One box: where its values come from (numbers of rows) and what is written."""

    title: str
    note: str
    value: str
    depth: int
    frame: bool = False
    sources: list[int] = field(default_factory=list)


def text(scene: Scene, open_: frozenset[int] | None = None, width: int = 100) -> str:
    """The picture of a scene in characters; by default with as many groups open as fit a screen or two."""
    chosen = opened(scene, MOST * max(len(scene.phases), 1)) if open_ is None else open_
    rows, numbers = _rows(scene, chosen)
    _connect(scene, chosen, rows, numbers)
    lanes = _lanes(rows)
    lines = [f"{scene.name}: {len(scene.items):,} nodes, {len(scene.edges):,} edges", ""]
    wide = max([len(r.title) + 2 * r.depth for r in rows], default=0)
    return "\n".join([*lines, *(_line(i, r, lanes, wide, width) for i, r in enumerate(rows))]) + "\n"


def _rows(scene: Scene, open_: frozenset[int]) -> tuple[list[Row], dict[tuple[str, int], int]]:
    """The boxes that are seen, values before their uses, each group's together."""
    rows: list[Row] = []
    numbers: dict[tuple[str, int], int] = {}

    known, last = levels(scene), _last(scene)
    weights = _weights(scene)

    def walk(group: int, depth: int) -> None:
        for cell in _order(known[group], last[group]):
            if cell.kind == "group" and cell.number in open_:
                rows.append(Row(scene.groups[cell.number].label, "", "", depth, frame=True))
                walk(cell.number, depth + 1)
            else:
                numbers[cell.kind, cell.number] = len(rows)
                rows.append(_row(scene, cell.kind, cell.number, depth, weights))

    walk(ROOT, 0)
    return rows, numbers


def _order(level: Level, last: Mapping[Cell, int]) -> list[Cell]:
    """Items and groups of a level, each after what it needs; of those that are free, the one that is whole first."""
    ends = {(w.path[0], w.path[-1]) for w in level.wires if not w.back}
    after: dict[Cell, list[Cell]] = {}
    waiting = dict.fromkeys(last, 0)
    for a, b in sorted(ends):
        if a in waiting and b in waiting:
            after.setdefault(a, []).append(b)
            waiting[b] += 1
    ready = [(last[cell], cell) for cell, count in waiting.items() if not count]
    heapify(ready)
    found = []
    while ready:
        found.append(heappop(ready)[1])
        for cell in after.get(found[-1], ()):
            waiting[cell] -= 1
            if not waiting[cell]:
                heappush(ready, (last[cell], cell))
    return found


def _last(scene: Scene) -> dict[int, dict[Cell, int]]:
    """For every group, its cells but parameters and constants, with the number of the last item in each."""
    found: dict[int, dict[Cell, int]] = {group: {} for group in range(ROOT, len(scene.groups))}
    for number, item in enumerate(scene.items):
        if item.value is None and item.family not in TOLD:
            found[item.group][Cell("item", number)] = number
            for group in scene.around(item.group):
                found[scene.groups[group].parent][Cell("group", group)] = number
    return found


def _weights(scene: Scene) -> dict[int, list[str]]:
    """For every item, the parameters and states that it takes."""
    found: dict[int, list[str]] = {}
    for edge in scene.edges:
        item = scene.items[edge.source]
        if item.family in TOLD:
            found.setdefault(edge.target, []).append(f"{words(item)[0]}: {item.type}")
    return found


def _row(scene: Scene, kind: str, number: int, depth: int, weights: Mapping[int, list[str]]) -> Row:
    if kind == "group":
        title, note = group_words(scene, number)
        return Row(title, note, "", depth)
    item = scene.items[number]
    title, small = words(item)
    value = f"{item.type} · {bytes_text(item.bytes)}" if item.type != "tuple" else ""
    told = [small if small != item.type else "", *weights.get(number, ())]
    return Row(title, "  ".join(part for part in told if part), value, depth)


def _connect(scene: Scene, open_: frozenset[int], rows: Sequence[Row], numbers: Mapping[tuple[str, int], int]) -> None:
    """Where the values of each row come from; what leaves a closed group is told by its own row."""
    for edge in scene.edges:
        source = scene.items[edge.source]
        if source.value is not None or source.family in QUIET or edge.back:
            continue
        a, b = (numbers[seen_as(scene, i, open_)] for i in (edge.source, edge.target))
        if a != b and not rows[a].value:
            rows[a].value = f"{source.type} · {bytes_text(source.bytes)}"
        if a < b and a not in rows[b].sources:
            rows[b].sources.append(a)


def _lanes(rows: Sequence[Row]) -> list[tuple[int, int, int]]:
    """For every value that is used further down than in the next row: (lane, from, to), lanes reused when free."""
    until: dict[int, int] = {}
    for number, row in enumerate(rows):
        before = number - 1
        while before >= 0 and rows[before].frame:
            before -= 1
        for source in row.sources:
            if source != before:
                until[source] = max(until.get(source, 0), number)
    free: list[int] = []
    found = []
    for source, last in sorted(until.items()):
        lane = next((i for i, end in enumerate(free) if end <= source), len(free))
        free[lane : lane + 1] = [last]
        found.append((lane, source, last))
    return found


def _line(number: int, row: Row, lanes: Sequence[tuple[int, int, int]], wide: int, width: int) -> str:
    count = max([lane for lane, _, _ in lanes], default=-1) + 1
    bars = [" "] * count
    for lane, start, end in lanes:
        if start <= number <= end:
            sign = "╮" if number == start else "╯" if number == end else "│"
            bars[lane] = sign if bars[lane] == " " else "┤"  # one value ends where the next begins
        if start < number < end and start in row.sources:
            bars[lane] = "┤"
    touched = [i for i, c in enumerate(bars) if c in "╮╯┤"]
    line = "".join(_joined(bars, i, touched) for i in range(count))
    mark = "╭" if row.frame else "●" if not row.sources else "├"
    title = f"{'│ ' * row.depth}{mark} {row.title}"
    told = "   ".join(part for part in (row.note, row.value) if part)
    gap = "─" if touched and not row.frame else " "
    return f"{title:<{wide + 4}}{gap}{line}  {told}"[: max(width, wide + 10)].rstrip()


def _joined(bars: Sequence[str], lane: int, touched: Sequence[int]) -> str:
    """A lane's two characters; a line leads to the lanes that begin or end here."""
    if lane < max(touched, default=-1):
        return ACROSS.get(bars[lane], "┼") + "─"
    return bars[lane] + " "


ACROSS = {" ": "─", "╯": "┴", "╮": "┬"}  # a lane's sign where a line to another lane crosses it
