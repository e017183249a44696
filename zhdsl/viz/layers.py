"""Levels: the inside of one group, in layers from operands to results.

A level has a cell for every item and group directly in it, and at its upper and lower edge a cell for every value that
comes in or goes out. `layered` puts cells into rows (longest path), gives every wire that passes a row a place in it,
and orders rows so that few wires cross (Sugiyama, Tagawa & Toda 1981: barycentres, up and down).

Wires that skip a layer with parameters are skip connections: they are routed round what they skip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from zhdsl.viz.scene import ROOT, Scene

SWEEPS = 8
HEAVY = ("contract", "loop")  # families that make a layer of what holds them


class Cell(NamedTuple):
    """What has a place in a row: `item`, `group`, `in` and `out` (number of the value's item), `pass` (of the wire)."""

    kind: str
    number: int


@dataclass(frozen=True)
class Wire:
    """All edges between two cells of a level.

    Attributes:
        path: the cell it starts from, the places it passes, the cell it leads to.
        edges: numbers of the scene's edges.
        skip: whether it bypasses a layer that has parameters or products.
        back: whether it leads to an earlier layer.
    """

    path: tuple[Cell, ...]
    edges: tuple[int, ...]
    skip: bool = False
    back: bool = False


@dataclass(frozen=True)
class Level:
    """The inside of one group in rows."""

    group: int
    rows: tuple[tuple[Cell, ...], ...]
    wires: tuple[Wire, ...]


Ends = tuple[Cell, Cell]
Near = Mapping[Cell, list[Cell]]


def levels(scene: Scene) -> dict[int, Level]:
    """All levels of a scene by group. Edges from phase to phase are in none: they are drawn from box to box."""
    ends: dict[int, dict[Ends, list[int]]] = {g: {} for g in range(ROOT, len(scene.groups))}
    backs: dict[int, set[Ends]] = {}
    for number, edge in enumerate(scene.edges):
        if scene.items[edge.source].value is not None or scene.is_across(edge):
            continue  # a constant is written where it is used
        for group, pair in _segments(scene, edge.source, edge.target):
            ends[group].setdefault(pair, []).append(number)
            if edge.back:
                backs.setdefault(group, set()).add(pair)
    return {group: _level(scene, group, found, backs.get(group, set())) for group, found in ends.items()}


def _segments(scene: Scene, source: int, target: int) -> list[tuple[int, Ends]]:
    """An edge, cut where it enters and leaves groups: (group, (from, to)) in each group that it passes."""
    up = (*scene.around(scene.items[source].group), ROOT)
    down = (*scene.around(scene.items[target].group), ROOT)
    meet = next(group for group in up if group in down)
    found: list[tuple[int, Ends]] = []
    start = Cell("item", source)
    for group in up[: up.index(meet)]:
        found.append((group, (start, Cell("out", source))))
        start = Cell("group", group)
    end = Cell("item", target)
    for group in down[: down.index(meet)]:
        found.append((group, (Cell("in", source), end)))
        end = Cell("group", group)
    found.append((meet, (start, end)))
    return found


def _level(scene: Scene, group: int, found: Mapping[Ends, list[int]], backs: set[Ends]) -> Level:
    cells = [Cell("item", i) for i in scene.items_of[group] if scene.items[i].value is None]
    cells += [Cell("group", g) for g in scene.groups_of[group]]
    cells += sorted({c for pair in found for c in pair if c.kind in ("in", "out")})
    heavy = {c for c in cells if _is_heavy(scene, c)}
    ahead = acyclic(cells, [pair for pair in found if pair not in backs])
    skips = _skips(cells, ahead, heavy)
    rows, passes = layered(cells, ahead)
    wires = []
    for pair, edges in found.items():
        middle = tuple(passes.get(pair, ()))
        skip = pair in skips and any(_flows(scene, e) for e in edges)
        wires.append(Wire((pair[0], *middle, pair[1]), tuple(edges), skip, pair not in passes))
    return Level(group, rows, tuple(wires))


def _flows(scene: Scene, edge: int) -> bool:
    """Whether the value is computed of the data, in floats: a mask or a parameter makes no skip connection."""
    item = scene.items[scene.edges[edge].source]
    return item.family not in ("param", "state", "counter", "source") and not item.type.startswith(("i32", "bool"))


def _is_heavy(scene: Scene, cell: Cell) -> bool:
    if cell.kind == "item":
        return scene.items[cell.number].family in HEAVY
    if cell.kind == "group":
        total = scene.totals[cell.number]
        return total.params > 0 or (total.flops > 0 and scene.groups[cell.number].kind in ("scan", "repeat", "round"))
    return False


# ---------------------------------------------------------------- structure
def acyclic(cells: Sequence[Cell], pairs: Sequence[Ends]) -> list[Ends]:
    """The pairs without those that close a cycle (and without loops)."""
    after: dict[Cell, list[Cell]] = {c: [] for c in cells}
    for a, b in pairs:
        after[a].append(b)
    state: dict[Cell, int] = {}
    closing: set[Ends] = set()
    for root in cells:
        stack = [(root, iter(after[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            cell, left = stack[-1]
            step = next(left, None)
            if step is None:
                state[cell] = 2
                stack.pop()
            elif state.get(step) == 1:
                closing.add((cell, step))
            elif step not in state:
                state[step] = 1
                stack.append((step, iter(after[step])))
    return [pair for pair in pairs if pair not in closing]


def _skips(cells: Sequence[Cell], pairs: Sequence[Ends], heavy: set[Cell]) -> set[Ends]:
    """The pairs with another way from end to end that passes a heavy cell."""
    before, order = _before(cells, pairs), sorted_cells(cells, pairs)
    skips: set[Ends] = set()
    for source in {a for a, b in pairs}:
        reached: dict[Cell, bool] = {source: False}  # whether a way to it passes something heavy
        for cell in order[order.index(source) + 1 :]:
            known = [reached[a] or (a in heavy and a != source) for a in before[cell] if a in reached]
            if known:
                reached[cell] = any(known)
        skips |= {(source, b) for a, b in pairs if a == source and reached[b]}
    return skips


def _before(cells: Sequence[Cell], pairs: Sequence[Ends]) -> dict[Cell, list[Cell]]:
    found: dict[Cell, list[Cell]] = {c: [] for c in cells}
    for a, b in pairs:
        found[b].append(a)
    return found


def sorted_cells(cells: Sequence[Cell], pairs: Sequence[Ends]) -> list[Cell]:
    """Cells with those they need before them, in the order given where that is free."""
    after: dict[Cell, list[Cell]] = {c: [] for c in cells}
    waiting = dict.fromkeys(cells, 0)
    for a, b in pairs:
        after[a].append(b)
        waiting[b] += 1
    ready = [c for c in cells if not waiting[c]]
    for cell in ready:
        for b in after[cell]:
            waiting[b] -= 1
            if not waiting[b]:
                ready.append(b)
    return ready


# ---------------------------------------------------------------- rows
def layered(
    cells: Sequence[Cell], pairs: Sequence[Ends]
) -> tuple[tuple[tuple[Cell, ...], ...], dict[Ends, tuple[Cell, ...]]]:
    """Rows of cells, and for every pair the cells it passes on its way.

    Args:
        cells: in any order; the same order gives the same rows.
        pairs: without cycles.
    """
    ranks = _ranks(cells, pairs)
    rows: list[list[Cell]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for cell in cells:
        rows[ranks[cell]].append(cell)
    passes: dict[Ends, tuple[Cell, ...]] = {}
    links: list[Ends] = []
    count = 0
    for a, b in pairs:
        middle = []
        for rank in range(ranks[a] + 1, ranks[b]):
            middle.append(Cell("pass", count))
            rows[rank].append(middle[-1])
            count += 1
        passes[a, b] = tuple(middle)
        way = (a, *middle, b)
        links += pairwise(way)
    return tuple(map(tuple, ordered(rows, links))), passes


def _ranks(cells: Sequence[Cell], pairs: Sequence[Ends]) -> dict[Cell, int]:
    """The row of every cell: values from outside in the first, those to outside in the last, sources near their use."""
    order, before = sorted_cells(cells, pairs), _before(cells, pairs)
    after: dict[Cell, list[Cell]] = {c: [] for c in cells}
    for a, b in pairs:
        after[a].append(b)
    first = 1 if any(c.kind == "in" for c in cells) else 0
    ranks: dict[Cell, int] = {}
    for cell in order:
        ranks[cell] = 0 if cell.kind == "in" else max((ranks[a] + 1 for a in before[cell]), default=first)
    for cell in reversed(order):  # what nothing leads to moves down to where it is needed
        if cell.kind != "in" and not before[cell] and after[cell]:
            ranks[cell] = min(ranks[b] for b in after[cell]) - 1
    last = max((r for c, r in ranks.items() if c.kind != "out"), default=-1) + 1
    return {c: last if c.kind == "out" else r for c, r in ranks.items()}


def ordered(rows: Sequence[Sequence[Cell]], links: Sequence[Ends]) -> list[list[Cell]]:
    """The rows, each in an order in which few links cross: the best of several sweeps."""
    up: dict[Cell, list[Cell]] = {}
    down: dict[Cell, list[Cell]] = {}
    for a, b in links:
        up.setdefault(b, []).append(a)
        down.setdefault(a, []).append(b)
    best = [list(row) for row in rows]
    if all(len(row) <= 1 for row in best):
        return best
    now, least = best, crossings(best, up)
    for sweep in range(SWEEPS):
        if least == 0:
            break
        now = _swept(now, up, down, downwards=sweep % 2 == 0)
        count = crossings(now, up)
        if count < least:
            best, least = now, count
    return best


def _swept(rows: list[list[Cell]], up: Near, down: Near, downwards: bool) -> list[list[Cell]]:
    new, near = [list(row) for row in rows], up if downwards else down
    at: dict[Cell, float] = {}
    for row in new if downwards else reversed(new):
        place = {cell: i for i, cell in enumerate(row)}
        row.sort(key=_barycentre(near, at, place))
        at |= {cell: (i + 0.5) / len(row) for i, cell in enumerate(row)}
    return new


def _barycentre(
    near: Mapping[Cell, list[Cell]], at: Mapping[Cell, float], place: Mapping[Cell, int]
) -> Callable[[Cell], tuple[float, int]]:
    def key(cell: Cell) -> tuple[float, int]:
        found = [at[c] for c in near.get(cell, ()) if c in at]
        return (sum(found) / len(found) if found else (place[cell] + 0.5) / len(place), place[cell])

    return key


def crossings(rows: Sequence[Sequence[Cell]], up: Mapping[Cell, list[Cell]]) -> int:
    """How many pairs of links cross, counted with a tree of sums (Barth, Jünger & Mutzel 2002)."""
    total = 0
    for above, row in pairwise(rows):
        place = {cell: i for i, cell in enumerate(above)}
        ends = [p for cell in row for p in sorted(place[c] for c in up.get(cell, ()))]
        total += _inversions(ends, len(above))
    return total


def _inversions(ends: Sequence[int], width: int) -> int:
    first = 1
    while first < width:
        first *= 2
    tree, total = [0] * (2 * first), 0
    for end in ends:
        index = end + first
        tree[index] += 1
        while index > 1:
            if index % 2 == 0:
                total += tree[index + 1]
            index //= 2
            tree[index] += 1
    return total
