"""Coordinates: levels and the groups that are open in, boxes and lines out.

Rows are stacked; in a row every cell is as near to its neighbours as the order allows: least squares under order
constraints, solved exactly by pooling (Ayer et al. 1955). An open group is placed first and is one large cell of the
level around it; values come in at its upper edge and leave at the lower one. Phases stand side by side, the backward
pass runs upwards, beside what it is the derivative of. `page/graph.js` does the same in a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zhdsl.viz.fold import seen_as
from zhdsl.viz.layers import Cell, Level, Wire, levels
from zhdsl.viz.scene import ROOT, Item, Scene, bytes_text, count_text

TITLE, SMALL = 13.0, 10.5  # font sizes, px
ROW_GAP, CELL_GAP, MARGIN, HEAD, COLUMN_GAP = 48.0, 26.0, 18.0, 26.0, 130.0
STEM = 18.0  # px that a line leaves its box straight, beside its label
SWEEPS = 14
LANE = 12.0  # px between lines that return to an earlier row
TALL = 120.0  # px: in rows that are higher, boxes stand at the top
LONGEST = 30  # characters of a label


@dataclass(frozen=True)
class Box:
    """A rectangle: `item`, `group` (closed), `open` (the frame of an open group), `port` (where a value comes in)."""

    kind: str
    number: int
    x: float
    y: float
    width: float
    height: float
    title: str = ""
    small: str = ""
    depth: int = 0

    def moved(self, dx: float, dy: float) -> Box:
        return replace(self, x=self.x + dx, y=self.y + dy)

    def flipped(self, height: float) -> Box:
        return replace(self, y=height - self.y - self.height)


Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A wire as a chain of points; its edges; what is written beside it, at which point."""

    points: tuple[Point, ...]
    edges: tuple[int, ...]
    skip: bool = False
    back: bool = False
    across: bool = False
    label: str = ""
    arrow: bool = True

    def moved(self, dx: float, dy: float) -> Line:
        return replace(self, points=tuple((x + dx, y + dy) for x, y in self.points))

    def flipped(self, height: float) -> Line:
        return replace(self, points=tuple((x, height - y) for x, y in self.points))


@dataclass
class Picture:
    """Boxes and lines with the space they take."""

    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    ports: dict[Cell, float] = field(default_factory=dict)  # x of values that come in and go out

    def moved(self, dx: float, dy: float) -> tuple[list[Box], list[Line]]:
        return [b.moved(dx, dy) for b in self.boxes], [w.moved(dx, dy) for w in self.lines]

    def flipped(self) -> Picture:
        boxes, lines = [b.flipped(self.height) for b in self.boxes], [w.flipped(self.height) for w in self.lines]
        return Picture(boxes, lines, self.width, self.height, self.ports)


def place(scene: Scene, open_: frozenset[int]) -> Picture:
    """The picture of a scene with some groups open."""
    placer = _Placer(scene, open_, levels(scene))
    picture = placer.columns() if scene.phases else placer.inside(ROOT, 0)
    boxes, lines = picture.moved(MARGIN, MARGIN)
    return Picture(boxes, lines, picture.width + 2 * MARGIN, picture.height + 2 * MARGIN)


# ---------------------------------------------------------------- what is written
def text_width(text: str, size: float) -> float:
    """About how wide a text is in a proportional font without serifs; wide characters count twice."""
    return sum(1.0 if ord(c) > 0x2E7F else 0.56 for c in text) * size


def shortened(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 9]}…{text[-8:]}"


def words(item: Item) -> tuple[str, str]:
    """Title and small line of an item's box."""
    if item.family in ("param", "state"):
        last = item.label.rpartition(".")[2]
        return shortened(item.label if last.isdigit() else last or item.label), item.type
    if item.family in ("data", "counter"):
        return shortened(item.label), item.type
    title = shortened(item.label)
    small = shortened(", ".join(item.outputs)) if item.outputs else item.name if item.name != item.label else ""
    return title, shortened(small)


def group_words(scene: Scene, number: int) -> tuple[str, str]:
    """Title and small line of a closed group."""
    total = scene.totals[number]
    parts = [f"{count_text(total.params)} parameters"] if total.params else []
    return shortened(scene.groups[number].label), ", ".join(parts) or total.type


def constants(scene: Scene) -> Mapping[int, tuple[tuple[int, int], ...]]:
    """For every item, the scalar constants among its operands: (edge, constant)."""
    found: dict[int, list[tuple[int, int]]] = {}
    for number, edge in enumerate(scene.edges):
        if scene.items[edge.source].value is not None:
            found.setdefault(edge.target, []).append((number, edge.source))
    return {target: tuple(pairs) for target, pairs in found.items()}


# ---------------------------------------------------------------- placing
@dataclass
class _Placer:
    scene: Scene
    open_: frozenset[int]
    levels: Mapping[int, Level]

    def __post_init__(self) -> None:
        self.literals = constants(self.scene)

    def columns(self) -> Picture:
        """Phases side by side; what is in none of them above."""
        scene, whole = self.scene, Picture()
        forward: dict[str, float] = {}
        for number in scene.phases:
            picture = self.inside(number, 1)
            if scene.groups[number].label == "backward":
                picture = _aligned(scene, picture.flipped(), forward)
            else:
                forward |= _heights(scene, picture)
            at = whole.width + (COLUMN_GAP if whole.width else 0)
            boxes, lines = picture.moved(at + MARGIN, HEAD + MARGIN)
            size = picture.width + 2 * MARGIN, picture.height + HEAD + 2 * MARGIN
            frame = Box("open", number, at, 0, *size, scene.groups[number].label, "", 0)
            whole.boxes += [frame, *boxes]
            whole.lines += lines
            whole.width, whole.height = at + size[0], max(whole.height, size[1])
        whole.lines += self._across(whole)
        return whole

    def _across(self, whole: Picture) -> list[Line]:
        """Values of one phase that another uses, from box to box."""
        found: dict[tuple[tuple[str, int], tuple[str, int]], list[int]] = {}
        for number, edge in enumerate(self.scene.edges):
            if self.scene.is_across(edge) and self.scene.items[edge.source].value is None:
                ends = tuple(seen_as(self.scene, i, self.open_) for i in (edge.source, edge.target))
                found.setdefault((ends[0], ends[1]), []).append(number)
        boxes = {(b.kind, b.number): b for b in whole.boxes}
        lines = []
        for (a, b), edges in found.items():
            one, two = boxes[a], boxes[b]
            left = one.x < two.x
            start = one.x + (one.width if left else 0), one.y + one.height / 2
            end = two.x + (0 if left else two.width), two.y + two.height / 2
            lines.append(Line((start, end), tuple(edges), across=True, label=self._label(edges)))
        return lines

    def inside(self, group: int, depth: int) -> Picture:
        """The inside of one group, from (0, 0)."""
        level = self.levels[group]
        inner = {c.number: self._opened(c.number, depth) for row in level.rows for c in row if self._is_open(c)}
        labels = self._labels(level.wires)
        sizes = {cell: self._size(cell, inner) for row in level.rows for cell in row}
        rooms = {c: (w / 2, max(w / 2, text_width(labels.get(c, ""), SMALL) + 10)) for c, (w, _) in sizes.items()}
        xs = place_rows(level.rows, rooms, level.wires)
        picture = Picture()
        ys, picture.height = stacked([max((sizes[c][1] for c in row), default=0) for row in level.rows])
        left = min((xs[c] - rooms[c][0] for c in xs), default=0.0)
        picture.width = max((xs[c] + rooms[c][1] - left for c in xs), default=0.0)
        where: dict[Cell, Box] = {}
        for row, (top, height) in zip(level.rows, ys, strict=True):
            for cell in row:
                width, tall = sizes[cell]
                y = (
                    0.0
                    if cell.kind == "in"
                    else picture.height
                    if cell.kind == "out"
                    else top + ((height - tall) / 2 if height < TALL else 0)
                )
                where[cell] = self._box(cell, xs[cell] - left - width / 2, y, width, tall, depth)
        self._fill(picture, level, where, inner, ys, labels)
        return picture

    def _fill(
        self,
        picture: Picture,
        level: Level,
        where: Mapping[Cell, Box],
        inner: Mapping[int, Picture],
        ys: Sequence[tuple[float, float]],
        labels: Mapping[Cell, str],
    ) -> None:
        for cell, box in where.items():
            if cell.kind in ("in", "out"):
                picture.ports[cell] = box.x + box.width / 2
                picture.boxes.append(box)
            elif cell.kind != "pass":
                picture.boxes.append(box)
            if self._is_open(cell):
                boxes, lines = inner[cell.number].moved(box.x + MARGIN, box.y + HEAD)
                picture.boxes += boxes
                picture.lines += lines
        rows = {cell: y for row, y in zip(level.rows, ys, strict=True) for cell in row}
        lines = self._lines(level.wires, where, inner, rows, labels)
        returning = [line for line in lines if line.back]
        rights = [picture.width + LANE * (i + 1) for i in range(len(returning))]
        lanes = [_around(line, right) for line, right in zip(returning, rights, strict=True)]
        picture.lines += [*(line for line in lines if not line.back), *lanes]
        picture.width = max([picture.width, *(right + LANE for right in rights)])

    def _opened(self, group: int, depth: int) -> Picture:
        return self.inside(group, depth + 1)

    def _is_open(self, cell: Cell) -> bool:
        return cell.kind == "group" and cell.number in self.open_

    def _size(self, cell: Cell, inner: Mapping[int, Picture]) -> tuple[float, float]:
        if cell.kind == "pass":
            return 10.0, 0.0
        if cell.kind in ("in", "out"):
            return 8.0, 0.0
        if self._is_open(cell):
            head = text_width(self.scene.groups[cell.number].label, TITLE) + 60
            size = inner[cell.number]
            return max(size.width + 2 * MARGIN, head), size.height + 2 * HEAD
        title, small = self._words(cell)
        wide = max(text_width(title, TITLE), text_width(small, SMALL)) + 32
        return max(wide, 58.0), 40.0 if small else 28.0

    def _words(self, cell: Cell) -> tuple[str, str]:
        if cell.kind == "group":
            return group_words(self.scene, cell.number)
        title, small = words(self.scene.items[cell.number])
        values = [self.scene.items[c].value or "" for _, c in self.literals.get(cell.number, ())]
        return " ".join([title, *values]), small

    def _box(self, cell: Cell, x: float, y: float, width: float, height: float, depth: int) -> Box:
        if cell.kind in ("in", "out"):
            return Box("port", cell.number, x, y - 4, 8, 8, depth=depth)
        if self._is_open(cell):
            return Box("open", cell.number, x, y, width, height, self.scene.groups[cell.number].label, "", depth)
        title, small = self._words(cell) if cell.kind != "pass" else ("", "")
        return Box(cell.kind, cell.number, x, y, width, height, title, small, depth)

    # ------------------------------------------------------------ lines
    def _labels(self, wires: Sequence[Wire]) -> dict[Cell, str]:
        """What is written below a cell: shape and bytes of its value, once."""
        found: dict[Cell, str] = {}
        for wire in wires:
            start = wire.path[0]
            if start.kind != "in" and start not in found and not self._is_open(start):
                found[start] = self._label(wire.edges)
        return found

    def _label(self, edges: Sequence[int]) -> str:
        values = sorted({self.scene.edges[e].source for e in edges})
        if len(values) > 1:
            return f"{len(values)} values · {bytes_text(sum(self.scene.items[v].bytes for v in values))}"
        item = self.scene.items[values[0]]
        if item.family in ("param", "state", "counter", "data"):
            return bytes_text(item.bytes) if item.bytes else ""
        return f"{shortened(item.type, 34)} · {bytes_text(item.bytes)}" if item.bytes else ""

    def _lines(
        self,
        wires: Sequence[Wire],
        where: Mapping[Cell, Box],
        inner: Mapping[int, Picture],
        rows: Mapping[Cell, tuple[float, float]],
        labels: Mapping[Cell, str],
    ) -> list[Line]:
        ends = _ports(wires, where)
        lines, told = [], set[Cell]()
        for number, wire in enumerate(wires):
            start, end = wire.path[0], wire.path[-1]
            label = labels.get(start, "") if start not in told else ""
            told.add(start)
            middle = [p for cell in wire.path[1:-1] for p in _through(where[cell], rows[cell])]
            for value, edges in self._values(wire).items():
                x0 = self._port(start, Cell("out", value), where, inner, ends[number][0])
                x1 = self._port(end, Cell("in", value), where, inner, ends[number][1])
                y0, y1 = self._lower(start, where), where[end].y + (HEAD if self._is_open(end) else 0)
                stem = [] if start.kind == "in" or wire.back else _stem(x0, where[start], rows[start])
                points = ((x0, y0), *stem, *([] if wire.back else middle), (x1, y1))
                into = end.kind == "out" or self._is_open(end)
                lines.append(Line(points, tuple(edges), wire.skip, wire.back, label=label, arrow=not into))
                label = ""
        return lines

    def _values(self, wire: Wire) -> dict[int, list[int]]:
        """The edges of a wire that are drawn as one line: all, or those of one value where an end is open."""
        if not (self._is_open(wire.path[0]) or self._is_open(wire.path[-1])):
            return {-1: list(wire.edges)}
        found: dict[int, list[int]] = {}
        for edge in wire.edges:
            found.setdefault(self.scene.edges[edge].source, []).append(edge)
        return found

    def _lower(self, cell: Cell, where: Mapping[Cell, Box]) -> float:
        """Where lines leave a cell: an open group at its ports."""
        box = where[cell]
        return box.y + box.height - (HEAD if self._is_open(cell) else 4 if cell.kind == "in" else 0)

    def _port(
        self, cell: Cell, port: Cell, where: Mapping[Cell, Box], inner: Mapping[int, Picture], otherwise: float
    ) -> float:
        if not self._is_open(cell):
            return otherwise
        return where[cell].x + MARGIN + inner[cell.number].ports[port]


def _around(line: Line, right: float) -> Line:
    """A line to an earlier row goes round everything between, at the right."""
    (x0, y0), (x1, y1) = line.points[0], line.points[-1]
    return replace(
        line, points=((x0, y0), (x0, y0 + LANE), (right, y0 + LANE), (right, y1 - LANE), (x1, y1 - LANE), (x1, y1))
    )


def _stem(x: float, box: Box, row: tuple[float, float]) -> list[Point]:
    """A line leaves its box straight, and its row too where that is higher."""
    below, end = box.y + box.height + STEM, sum(row)
    return [(x, below)] if end <= below else [(x, end)]


def _through(box: Box, row: tuple[float, float]) -> list[Point]:
    """A wire passes a row straight."""
    x, (top, height) = box.x + box.width / 2, row
    return [(x, top), (x, top + height)] if height else [(x, top)]


def _ports(wires: Sequence[Wire], where: Mapping[Cell, Box]) -> list[tuple[float, float]]:
    """Where wires touch their cells: side by side in the order in which they come."""
    result = [[0.0, 0.0] for _ in wires]
    for side, (end, near) in enumerate(((0, 1), (-1, -2))):
        by_cell: dict[Cell, list[tuple[float, int]]] = {}
        for number, wire in enumerate(wires):
            other = where[wire.path[near]]
            by_cell.setdefault(wire.path[end], []).append((other.x + other.width / 2, number))
        for cell, found in by_cell.items():
            box, count = where[cell], len(found)
            step = min(14.0, (box.width - 16) / count) if cell.kind not in ("in", "out") else 0.0
            for place, (_, number) in enumerate(sorted(found)):
                spread = 0.0 if side == 0 else (place - (count - 1) / 2) * step  # a value leaves at one point
                result[number][side] = box.x + box.width / 2 + spread
    return [(a, b) for a, b in result]


def stacked(heights: Sequence[float]) -> tuple[list[tuple[float, float]], float]:
    """Top and height of every row, and the height of all."""
    found, y = [], 0.0
    for i, height in enumerate(heights):
        found.append((y, height))
        y += height + (ROW_GAP if i < len(heights) - 1 else 0)
    return found, y


def place_rows(
    rows: Sequence[Sequence[Cell]], rooms: Mapping[Cell, tuple[float, float]], wires: Sequence[Wire]
) -> dict[Cell, float]:
    """The x of every cell: rows keep their order and gaps, wires are as straight as that allows.

    Args:
        rows: cells from left to right.
        rooms: the space a cell needs to the left and to the right of its x.
        wires: whose cells attract one another along their paths; skips less, so that the main path is straight.
    """
    near: dict[Cell, list[tuple[Cell, float]]] = {cell: [] for row in rows for cell in row}
    for wire in wires:
        if not wire.back:
            for a, b in zip(wire.path, wire.path[1:], strict=False):
                passing = (a.kind == "pass") + (b.kind == "pass")
                weight = (1.0, 2.0, 16.0)[passing] if passing else 0.25 if wire.skip else 1.0
                near[a].append((b, weight))
                near[b].append((a, weight))
    xs: dict[Cell, float] = {}
    for row in rows:
        x = 0.0
        for cell in row:
            xs[cell] = x + rooms[cell][0]
            x += sum(rooms[cell]) + CELL_GAP
        shift = (x - CELL_GAP) / 2 if row else 0.0
        xs |= {cell: xs[cell] - shift for cell in row}
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _settle(row, rooms, near, xs)
    return xs


def _settle(
    row: Sequence[Cell],
    rooms: Mapping[Cell, tuple[float, float]],
    near: Mapping[Cell, list[tuple[Cell, float]]],
    xs: dict[Cell, float],
) -> None:
    """Moves the cells of a row to the mean of their neighbours, as far as their order allows."""
    wanted, weights, offsets, offset = [], [], [], 0.0
    for i, cell in enumerate(row):
        if i:
            offset += rooms[row[i - 1]][1] + rooms[cell][0] + CELL_GAP
        total = sum(w for _, w in near[cell])
        wanted.append((sum(xs[c] * w for c, w in near[cell]) / total if total else xs[cell]) - offset)
        weights.append(total or 0.1)
        offsets.append(offset)
    for cell, x, shift in zip(row, pooled(wanted, weights), offsets, strict=True):
        xs[cell] = x + shift


def pooled(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nondecreasing sequence nearest to `wanted` in weighted least squares."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    for value, weight in zip(wanted, weights, strict=True):
        mean, total, count = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, heavy, many = blocks.pop()
            mean = (before * heavy + mean * total) / (heavy + total)
            total, count = heavy + total, many + count
        blocks.append((mean, total, count))
    return [mean for mean, _, count in blocks for _ in range(count)]


# ---------------------------------------------------------------- the backward pass beside the forward pass
def _key(scene: Scene, box: Box) -> str:
    if box.kind == "item":
        return scene.items[box.number].key
    return "" if box.kind == "port" else scene.groups[box.number].key


def _heights(scene: Scene, picture: Picture) -> dict[str, float]:
    """The middle of every box by its key; the first of several."""
    found: dict[str, float] = {}
    for box in picture.boxes:
        if key := _key(scene, box):
            found.setdefault(key, box.y + box.height / 2)
    return found


def _aligned(scene: Scene, picture: Picture, forward: Mapping[str, float]) -> Picture:
    """The picture stretched so that its boxes stand as high as those of the same key, where order allows."""
    outer = sorted((b for b in picture.boxes if b.depth == 1 and b.kind != "port"), key=lambda b: b.y + b.height / 2)
    wanted = [forward.get(_key(scene, b), b.y + b.height / 2) - (b.y + b.height / 2) for b in outer]
    weights = [1.0 if _key(scene, b) in forward else 0.01 for b in outer]
    shifts = pooled(wanted, weights)  # nondecreasing shifts keep the order and every gap
    least = min(0.0, *shifts) if shifts else 0.0
    knots = [(b.y + b.height / 2, s - least) for b, s in zip(outer, shifts, strict=True)]
    move = _stretch(outer, knots)
    boxes = [b.moved(0, move(b.y + b.height / 2)) for b in picture.boxes]
    lines = [replace(w, points=tuple((x, y + move(y)) for x, y in w.points)) for w in picture.lines]
    height = picture.height + max((s for _, s in knots), default=0.0)
    return Picture(boxes, lines, picture.width, height, picture.ports)


def _stretch(outer: Sequence[Box], knots: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """How far what is at a height moves: with the box that it is in, between boxes in between."""
    spans = [(b.y, b.y + b.height, s) for b, (_, s) in zip(outer, knots, strict=True)]

    def move(y: float) -> float:
        inside = [s for top, bottom, s in spans if top - 0.5 <= y <= bottom + 0.5]
        if inside:
            return inside[0]
        above = [(bottom, s) for _, bottom, s in spans if bottom < y]
        below = [(top, s) for top, _, s in spans if top > y]
        if not above or not below:
            return below[0][1] if below else above[-1][1] if above else 0.0
        (y0, s0), (y1, s1) = max(above), min(below)
        return s0 + (s1 - s0) * (y - y0) / (y1 - y0)

    return move
