"""The textual form of a graph; `ir.read` reads it back.

    graph Spirals {
      input data x: [B, F=2] as %0
      input param dense.W: [F=2, N=5] as %1
      %2 = contract[F](%0, %1): [B, N=5]
      %3 h = tanh(%2): [B, N=5]
      %4 = mul(%3, 0.5): [B, N=5]
      output result p[B, N] = %4
    }

Everything follows from the registry. An op is written with its fields in brackets, by name; without the name if it has
only one; a field of its own type that is the type of the result, and a field with its default, are left out. A name
after a number is the user's. Constants without a name stand where they are used: `0.5` is a float, `2` an i32, `true` a
bool, `float(B)` a size, `f32(0.5)` a constant of another dtype. A loop's body stands in braces and counts anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import NOWHERE, Node, Origins
from zhdsl.ir.op import REGISTRY, Op
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, axes_text

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*'*")
SLOT_KINDS = ("carry", "slice", "capture")
RESERVED = frozenset(("inf", "nan", "true", "false", "none", "input", "output", "next", "emit", *SLOT_KINDS))
NATURAL = {"float": float, "i32": int, "bool": bool}  # the dtype a literal has when nothing is said
AXES = tuple[tuple[str, Size], ...]
RENAMES = tuple[tuple[str, str], ...]


def print_graph(graph: Graph, origins: bool = False) -> str:
    """The graph as text, the same for the same structure.

    Args:
        graph: any graph, also one that the verifier would refuse.
        origins: end each line with a comment that says which places of the user's text its node comes from.
    """
    scope = Scope(graph.names, graph.origins if origins else {})
    lines = [_input_text(port, scope) for port in graph.inputs]
    lines += scope.definitions(graph.nodes)
    lines += [
        f"output {port.role} {name_text(port.name)}[{', '.join(port.order)}] = {scope.operand(port.node)}"
        for port in graph.outputs
    ]
    return f"graph {name_text(graph.name)} {_braced(lines)}\n"


def print_body(body: Body) -> str:
    """A loop's body as text. Bodies of one structure have one text."""
    return _body_text(body, Scope({}, {}))


def print_op(op: Op, result: Type) -> str:
    """An op with its fields, as it stands in a line whose type is `result`."""
    return _op_text(op, result, Scope({}, {}))


def describe(node: Node) -> str:
    """A node for messages: its op, its fields and the types around it; bodies are left out."""
    operands = ", ".join(str(x.type) for x in node.operands)
    return f"{_op_text(node.op, node.type, None)}({operands}): {node.type}"


# ---------------------------------------------------------------- nodes
@dataclass
class Scope:
    """The numbers given out so far in a graph or a body."""

    names: Mapping[Node, str]
    origins: Mapping[Node, Origins]
    numbers: dict[Node, int] = field(default_factory=dict)

    def inlined(self, node: Node) -> bool:
        return node.op.name == "const" and node not in self.names

    def define(self, node: Node, known_as: str | None = None) -> str:
        """`%3`, or `%3 h` for a node the user named otherwise; from now on the node has this number."""
        number = self.numbers.setdefault(node, len(self.numbers))
        name = self.names.get(node)
        return f"%{number}" if name in (None, known_as) else f"%{number} {name_text(str(name))}"

    def operand(self, node: Node) -> str:
        return literal(node) if self.inlined(node) else f"%{self.numbers[node]}"

    def definitions(self, nodes: Iterable[Node]) -> list[str]:
        """One text per node that has no number yet, operands first."""
        return [self._definition(n) for n in nodes if n not in self.numbers and not self.inlined(n)]

    def _definition(self, node: Node) -> str:
        operands = "" if node.op.arity == 0 else f"({', '.join(map(self.operand, node.operands))})"
        return f"{self.define(node)} = {_op_text(node.op, node.type, self)}{operands}: {node.type}{self.places(node)}"

    def places(self, node: Node) -> str:
        """The comment on where a node comes from."""
        found = sorted(self.origins.get(node, NOWHERE), key=lambda o: o.key)
        texts = (str(o.span) if o.role == "forward" else f"{o.span} {o.role}" for o in found)
        return f"  # {', '.join(dict.fromkeys(texts))}" if found else ""


def _input_text(port: Port, scope: Scope) -> str:
    node = port.node
    type_ = ("" if node.type.dtype == "float" else node.type.dtype) + axes_text(
        (label, node.type.sizes.get(label, Size.of(label))) for label in port.order
    )
    usual = node.op.name == SOURCES.get(port.role) and _first(node.op) == port.name
    source = "" if usual else f" = {_op_text(node.op, node.type, scope)}"
    number = scope.define(node, port.name)
    return f"input {port.role} {name_text(port.name)}: {type_} as {number}{source}{scope.places(node)}"


SOURCES = {"data": "input", "counter": "input", "param": "param", "state": "state"}  # role of an input -> op


def _first(op: Op) -> Any:
    return getattr(op, attributes(op.name)[0][0])


def literal(node: Node) -> str:
    """A constant where it is used."""
    value: Any = getattr(node.op, "value")  # noqa: B009 - only constants have it
    text = _value_text(value, float | Size)
    return text if type(value) is NATURAL.get(node.type.dtype) else f"{node.type.dtype}({text})"


# ---------------------------------------------------------------- fields
@cache
def attributes(op: str) -> tuple[tuple[str, Any], ...]:
    """The fields of an op with their resolved annotations, in order."""
    hints = get_type_hints(REGISTRY[op])
    return tuple((f.name, hints[f.name]) for f in fields(REGISTRY[op]))


@cache
def only_attribute(op: str) -> tuple[str, Any] | None:
    """The field that is written without its name: the only one apart from the type."""
    written = [a for a in attributes(op) if a[1] is not Type]
    return written[0] if len(written) == 1 else None


def _op_text(op: Op, result: Type, scope: Scope | None) -> str:
    only = only_attribute(op.name)
    defaults = {f.name: f.default for f in fields(op) if f.default is not MISSING}
    texts, implied = [], True
    for name, hint in attributes(op.name):
        value = getattr(op, name)
        if hint is Type:
            if value != result:
                texts.append(f"{name}={value}")
                implied = False
        elif name not in defaults or repr(value) != repr(defaults[name]):
            texts.append(f"{name}={_field_text(value, hint, scope)}")
    if only and implied:
        bare = _field_text(getattr(op, only[0]), only[1], scope)
        texts = [bare[1:-1] if get_origin(only[1]) is tuple else bare]
    return f"{op.name}[{', '.join(texts)}]" if texts else op.name


def _field_text(value: Any, hint: Any, scope: Scope | None) -> str:
    if isinstance(value, Body):
        return _body_text(value, scope) if scope else "{…}"
    return _value_text(value, hint)


def _value_text(value: Any, hint: Any) -> str:
    """A field's value; `hint` is its annotation."""
    if isinstance(value, tuple):
        return _tuple_text(value, hint)
    if isinstance(value, Size):
        text = str(value)
        union = get_origin(hint) in (UnionType, Union)
        return f"({text})" if union and (value.number is not None or text in RESERVED) else text
    if isinstance(value, bool | None):
        return str(value).lower()
    return name_text(value) if isinstance(value, str) else str(value) if isinstance(value, Type) else repr(value)


def _tuple_text(value: tuple[Any, ...], hint: Any) -> str:
    if hint == AXES:
        return axes_text(value)
    if hint == RENAMES:
        return f"({', '.join(f'{name_text(old)} as {name_text(new)}' for old, new in value)})"
    inner = get_args(hint)
    of_each = inner[:1] * len(value) if inner[1:] == (...,) else inner
    return f"({', '.join(_value_text(v, h) for v, h in zip(value, of_each, strict=True))})"


def name_text(name: str) -> str:
    """A name as it is, or quoted where it could be taken for something else."""
    return name if NAME.fullmatch(name) and name not in RESERVED else json.dumps(name)


# ---------------------------------------------------------------- bodies
def _body_text(body: Body, outer: Scope) -> str:
    scope = Scope(outer.names, outer.origins)
    kinds = ["carry"] * body.carries + ["slice"] * body.slices
    kinds += ["capture"] * (len(body.slots) - len(kinds))
    lines = [f"{kind} {scope.define(slot)}: {slot.type}" for kind, slot in zip(kinds, body.slots, strict=True)]
    lines += scope.definitions(body.nodes)
    for word, nodes in (("next", body.next), ("emit", body.emits)):
        lines += [f"{word} {', '.join(map(scope.operand, nodes))}"] if nodes else []
    return _braced(lines)


def _braced(lines: Iterable[str]) -> str:
    """Lines in braces, two spaces in; a line may be several."""
    return "".join(("{\n", *(f"  {line.replace(chr(10), chr(10) + '  ')}\n" for line in lines), "}"))
