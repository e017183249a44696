"""What is printed of a node: an expression, and what the checker will make of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

from zhdsl.errors import CompilerError
from zhdsl.ir.node import Node
from zhdsl.ir.text import describe
from zhdsl.lang import ast
from zhdsl.lang.decompile import syntax
from zhdsl.lang.phrases import phrase


@dataclass(frozen=True, eq=False)
class Value:
    """The expression for a node.

    Attributes:
        order: the order of its axes as the checker will have it.
        literal: known at compile time, so that its dtype follows its surroundings.
        indexed: ends in `[ ]` of a tensor, to which more of an index may be added.
    """

    expr: ast.Expr
    order: tuple[str, ...] = ()
    literal: bool = False
    indexed: bool = False

    @cached_property
    def width(self) -> int:
        """Columns on one line."""
        return len(phrase(self.expr))

    @property
    def is_name(self) -> bool:
        return isinstance(self.expr, ast.Name)

    @cached_property
    def names(self) -> frozenset[str]:
        """All names in it."""
        return frozenset(n.id for n in walk(self.expr) if isinstance(n, ast.Name))


class Scope(Protocol):
    """What printing one node may ask of the program around it.

    Attributes:
        batch: the first axis of the data: nobody reads `x @ y` as a sum over the samples.
    """

    @property
    def batch(self) -> str: ...

    def use(self, node: Node) -> Value:
        """The value of an operand (or of an operand's operand, where that stands in line)."""

    def tensor(self, node: Node) -> Value:
        """The same; what is known at compile time as a tensor of its own."""

    def in_line(self, node: Node) -> bool:
        """Whether it has no name, so that its expression will stand inside of others."""

    def is_counter(self, nodes: Sequence[Node]) -> bool:
        """Whether they are what draws are keyed by at this place if nothing is said."""


def walk(root: Any) -> Iterable[Any]:
    """All records of a tree in the order of the text."""
    stack = [root]
    while stack:
        record = stack.pop()
        yield record
        inside: list[Any] = []
        for f in fields(record):
            found = getattr(record, f.name)
            inside += found if isinstance(found, tuple) else [found]
        stack.extend(x for x in reversed(inside) if isinstance(x, ast.Syntax))


def order_of(values: Iterable[Value]) -> tuple[str, ...]:
    """The order of a by-name operation, as `lang.tensors` has it."""
    best: tuple[str, ...] = ()
    for value in values:
        if set(value.order) > set(best):
            best = value.order
        elif not set(value.order) <= set(best):
            best += tuple(label for label in value.order if label not in best)
    return best


def expanded(value: Value, node: Node) -> Value:
    """The value with all axes of the node."""
    missing = [(label, n) for label, n in node.type.axes if label not in value.order]
    if not missing:
        return value
    statics = [syntax.made_axis(label, n) for label, n in missing]
    return Value(syntax.call("expand", value.expr, statics=statics), (*(n for n, _ in missing), *value.order))


def converted(value: Value, dtype: str) -> Value:
    """A cast to a dtype that is not the one literals take."""
    return Value(syntax.call(dtype, value.expr), value.order)


def unsayable(node: Node, why: str) -> CompilerError:
    """The error for a node that the language has no words for."""
    return CompilerError(f"print: the language cannot say {describe(node)}: {why}")
