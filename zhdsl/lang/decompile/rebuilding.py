"""Graphs made anew, and the bodies of loops in them, by a change of the nodes of one level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from zhdsl.ir.body import Body, bodies
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import NOWHERE, Builder, Node, builder, make, rebuild, topological
from zhdsl.ir.op import Op

Change = Callable[[Sequence[Node]], Sequence[Node]]


def rebuilt(graph: Graph, change: Change) -> Graph:
    """The graph with its outputs, and those of every body in it, put through `change`; inner bodies first."""
    with graph.building() as b:
        return graph.with_nodes(b, _through([p.node for p in graph.outputs], change))


def _through(outputs: Sequence[Node], change: Change) -> Sequence[Node]:
    def with_bodies(node: Node, operands: tuple[Node, ...]) -> Node | None:
        return make(_changed(node.op, change), *operands) if bodies(node.op) else None

    return change(rebuild(outputs, with_bodies))


def _changed(op: Op, change: Change) -> Op:
    new: dict[str, Any] = {
        f.name: _body(value, change) for f in fields(op) if isinstance(value := getattr(op, f.name), Body)
    }
    return replace(op, **new)


def _body(body: Body, change: Change) -> Body:
    outer = builder()
    with Builder() as b:
        b.adopt((*body.slots, *body.nodes), outer.origins, outer.names)
        for node in outer.names.keys() | outer.origins.keys():  # of bodies further inside
            b.note(node, outer.origins.get(node, NOWHERE), outer.names.get(node))
        outputs = _through(body.outputs, change)
    for node in topological(outputs):
        outer.note(node, b.origins.get(node, NOWHERE), b.names.get(node))
    return body.with_outputs(outputs)


def remade(outputs: Sequence[Node], rule: Callable[[Node, dict[Node, Node]], Node | None]) -> list[Node]:
    """Every node made anew, operands first. `rule(old, new)` sees all that were made so far; `None` keeps the op."""
    b, new = builder(), dict[Node, Node]()
    for node in topological(outputs):
        with b.at(b.origins.get(node, NOWHERE)):
            answer = rule(node, new)
            new[node] = make(node.op, *(new[x] for x in node.operands)) if answer is None else answer
        b.note(new[node], NOWHERE, b.names.get(node))
    return [new[o] for o in outputs]
