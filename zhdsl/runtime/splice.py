"""`splice`: one graph becomes part of another that is being made.

Optimisers, clips and schedules are graphs of their own; the step is one graph, so they are copied into it with their
inputs replaced by the nodes of the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Node, builder, make, rebuild


def splice(graph: Graph, given: Mapping[str, Node]) -> dict[str, Node]:
    """Makes the nodes of `graph` anew in the builder in force.

    Args:
        graph: what is copied; its places and names come along.
        given: nodes for its data inputs and counters, by name. What is not given stays an input of the same name (see
            `open_inputs`); names that the graph lacks are passed over.

    Returns:
        The outputs by name.
    """
    b = builder()
    for node in graph.nodes:
        b.note(node, graph.origins.get(node, frozenset()), graph.names.get(node))
    replaced = {p.node: given[p.name] for p in graph.of_role("data", "counter") if p.name in given}
    nodes = rebuild([p.node for p in graph.outputs], lambda node, operands: None, replaced)
    return {port.name: node for port, node in zip(graph.outputs, nodes, strict=True)}


def open_inputs(graph: Graph, given: Iterable[str]) -> list[Port]:
    """The inputs that `splice` left open, on nodes of the builder in force."""
    closed = set(given)
    ports = [p for p in graph.inputs if p.role not in ("data", "counter") or p.name not in closed]
    return [replace(p, node=make(p.node.op)) for p in ports]


def merged(*groups: Iterable[Port]) -> tuple[Port, ...]:
    """All ports, each (role, name) once: the first."""
    found: dict[tuple[str, str], Port] = {}
    for port in (p for group in groups for p in group):
        found.setdefault((port.role, port.name), port)
    return tuple(found.values())
