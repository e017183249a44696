"""Reads the textual form of a graph that `ir.text` writes, for tests and for looking into the compiler.

The reader makes each line a node of its own, equal lines too. A line's type may be left out where the operands give it;
where it is written it must be the inferred one. The ops are those of the registry: `zhdsl.ops` must have been imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from zhdsl.errors import CompilerError
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.graph import INPUT_ROLES, OUTPUT_ROLES, Graph, Port
from zhdsl.ir.node import Builder, Node
from zhdsl.ir.op import REGISTRY, Op
from zhdsl.ir.sizes import Size, extreme
from zhdsl.ir.text import AXES, NATURAL, RENAMES, RESERVED, SLOT_KINDS, SOURCES, attributes, only_attribute
from zhdsl.ir.types import DTYPES, FLOAT, Axis, Type, TypeProblem

TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
      | (?P<value>%\d+)
      | (?P<number>(\d+\.?\d*([eE][+-]?\d+)?))
      | (?P<name>[A-Za-z_][A-Za-z0-9_.]*'*)
      | (?P<string>"([^"\\\n]|\\.)*")
      | (?P<mark>//|[{}()\[\]:,=*/+-])""",
    re.VERBOSE,
)
SPECIAL = {"inf": float("inf"), "nan": float("nan"), "true": True, "false": False, "none": None}
T = TypeVar("T")


def read_graph(text: str) -> Graph:
    """The graph of a text. Raises `CompilerError` with line and column where it is not one."""
    reader = _Reader(text)
    try:
        graph = reader.graph()
    except TypeProblem as problem:
        raise reader.error(str(problem)) from problem
    if reader.peek:
        raise reader.error("the text goes on behind the graph")
    return graph


def read_size(text: str) -> Size:
    """The size of a text. Raises `CompilerError`."""
    reader = _Reader(text)
    size = reader.size()
    if reader.peek:
        raise reader.error("the text goes on behind the size")
    return size


def read_op(text: str, result: Type) -> Op:
    """The op of a text as it stands in a line whose type is `result`. Raises `CompilerError`."""
    reader = _Reader(text)
    name, values = reader.op()
    op: Callable[..., Op] = REGISTRY[name]
    return op(**_completed(name, values, result))


@dataclass
class _Scope:
    values: dict[str, Node] = field(default_factory=dict)
    constants: dict[Op, Node] = field(default_factory=dict)


class _Reader:
    """The tokens of a text and a place among them; one method per thing that can be read."""

    def __init__(self, text: str):
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        self.at = 0
        self.names: dict[Node, str] = {}
        self._tokenize()

    def _tokenize(self) -> None:
        place = 0
        while place < len(self.text):
            match = TOKEN.match(self.text, place)
            if match is None:
                self.tokens = [("mark", "", place)]
                raise self.error(f"{self.text[place]!r} means nothing here")
            kind = str(match.lastgroup)
            if kind != "skip":
                self.tokens.append((kind, match[0], place))
            place = match.end()

    # ------------------------------------------------------------ tokens
    @property
    def peek(self) -> str:
        """The next token, empty at the end."""
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def error(self, message: str) -> CompilerError:
        place = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
        line = self.text.count("\n", 0, place)
        column = place - (self.text.rfind("\n", 0, place) + 1)
        return CompilerError(f"read: {line + 1}:{column + 1}: {message}")

    def take(self, *kinds: str) -> str:
        """The next token, which must be of one of the kinds."""
        if self.kind not in kinds:
            raise self.error(f"{' or '.join(kinds)} expected, not {self.peek or 'the end'}")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def accept(self, *texts: str) -> str:
        """The next token if it is one of the texts, else nothing."""
        if self.kind in ("mark", "name") and self.peek in texts:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return ""

    def expect(self, *texts: str) -> str:
        found = self.accept(*texts)
        if not found:
            raise self.error(f"{' or '.join(texts)} expected, not {self.peek or 'the end'}")
        return found

    def listed(self, end: str, read: Callable[[], T]) -> tuple[T, ...]:
        """Items with commas up to a mark."""
        found: list[T] = []
        while not self.accept(end):
            found.append(read())
            if self.peek != end:
                self.expect(",")
        return tuple(found)

    def name(self) -> str:
        text = self.take("name", "string")
        return str(json.loads(text)) if text.startswith('"') else text

    # ------------------------------------------------------------ graphs and bodies
    def graph(self) -> Graph:
        self.expect("graph")
        name, scope = self.name(), _Scope()
        inputs: list[Port] = []
        outputs: list[Port] = []
        self.expect("{")
        while not self.accept("}"):
            if self.kind == "value":
                self.line(scope)
            elif self.expect("input", "output") == "input":
                inputs.append(self.input(scope))
            else:
                outputs.append(self.output(scope))
        return Graph(name, tuple(inputs), tuple(outputs), {}, self.names)

    def input(self, scope: _Scope) -> Port:
        role, name = self.expect(*INPUT_ROLES), self.name()
        self.expect(":")
        type_, order = self.type()
        self.expect("as")
        key = self.define()
        if self.accept("="):
            node = self.node(scope, type_)
        else:
            (first, _), (second, _) = attributes(SOURCES[role])
            node = self.made(SOURCES[role], {first: name, second: type_}, ())
        return Port(name, self.known(scope, key, node), order, role)

    def output(self, scope: _Scope) -> Port:
        role, name = self.expect(*OUTPUT_ROLES), self.name()
        self.expect("[")
        order = self.listed("]", self.name)
        self.expect("=")
        return Port(name, self.operand(scope), order, role)

    def body(self) -> Body:
        """Slots, then nodes, then what the step gives."""
        scope = _Scope()
        self.expect("{")
        slots, counts = self.slots(scope)
        outputs: dict[str, tuple[Node, ...]] = {"next": (), "emit": ()}
        while not self.accept("}"):
            if self.kind == "value":
                self.line(scope)
            else:
                word = self.expect(*outputs)
                outputs[word] = self.operands(scope)
        return Body(counts["carry"], counts["slice"], slots, outputs["next"], outputs["emit"])

    def slots(self, scope: _Scope) -> tuple[tuple[Node, ...], dict[str, int]]:
        """`carry %0: [B]` and their like, in this order; how many of each."""
        counts = dict.fromkeys(SLOT_KINDS, 0)
        keys, types = [], []
        while word := self.accept(*SLOT_KINDS[_reached(counts) :]):
            counts[word] += 1
            keys.append(self.define())
            self.expect(":")
            types.append(self.type()[0])
        with Builder():
            nodes = new_slots(types)
        return tuple(map(partial(self.known, scope), keys, nodes)), counts

    def operands(self, scope: _Scope) -> tuple[Node, ...]:
        found = [self.operand(scope)]
        while self.accept(","):
            found.append(self.operand(scope))
        return tuple(found)

    # ------------------------------------------------------------ nodes
    def define(self) -> tuple[str, str | None]:
        """A number and the user's name behind it."""
        number = self.take("value")
        return number, self.name() if self.kind in ("name", "string") and self.peek not in RESERVED else None

    def known(self, scope: _Scope, key: tuple[str, str | None], node: Node) -> Node:
        number, name = key
        if number in scope.values:
            raise self.error(f"{number} is defined twice")
        scope.values[number] = node
        if name is not None:
            self.names[node] = name
        return node

    def line(self, scope: _Scope) -> None:
        key = self.define()
        self.expect("=")
        self.known(scope, key, self.node(scope))

    def node(self, scope: _Scope, type_: Type | None = None) -> Node:
        """`op[fields](operands): type`."""
        name, values = self.op()
        operands = self.listed(")", lambda: self.operand(scope)) if self.accept("(") else ()
        if self.accept(":"):
            type_, _ = self.type()
        node = self.made(name, _completed(name, values, type_), operands)
        if type_ is not None and node.type != type_:
            raise self.error(f"{name} gives {node.type}, not {type_}")
        return node

    def op(self) -> tuple[str, dict[str, Any]]:
        """A name of the registry and the fields in brackets."""
        name = self.take("name")
        if name not in REGISTRY:
            raise self.error(f"there is no op {name}")
        return name, self.fields(name) if self.accept("[") else {}

    def made(self, name: str, values: dict[str, Any], operands: tuple[Node, ...]) -> Node:
        op: Callable[..., Op] = REGISTRY[name]
        try:
            return _made(op(**values), operands)
        except (TypeError, ValueError, AttributeError) as problem:
            raise self.error(f"{name}: {problem}") from problem

    def operand(self, scope: _Scope) -> Node:
        if self.kind != "value":
            constant = self.literal()
            return scope.constants.setdefault(constant.op, constant)
        number = self.take("value")
        if number not in scope.values:
            self.at -= 1
            raise self.error(f"{number} is not defined")
        return scope.values[number]

    def literal(self) -> Node:
        """`0.5`, `true`, `float(B)`."""
        if self.peek in DTYPES:
            dtype = self.take("name")
            self.expect("(")
            value = self.value(float | Size)
            self.expect(")")
        else:
            value = self.value(float | bool)
            dtype = next((d for d, kind in NATURAL.items() if type(value) is kind), "")
            if not dtype:
                raise self.error("a value expected")
        return self.made("const", {"value": value, "dtype": dtype}, ())

    # ------------------------------------------------------------ fields
    def fields(self, op: str) -> dict[str, Any]:
        """All up to the closing bracket."""
        only, hints = only_attribute(op), dict(attributes(op))
        named = self.peek in hints and self.tokens[self.at + 1][1] == "=" and len(hints) > 1
        if only and not named:
            value = self.items(only[1], "]") if get_origin(only[1]) is tuple else self.value(only[1])
            if get_origin(only[1]) is not tuple:
                self.expect("]")
            return {only[0]: value}
        return dict(self.listed("]", lambda: self.field(hints)))

    def field(self, hints: dict[str, Any]) -> tuple[str, Any]:
        name = self.take("name")
        if name not in hints:
            raise self.error(f"there is no field {name}")
        self.expect("=")
        return name, self.value(hints[name])

    def value(self, hint: Any) -> Any:
        """A value of a field, by the field's annotation."""
        if get_origin(hint) is tuple:
            return self.items(hint, "]" if self.expect("[", "(") == "[" else ")")
        if get_origin(hint) in (UnionType, Union):
            return self.member(get_args(hint))
        if hint in READERS:
            return READERS[hint](self)
        return self.scalar()

    def items(self, hint: Any, end: str) -> tuple[Any, ...]:
        inner = get_args(hint)
        if hint == AXES:
            return self.listed(end, self.axis)
        if hint == RENAMES:
            return self.listed(end, self.rename)
        if inner[1:] == (...,):
            return self.listed(end, lambda: self.value(inner[0]))
        left = iter(inner)
        return self.listed(end, lambda: self.value(next(left)))

    def member(self, hints: tuple[Any, ...]) -> Any:
        """A value of one of several types: what is no number by itself is a size or a name."""
        first = self.at + (self.peek == "-")
        kind, text, _ = self.tokens[first] if first < len(self.tokens) else ("", "", 0)
        behind = self.tokens[first + 1][1] if first + 1 < len(self.tokens) else ""
        if (kind == "number" or text in SPECIAL) and behind in (",", ")", "]", ""):
            return self.scalar()
        return self.size() if Size in hints else self.name() if str in hints else self.scalar()

    def scalar(self) -> Any:
        """A number, a truth value or `none`."""
        minus = bool(self.accept("-"))
        text = self.take("number", "name")
        if text[0].isdigit():
            value: Any = float(text) if set(text) & set(".eE") else int(text)
        elif text in SPECIAL:
            value = SPECIAL[text]
        else:
            self.at -= 1
            raise self.error(f"a value expected, not {text}")
        return -value if minus else value

    def rename(self) -> tuple[str, str]:
        old = self.name()
        self.expect("as")
        return old, self.name()

    # ------------------------------------------------------------ types and sizes
    def type(self) -> tuple[Type, tuple[str, ...]]:
        """A type, and its labels in the order of the text."""
        dtype = self.take("name") if self.kind == "name" else FLOAT
        self.expect("[")
        axes = self.listed("]", self.axis)
        return Type(dtype, axes), tuple(label for label, _ in axes)

    def axis(self) -> Axis:
        label = self.name()
        return label, self.size() if self.accept("=") else Size.of(label)

    def size(self) -> Size:
        total = self.product()
        while sign := self.accept("+", "-"):
            term = self.product()
            total = total + term if sign == "+" else total - term
        return total

    def product(self) -> Size:
        result = self.factor()
        while sign := self.accept("*", "//", "/"):
            other = self.factor()
            result = result * other if sign == "*" else result // other if sign == "//" else result / other
        return result

    def factor(self) -> Size:
        if self.accept("-"):
            return -self.factor()
        if self.accept("("):
            size = self.size()
            self.expect(")")
            return size
        text = self.take("number", "name")
        if text in ("min", "max") and self.accept("("):
            return extreme(text, self.listed(")", self.size))
        if not text[0].isdigit():
            return Size.of(text)
        if not text.isdigit():
            self.at -= 1
            raise self.error(f"a whole number expected, not {text}")
        return Size.of(int(text))


READERS: dict[Any, Callable[[_Reader], Any]] = {
    str: _Reader.name,
    Size: _Reader.size,
    Type: lambda reader: reader.type()[0],
    Body: _Reader.body,
}


def _completed(op: str, values: dict[str, Any], result: Type | None) -> dict[str, Any]:
    """The fields of an op, those that are types and were left out being the type of the result."""
    return {name: result for name, hint in attributes(op) if hint is Type} | values


def _reached(counts: dict[str, int]) -> int:
    """The position in `SLOT_KINDS` of the last kind that occurred."""
    return max((i for i, kind in enumerate(SLOT_KINDS) if counts[kind]), default=0)


def _made(op: Op, operands: tuple[Node, ...]) -> Node:
    return Node(op, operands, op.infer(*(x.type for x in operands)))
