"""Computes equal things once: one op on the same operands is one node, in either order if the op commutes.

    %1 = mul(%a, %b);  %2 = mul(%b, %a);  %3 = add(%1, %2)
    %1 = mul(%a, %b);                     %3 = add(%1, %1)

Nodes made in one builder are merged when they are made; what is left are mirrored operands, nodes from several builders
(loop bodies), and loops whose bodies have one structure. The first of several equal nodes stays, operands and all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import NOWHERE, Node, builder, topological
from zhdsl.ir.op import Op
from zhdsl.ir.text import attributes, print_body
from zhdsl.passes.rewriting import body_fields, changed

COMMUTATIVE = frozenset(("add", "mul", "eq", "and", "or", "contract"))


def merge_common_subexpressions(graph: Graph) -> Graph:
    """The graph with one node for one value."""
    return changed(graph, _merged)


def _merged(outputs: Sequence[Node]) -> Sequence[Node]:
    b = builder()
    known: dict[Any, Node] = {}
    new: dict[Node, Node] = {}
    for node in topological(outputs):
        operands = tuple(new[x] for x in node.operands)
        key = (_structure(node.op), _in_any_order(node.op, operands))
        if key not in known:
            known[key] = node if operands == node.operands else _made(node, operands)
        new[node] = known[key]
        if new[node] is not node:
            b.note(new[node], b.origins.get(node, NOWHERE), b.names.get(node))
    return [new[o] for o in outputs]


def _made(node: Node, operands: tuple[Node, ...]) -> Node:
    b = builder()
    with b.at(b.origins.get(node, NOWHERE)):
        return b.make(node.op, operands)


def _in_any_order(op: Op, operands: tuple[Node, ...]) -> tuple[int, ...]:
    """The operands by identity, sorted if their order says nothing: used to find the node, not to print it."""
    ids = map(id, operands)
    return tuple(sorted(ids)) if op.name in COMMUTATIVE else tuple(ids)


def _structure(op: Op) -> object:
    """What equal ops have in common: the op, or for a loop its fields with the text of its body."""
    if not body_fields(op.name):
        return op
    values = (getattr(op, name) for name, _ in attributes(op.name))
    return (op.name, *(print_body(value) if isinstance(value, Body) else value for value in values))
