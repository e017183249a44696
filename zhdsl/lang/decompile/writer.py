"""Nodes in order as lines: what is used twice gets a name, the rest stands where it is used while it fits.

In: the nodes of a graph or of a loop's body, operands first. Out: lines, each with the place of the user's text that
its node comes from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zhdsl.errors import CompilerError
from zhdsl.ir.node import Node, Origins, topological
from zhdsl.lang import ast
from zhdsl.lang.decompile import moves, scalars, syntax
from zhdsl.lang.decompile.names import SHORT, Names
from zhdsl.lang.decompile.value import Value, unsayable

WIDTH = 88  # columns of a line without its comment
RULES = scalars.RULES | moves.RULES
BRIEF = 16  # columns of an expression of which `(…)[t]` may be taken
RENAMED = 24  # columns that an index behind a long expression may take beyond that
INDEXES = ("relabel", "slice", "drop", "expand")  # as short as a name where they are of a name


@dataclass(frozen=True)
class Line:
    """One statement. `node` tells where it comes from; a loop has lines of its own between header and brace."""

    text: str
    node: Node | None
    level: int = 0


@dataclass(frozen=True)
class Notes:
    """What is known of a graph's nodes beside the nodes."""

    names: Mapping[Node, str]
    origins: Mapping[Node, Origins]
    hints: Mapping[Node, str] = field(default_factory=dict)  # names of results, which are theirs alone
    forward: frozenset[Node] = frozenset()  # all others compute gradients
    batch: str = ""  # the first axis of the first input


class Writer:
    """The lines of one scope.

    Attributes:
        values: what is printed of the nodes so far: names, and expressions that wait to be used.
        counters: what draws are keyed by here, see `key_of`.
    """

    def __init__(self, names: Names, notes: Notes, outputs: Sequence[Node], level: int = 0):
        self.names, self.notes, self.level = names, notes, level
        self.order = topological(outputs)
        self.lines: list[Line] = []
        self.values: dict[Node, Value] = {}
        self.uses = Counter(x for node in self.order for x in node.operands)
        self.uses.update(outputs)
        self.renamed = {n.operands[0]: n for n in self.order if n.op.name == "relabel"}
        self.typed: dict[Node, Value] = {}
        self.forced: set[Node] = set()
        self.loops: set[Node] = set()
        self.keys: dict[Node, Any] = {}
        self.counters: tuple[Any, ...] = (("counter", "seed"), ("counter", "step"))
        self._used: list[Node] = []

    # ------------------------------------------------------------ what rules ask (value.Scope)
    @property
    def batch(self) -> str:
        return self.notes.batch

    def use(self, node: Node) -> Value:
        self._used.append(node)
        return self.values[node]

    def tensor(self, node: Node) -> Value:
        value = self.use(node)
        if not value.literal:
            return value
        if node not in self.typed:
            name = self.names.fresh(SHORT.get(node.op.name, "k"))
            type_ = syntax.type_(node.type, ())
            self.lines.append(Line(f"{name}: {text(type_)} = {text(value.expr)}", node, self.level))
            self.typed[node] = Value(syntax.name(name))
        return self.typed[node]

    def in_line(self, node: Node) -> bool:
        return not self.values[node].is_name

    def is_counter(self, nodes: Sequence[Node]) -> bool:
        return tuple(map(self.key_of, nodes)) == self.counters

    def key_of(self, node: Node) -> Any:
        """What a node is as a counter: ("counter", name), ("step of", loop), or itself."""
        if node.op.name == "input":
            return "counter", getattr(node.op, "port", "")
        return self.keys.get(node, node)

    # ------------------------------------------------------------ lines
    def write(self, nodes: Iterable[Node]) -> None:
        """Print the nodes that are not printed yet; their operands are, or come before them."""
        for node in nodes:
            if node not in self.values:
                self.one(node)

    def one(self, node: Node) -> None:
        from zhdsl.lang.decompile.loops import write_scan

        if node.op.name == "project" or node in self.loops:
            return  # written with its loop
        if node.op.name == "scan":
            self.loops.add(node)
            write_scan(self, node)
        elif node.op.name == "topk":
            self._topk(node)
        else:
            self.place(node, self.fitted(node))

    def place(self, node: Node, value: Value) -> None:
        """Keep the value until it is used, or give it a line."""
        self.values[node] = value
        if self.wants_name(node, value):
            self.assign(node)

    def wants_name(self, node: Node, value: Value) -> bool:
        """Whether it is used again, and not as short as a name itself."""
        if value.is_name or value.literal or node.op.family == "source":
            return False
        if node in self.forced or node in self.notes.hints:
            return True
        return self.uses[node] > 1 and not self.is_short(node, value)

    def is_short(self, node: Node, value: Value) -> bool:
        if node.op.name not in INDEXES or value.width > 40:
            return False
        (x,) = node.operands
        if node.op.name == "drop" and x.op.name == "slice":
            (x,) = x.operands
        return self.values[x].is_name or x.op.family == "source"

    def fitted(self, node: Node) -> Value:
        """The expression of a node; operands get names until it fits on a line."""
        rule = RULES.get(node.op.name) or (scalars.function if node.op.family == "elementwise" else None)
        if rule is None:
            raise unsayable(node, "it is no value")
        while True:
            self._used = []
            value = rule(self, node)
            room = WIDTH - 2 * self.level - 10 + (RENAMED if node.op.name in INDEXES else 0)
            if value.width <= room or not self._shorten():
                return self._checked(node, value)

    def _shorten(self) -> bool:
        """Give the longest operand that stands in line a name; false if there is none."""
        long = [n for n in self._used if self._is_long(n)]
        if not long:
            return False
        longest = max(long, key=lambda n: self.values[n].width)
        inner = longest.operands[0]
        if longest.op.name in INDEXES and self.in_line(inner) and not self.values[inner].literal:
            self.assign(inner)  # the value gets the name, not its repetition or renaming
            self.values[longest] = RULES[longest.op.name](self, longest)
        else:
            self.assign(longest)
        return True

    def _is_long(self, node: Node) -> bool:
        value = self.values[node]
        return not (value.is_name or value.width <= 12 or node.op.name == "const" or self.is_short(node, value))

    def _checked(self, node: Node, value: Value) -> Value:
        if set(value.order) != set(node.type.labels) or len(value.order) != len(node.type.labels):
            raise CompilerError(f"print: {node!r} became [{', '.join(value.order)}]")
        return value

    def assign(self, node: Node) -> None:
        """`name = expression` on a line of its own; from now on the node is its name."""
        self.put(self.fresh(node), node, self.values[node])

    def put(self, name: str, node: Node, value: Value) -> None:
        self.lines.append(Line(f"{name} = {text(value.expr)}", node, self.level))
        self.values[node] = Value(syntax.name(name), value.order)

    def named(self, node: Node, short: bool = False) -> None:
        """Give the node a name, if it is not a source or a number, nor (where that will do) something short."""
        value = self.values[node]
        brief = short and value.width <= BRIEF and node.op.name not in ("const", "expand", "concat")
        if not (value.is_name or value.literal or node.op.family == "source" or brief):
            self.assign(node)

    def fresh(self, node: Node, default: str = "") -> str:
        """A name for a node: of the result it is, the user's, the default, or one by its op."""
        if node in self.notes.hints:
            return self.notes.hints[node]
        names = self.notes.names
        wanted = names.get(node) or default or names.get(self.renamed.get(node, node))
        if not wanted:
            wanted = SHORT.get(node.op.name, "v" if self.is_forward(node) else "g")
        return self.names.fresh(wanted)

    def is_forward(self, node: Node) -> bool:
        """Whether values are computed here, not gradients."""
        return node in self.notes.forward

    def _topk(self, node: Node) -> None:
        op: Any = node.op
        value = self.values[node.operands[0]]
        axis = syntax.name(op.label) if op.new == op.label else syntax.relabel(op.label, op.new)
        call = syntax.call("topk", value.expr, statics=[axis, syntax.size(op.k)])
        name = self.fresh(node)
        self.lines.append(Line(f"{self.names.fresh('best')}, {name} = {text(call)}", node, self.level))
        order = tuple(op.new if label == op.label else label for label in value.order)
        self.values[node] = Value(syntax.name(name), order)


def text(node: ast.Expr | ast.Type) -> str:
    """An expression on one line."""
    from zhdsl.lang.phrases import phrase

    return phrase(node)
