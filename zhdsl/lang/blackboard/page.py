"""The derivation as a page: for every line of the spec its formulas, and the derivatives by what goes into them.

In: the graph of a derivative (`runtime.derivative`). Out: LaTeX or text. Every value has one formula; values of loops
have an index for the step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from zhdsl.ir.graph import Graph
from zhdsl.lang import ast
from zhdsl.lang.blackboard.axes import Labels, labels_of
from zhdsl.lang.blackboard.blocks import Statement, source_lines, statements
from zhdsl.lang.blackboard.dialects import Dialect, Latex, Plain
from zhdsl.lang.blackboard.indexed import Scope
from zhdsl.lang.decompile import module
from zhdsl.lang.decompile.names import legal

MOST = 20  # rows of a display: browsers refuse to set very long ones
HEAD = "δx is the derivative of {of} by x. Formulas are read downwards, derivatives upwards."


@dataclass(frozen=True)
class Row:
    """`left = right`, or with an empty right side the head of a loop. `depth`: in how many loops it stands."""

    left: str
    right: str
    depth: int = 0


@dataclass
class Block:
    """What belongs to one line of the spec."""

    place: str
    forward: list[Row] = field(default_factory=list)
    backward: list[Row] = field(default_factory=list)


def text(graph: Graph, notes: Sequence[str] = ()) -> str:
    """The derivation in Unicode."""
    lines = [*notes, HEAD.format(of=_derived(graph))]
    codes = source_lines(graph)
    for block in _blocks(graph, Plain()):
        lines += ["", f"{block.place}  {codes.get(block.place, '')}".rstrip()]
        lines += [f"{'  ' * (row.depth + 1)}{row.left}{' = ' if row.right else ''}{row.right}" for row in _rows(block)]
    return "\n".join(lines) + "\n"


def latex(graph: Graph, notes: Sequence[str] = ()) -> str:
    """The derivation in LaTeX: a display for each line of the spec, which stands above it as a comment."""
    lines = [f"% {note}" for note in (*notes, HEAD.format(of=_derived(graph)))]
    codes = source_lines(graph)
    for block in _blocks(graph, Latex()):
        lines += ["", f"% {block.place}  {codes.get(block.place, '')}".rstrip()]
        rows = [_aligned(row) for row in _rows(block)]
        for start in range(0, len(rows), MOST):
            shown = rows[start : start + MOST]
            shown[-1] = shown[-1].removesuffix(r" \\")
            lines += ["$$", r"\begin{aligned}", *shown, r"\end{aligned}", "$$"]
    return "\n".join(lines) + "\n"


def _aligned(row: Row) -> str:
    if not row.right:
        return rf"&{row.left} \\"
    quad = r"\quad " * row.depth
    return rf"{quad}{row.left} &= {row.right} \\"


def _rows(block: Block) -> list[Row]:
    return [*block.forward, *block.backward]


def _derived(graph: Graph) -> str:
    """What is differentiated."""
    loss = graph.results("loss")
    seeds = [p.name[1:] for p in graph.of_role("data") if p.name.startswith("d") and p.name[1:] in _outputs(graph)]
    return loss[0].name if loss else " + ".join(f"Σ δ{s} · {s}" for s in seeds) or _outputs(graph)[0]


def _outputs(graph: Graph) -> list[str]:
    return [p.name for p in graph.results("result")]


def _blocks(graph: Graph, dialect: Dialect) -> list[Block]:
    program = module(graph, "derivative")
    (definition,) = program.items
    assert isinstance(definition, ast.Definition)
    writer = _Writer(graph, definition, dialect)
    for statement in statements(program):
        writer.add(statement)
    return writer.in_order()


class _Writer:
    """Formulas on their way to blocks."""

    def __init__(self, graph: Graph, definition: ast.Definition, dialect: Dialect):
        self.paths = {legal(p.name): p.name for p in graph.inputs}
        self.results = [result.name for result in definition.results]
        self.declared = {r.name: tuple(axis.label for axis in r.type.axes) for r in definition.results}
        self.grads = {p.name for p in graph.results("grad")}
        self.dialect, self.blocks = dialect, dict[str, Block]()
        self.known: dict[str, str] = {}  # right side -> the name that has it
        self.taken = set[tuple[str, str, bool]]()
        self.forward_at, self.backward_at = dict[str, int](), list[str]()
        self.scope = Scope(dialect)
        self.ranks: dict[str, int] = {}
        self.arguments = {parameter.name for parameter in definition.params}
        for parameter in definition.params:
            axes = parameter.type.axes if parameter.type else ()
            sizes = {axis.label: _size(axis) for axis in axes}
            for axis in axes:
                self.ranks.setdefault(axis.label, len(self.ranks))
            self.define(self.scope, parameter.name, tuple(axis.label for axis in axes), sizes)

    def add(self, statement: Statement) -> None:
        """The rows of one line of the program."""
        block = self.blocks.setdefault(statement.place, Block(statement.place))
        rows = block.forward if statement.forward else block.backward
        before = len(rows)
        match statement.stmt:
            case ast.Assign(targets, _, ast.Scan() as scan):
                rows += self.loop(self.scope, [t.id for t in targets], scan, 0)
            case ast.Assign(targets, _, value):
                rows += self.assigned(self.scope, [t.id for t in targets], value, 0)
            case ast.Return(value):
                items = value.items if isinstance(value, ast.Tuple) else (value,)
                for name, item in zip(self.results, items, strict=False):
                    if not (isinstance(item, ast.Name) and item.id == name) and not isinstance(item, ast.Scan):
                        rows += self.assigned(self.scope, [name], item, 0, again=True)
        if len(rows) > before:
            self._came(statement)

    def _came(self, statement: Statement) -> None:
        if statement.forward:
            self.forward_at[statement.place] = len(self.forward_at) + sum(len(b.forward) for b in self.blocks.values())
        else:
            self.backward_at.append(statement.place)

    def in_order(self) -> list[Block]:
        """Blocks in the order in which their last formula is needed; those with derivatives only, as these come."""
        found = [self.blocks[place] for place in sorted(self.forward_at, key=lambda p: self.forward_at[p])]
        places = [block.place for block in found]
        backward = [place for place in reversed(list(dict.fromkeys(self.backward_at))) if place]
        for i, place in enumerate(backward):
            if place not in places:
                places.insert(places.index(backward[i - 1]) + 1 if i else 0, place)
        return [self.blocks[place] for place in places if _rows(self.blocks[place])]

    # ------------------------------------------------------------ names
    def written_order(self, id: str, labels: Labels) -> Labels:
        """Axes as they are declared, else in the order in which the arguments bring them."""
        declared = self.declared.get(id, ())
        if id in self.arguments:
            return labels
        if set(declared) == set(labels):
            return declared
        return tuple(sorted(labels, key=lambda label: self.ranks.get(label, len(self.ranks))))

    def define(self, scope: Scope, id: str, labels: Labels, sizes: Mapping[str, str]) -> str:
        """Makes a name known; one that is taken gets a number. Returns the name it has here."""
        shown, number = id, 2
        while shown in self.scope.labels:
            shown, number = f"{id.rstrip('0123456789')}{number}", number + 1
        base, above, is_derivative = self.title(shown)
        while (base, above, is_derivative) in self.taken:  # the δ that was given and the whole one
            base += "'"
        self.taken.add((base, above, is_derivative))
        scope.labels[shown], scope.sizes[shown] = labels, dict(sizes)
        scope.shown[shown] = self.written_order(id, labels)
        scope.titles[shown] = base, above, is_derivative
        self.scope.labels.setdefault(shown, labels)
        scope.aliases.pop(id, None)
        if shown != id:
            scope.aliases[id] = (shown, "", 0)
        return shown

    def title(self, id: str) -> tuple[str, str, bool]:
        """Base, what stands above it, and whether it is a derivative: `d_dense2_W` is δW of dense2."""
        given = id in self.paths and id[1:] not in self.results
        of = "" if given else id[2:] if id.startswith("d_") else id[1:] if id.startswith("d") else ""
        if of and (id.startswith("d_") or of in self.scope.labels or of in self.results or of in self.paths):
            return (*self.title(of)[:2], True)
        *above, base = self.paths.get(id, id).split(".")
        if above and not base.isdecimal():
            return base, ".".join(above), False
        numbered = re.fullmatch(r"([A-Za-z])(\d+)", id)
        return (numbered[1], f"({numbered[2]})", False) if numbered else (self.paths.get(id, id), "", False)

    # ------------------------------------------------------------ lines
    def assigned(
        self, scope: Scope, targets: Sequence[str], value: ast.Arg | ast.Scan, depth: int, again: bool = False
    ) -> Iterator[Row]:
        """`a = x`, or `a, b = x, y`."""
        for target, item in _pairs(targets, value):
            right, labels = scope.piece(item, {}).text, labels_of(item, scope.seen)
            if right in self.known and not again and target not in self.declared:
                scope.aliases[target] = (self.known[right], "", 0)
                continue
            shown = self.define(scope, target, labels, {label: scope.size(label, item) for label in labels})
            self.known[right] = shown
            yield Row(scope.name(shown, {}), right, depth)

    # ------------------------------------------------------------ loops
    def loop(self, scope: Scope, targets: Sequence[str], scan: ast.Scan, depth: int) -> Iterator[Row]:
        """A recurrence: what its carries are before it, then the formulas of a step."""
        loop = _Loop(self, scope, scan, depth)
        yield from loop.rows(targets)


class _Loop:
    """One loop: the values of its body have its axis as their second one."""

    def __init__(self, writer: _Writer, scope: Scope, scan: ast.Scan, depth: int):
        self.writer, self.outer, self.scan, self.depth = writer, scope, scan, depth
        self.label, self.inner = scan.axis.id, scope.inner()
        self.shift = 1 if scan.reverse else -1
        self.carries: dict[str, str] = {}  # name in the body -> name on the page
        found = (sizes[self.label] for sizes in scope.sizes.values() if self.label in sizes)
        self.size = scope.written(scan.length) if scan.length else next(found, self.label)

    def rows(self, targets: Sequence[str]) -> Iterator[Row]:
        d = self.outer.dialect
        before = _minus_one(self.size) if self.scan.reverse else "0"
        for bind in self.scan.carries:
            yield self._begun(bind)
        t, last = d.index(self.label), _minus_one(self.size)
        first, end = (last, "0") if self.scan.reverse else (before, last)
        yield Row(d.loop(t, first, end), "", self.depth)
        emitted: tuple[ast.Emitted, ...] = ()
        for stmt in self.scan.body:
            if isinstance(stmt, ast.Assign) and isinstance(stmt.value, ast.Scan):
                yield from self.writer.loop(self.inner, [x.id for x in stmt.targets], stmt.value, self.depth + 1)
            elif isinstance(stmt, ast.Assign):
                yield from self._step([x.id for x in stmt.targets], stmt.value)
            elif isinstance(stmt, ast.Emit):
                emitted = stmt.items
        for target, item in zip(targets, emitted, strict=True):
            yield from self._given_out(target, item)

    def _begun(self, bind: ast.Bind) -> Row:
        """The row for a carry before the first step."""
        labels = labels_of(bind.value, self.outer.seen)
        sizes = {label: self.outer.size(label, bind.value) for label in labels} | {self.label: self.size}
        right = self.outer.piece(bind.value, {}).text
        shown = self.writer.define(self.inner, bind.name.id, self._longer(labels), sizes)
        self._share(shown)
        self.carries[bind.name.id] = shown
        self.inner.aliases[bind.name.id] = (shown, self.label, self.shift)
        start = self.size if self.scan.reverse else "-1"
        indices = [start if x == self.label else self.inner.index(x, {}) for x in self.inner.shown[shown]]
        return Row(self.inner.titled(shown, indices), right, self.depth)

    def _longer(self, labels: Labels) -> Labels:
        kept = [label for label in labels if label != self.label]
        first = 1 if len(kept) > 1 else 0
        return (*kept[:first], self.label, *kept[first:])

    def _share(self, shown: str) -> None:
        """What a body defines is read behind the loop too, at its steps."""
        self.outer.labels[shown], self.outer.sizes[shown] = self.inner.labels[shown], self.inner.sizes[shown]
        self.outer.shown[shown] = self.inner.shown[shown]
        self.outer.titles[shown] = self.inner.titles[shown]

    def _step(self, targets: Sequence[str], value: ast.Arg | ast.Scan) -> Iterator[Row]:
        """Rows of one line of the body; what is assigned at once is computed from the values of before."""
        pairs = _pairs(targets, value)
        made = [(t, item, self.inner.piece(item, {}).text, self._labels(item)) for t, item in pairs]
        for target, item, right, labels in made:
            if isinstance(item, ast.Name) and item.id in self.carries and target not in self.carries:
                self.inner.aliases[target] = self.inner.aliases.get(item.id, (self.carries[item.id], "", 0))
            elif target in self.carries:
                self.inner.aliases[target] = (self.carries[target], "", 0)
                yield Row(self.inner.name(target, {}), right, self.depth + 1)
            elif right in self.writer.known:
                self.inner.aliases[target] = (self.writer.known[right], "", 0)
            else:
                sizes = {label: self.inner.size(label, item) for label in labels} | {self.label: self.size}
                shown = self.writer.define(self.inner, target, labels, sizes)
                self._share(shown)
                self.writer.known[right] = shown
                yield Row(self.inner.name(target, {}), right, self.depth + 1)

    def _labels(self, item: ast.Arg) -> Labels:
        return self._longer(labels_of(item, self.inner.seen))

    def _given_out(self, target: str, item: ast.Emitted) -> Iterator[Row]:
        value, inner = item.value, self.inner
        if item.last:
            end = "0" if self.scan.reverse else _minus_one(self.size)
            right = inner.piece(value, {self.label: end}).text
            labels = tuple(x for x in labels_of(value, self.inner.seen) if x != self.label)
            shown = self.writer.define(self.outer, target, labels, {x: inner.size(x, value) for x in labels})
            yield Row(self.outer.name(shown, {}), right, self.depth)
        elif isinstance(value, ast.Name) and target not in self.writer.declared:
            found = inner.aliases.get(value.id, (value.id, "", 0))
            self.outer.aliases[target] = found
            if found == (target, "", 0):
                del self.outer.aliases[target]
        else:
            right, labels = inner.piece(value, {}).text, self._labels(value)
            shown = self.writer.define(
                self.outer, target, labels, {x: inner.size(x, value) for x in labels} | {self.label: self.size}
            )
            yield Row(self.outer.name(shown, {}), right, self.depth + 1)


def _pairs(targets: Sequence[str], value: ast.Arg | ast.Scan) -> list[tuple[str, ast.Arg]]:
    """`a, b = x, y` one by one; loops have rows of their own."""
    assert not isinstance(value, ast.Scan)
    items = value.items if isinstance(value, ast.Tuple) and len(targets) > 1 else (value,)
    return list(zip(targets, items, strict=True))


def _minus_one(size: str) -> str:
    return str(int(size) - 1) if size.isdecimal() else f"{size}-1"


def _size(axis: ast.Axis) -> str:
    """What the size of an axis is called: a number, a name, or the label."""
    match axis.size:
        case ast.Number(text):
            return text
        case ast.Name(id):
            return id
        case _:
            return axis.label
