"""Nodes and how they are made.

A `Node` is an op with ordered operands and a type that was inferred when it was made; it never changes. Nodes are made
only inside a `Builder`, which gives one node for one structure (hash-consing) and remembers, beside the nodes, where in
the user's text each comes from.

    with Builder() as b, b.at(origin):
        y = g * (1 - t * t)
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, NamedTuple

from zhdsl.ir.op import REGISTRY, Op
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.source import Span


class Frame(NamedTuple):
    """One call around a place, or one round of a `repeat`.

    Attributes:
        name: told apart from the others around the same place: `dense2`, `softmax`; of a repeat, its variable.
        of: the definition that is called; "" for a round.
        kind: `block`, `fn` or `model`; `repeat` for a round.
        round: its number; 0 for a call.
    """

    name: str
    of: str
    kind: str
    round: int = 0


@dataclass(frozen=True)
class Origin:
    """A place in the user's text and the role in which it gave rise to a node: forward, backward, update, metric.

    `frames` are the calls and rounds that the place was reached through, outermost first.
    """

    span: Span
    role: str = "forward"
    frames: tuple[Frame, ...] = ()

    def in_role(self, role: str) -> Origin:
        return Origin(self.span, role, self.frames)

    @property
    def key(self) -> tuple[str, int, int, str, tuple[Frame, ...]]:
        return (*self.span.key, self.role, self.frames)


Origins = frozenset[Origin]
NOWHERE: Origins = frozenset()


class Node:
    """One value of a graph: `op(*operands)` of `type`. Compared and hashed by identity."""

    __slots__ = ("__weakref__", "op", "operands", "type")

    def __init__(self, op: Op, operands: tuple[Node, ...], type_: Type):
        self.op = op
        self.operands = operands
        self.type = type_

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.type}>"

    def __add__(self, other: Operand) -> Node:
        return apply("add", self, lift(other, self))

    def __sub__(self, other: Operand) -> Node:
        return apply("sub", self, lift(other, self))

    def __mul__(self, other: Operand) -> Node:
        return apply("mul", self, lift(other, self))

    def __truediv__(self, other: Operand) -> Node:
        return apply("div", self, lift(other, self))

    def __radd__(self, other: float) -> Node:
        return apply("add", lift(other, self), self)

    def __rsub__(self, other: float) -> Node:
        return apply("sub", lift(other, self), self)

    def __rmul__(self, other: float) -> Node:
        return apply("mul", lift(other, self), self)

    def __rtruediv__(self, other: float) -> Node:
        return apply("div", lift(other, self), self)

    def __neg__(self) -> Node:
        return apply("neg", self)


Operand = Node | float | Size


def lift(value: Operand, like: Node) -> Node:
    """A number as a scalar constant of the other operand's dtype; nodes as they are."""
    return value if isinstance(value, Node) else apply("const", value=value, dtype=like.type.dtype)


_current: ContextVar[Builder | None] = ContextVar("builder", default=None)


class Builder:
    """Makes nodes. One structure is one node; origins and source names are kept beside the nodes."""

    def __init__(self) -> None:
        self.origins: dict[Node, Origins] = {}
        self.names: dict[Node, str] = {}
        self._made: dict[tuple[Op, tuple[int, ...]], Node] = {}
        self.here: Origins = NOWHERE  # where new nodes come from
        self._tokens: list[Token[Builder | None]] = []

    def __enter__(self) -> Builder:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *exc: object) -> None:
        _current.reset(self._tokens.pop())

    @contextmanager
    def at(self, origins: Iterable[Origin]) -> Iterator[None]:
        """Nodes made inside come from these places."""
        before, self.here = self.here, frozenset(origins)
        try:
            yield
        finally:
            self.here = before

    def make(self, op: Op, operands: tuple[Node, ...]) -> Node:
        key = (op, tuple(map(id, operands)))
        node = self._made.get(key)
        if node is None:
            node = self._made[key] = Node(op, operands, op.infer(*(x.type for x in operands)))
        known = self.origins.get(node, NOWHERE)
        self.origins[node] = known | self.here if known else self.here
        return node

    def adopt(self, nodes: Iterable[Node], origins: Mapping[Node, Origins], names: Mapping[Node, str]) -> None:
        """Take over nodes made elsewhere (operands first), so that equal structures are found again."""
        for node in nodes:
            self._made.setdefault((node.op, tuple(map(id, node.operands))), node)
            self.note(node, origins.get(node, NOWHERE), names.get(node))

    def note(self, node: Node, origins: Origins, name: str | None = None) -> None:
        """Add places, and a name if it has none yet, to what is known of a node."""
        self.origins[node] = self.origins.get(node, NOWHERE) | origins
        if name is not None:
            self.names.setdefault(node, name)


def builder() -> Builder:
    """The builder in force. Raises `LookupError` outside of one."""
    current = _current.get()
    if current is None:
        raise LookupError("nodes are made inside `with Builder():`")
    return current


def make(op: Op, *operands: Node) -> Node:
    """The node `op(*operands)`. Raises `TypeProblem`."""
    return builder().make(op, operands)


def apply(name: str, *operands: Node, **attributes: Any) -> Node:
    """`make` by the op's name. Raises `TypeProblem`."""
    return builder().make(REGISTRY[name](**attributes), operands)


def topological(outputs: Iterable[Node], known: Container[Node] = ()) -> tuple[Node, ...]:
    """All nodes that the outputs need, operands first, in an order that depends on the structure alone.

    Left out is what is known, with all that only it needs.
    """
    seen: set[Node] = set()
    order: list[Node] = []
    stack: list[tuple[Node, bool]] = [(o, False) for o in reversed(list(outputs))]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen and node not in known:
            seen.add(node)
            stack.append((node, True))
            stack.extend((x, False) for x in reversed(node.operands))
    return tuple(order)


def rebuild(
    outputs: Sequence[Node],
    rule: Callable[[Node, tuple[Node, ...]], Node | None],
    replaced: Mapping[Node, Node] | None = None,
) -> tuple[Node, ...]:
    """Walk from operands to outputs and make every node anew in the builder in force.

    `rule(old, operands)` may answer with a node of its own; `None` keeps the op. `replaced` are answers given before.
    Origins and names of the old node go to its successor when the builder knows them.
    """
    b, new = builder(), dict(replaced or {})
    for node in topological(outputs):
        if node in new:
            continue
        operands = tuple(new[x] for x in node.operands)
        with b.at(b.origins.get(node, NOWHERE)):
            answer = rule(node, operands)
            new[node] = b.make(node.op, operands) if answer is None else answer
        b.note(new[node], b.origins.get(node, NOWHERE), b.names.get(node))
    return tuple(new[o] for o in outputs)
