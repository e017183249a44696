"""A graph: named inputs and outputs over nodes, with where each node comes from.

An immutable value. `inputs` are source nodes (data, parameters, states, counters); `outputs` are results, losses,
gradients, new parameters and states, told apart by role. `Graph.nx` is the same graph as a networkx multigraph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from zhdsl.ir.body import bodies
from zhdsl.ir.node import NOWHERE, Builder, Node, Origins, topological

if TYPE_CHECKING:
    import networkx as nx

INPUT_ROLES = ("data", "param", "state", "counter")
OUTPUT_ROLES = ("result", "loss", "metric", "grad", "param", "state")


@dataclass(frozen=True)
class Port:
    """A node with a name, a role, and the order in which the world outside sees its axes."""

    name: str
    node: Node
    order: tuple[str, ...]
    role: str


@dataclass(frozen=True, eq=False)
class Graph:
    """Named inputs and outputs over nodes.

    Attributes:
        name: what it computes, `Spirals` or `Spirals.step`.
        inputs: ports on source nodes, used or not; names are unique within a role.
        outputs: ports in the order of the text.
        origins: the places each node comes from.
        names: the user's name of a node, where it has one.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    origins: Mapping[Node, Origins] = field(default_factory=dict, repr=False)
    names: Mapping[Node, str] = field(default_factory=dict, repr=False)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node the outputs need, operands first."""
        return topological(port.node for port in self.outputs)

    @cached_property
    def users(self) -> Mapping[Node, tuple[tuple[Node, int], ...]]:
        """For every node, who uses it and in which slot."""
        found: dict[Node, list[tuple[Node, int]]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for slot, operand in enumerate(node.operands):
                found[operand].append((node, slot))
        return {node: tuple(users) for node, users in found.items()}

    @cached_property
    def nx(self) -> nx.MultiDiGraph[int]:
        """The graph in networkx: nodes are positions in `nodes` (attributes op, type, node), edge keys are slots."""
        import networkx

        graph: nx.MultiDiGraph[int] = networkx.MultiDiGraph(name=self.name)
        position = {node: i for i, node in enumerate(self.nodes)}
        for node, i in position.items():
            graph.add_node(i, op=node.op.name, type=str(node.type), name=self.names.get(node, ""), node=node)
            graph.add_edges_from((position[x], i, slot) for slot, x in enumerate(node.operands))
        return graph

    def _repr_mimebundle_(self, **asked: object) -> dict[str, str]:
        """What a notebook shows."""
        from zhdsl.notebook.bundles import of_graph

        return of_graph(self)

    @property
    def symbols(self) -> frozenset[str]:
        """The sizes that must be known to run it."""
        return frozenset().union(*(s.symbols for p in self.inputs for _, s in p.node.type.axes))

    def of_role(self, *roles: str) -> tuple[Port, ...]:
        """Input ports of these roles."""
        return tuple(port for port in self.inputs if port.role in roles)

    def results(self, *roles: str) -> tuple[Port, ...]:
        """Output ports of these roles."""
        return tuple(port for port in self.outputs if port.role in roles)

    def input(self, name: str, role: str = "data") -> Port:
        return next(p for p in self.inputs if (p.name, p.role) == (name, role))

    def output(self, name: str, role: str = "result") -> Port:
        return next(p for p in self.outputs if (p.name, p.role) == (name, role))

    @contextmanager
    def building(self) -> Iterator[Builder]:
        """A builder that knows this graph's nodes, origins and names."""
        with Builder() as b:
            b.adopt(topological([p.node for p in (*self.inputs, *self.outputs)]), self.origins, self.names)
            for node in self.origins.keys() | self.names.keys():  # those in the bodies of loops too
                b.note(node, self.origins.get(node, NOWHERE), self.names.get(node))
            yield b

    def closed(self, b: Builder, outputs: Iterable[Port], name: str | None = None) -> Graph:
        """This graph with other outputs, made by `b`."""
        return close(name or self.name, self.inputs, outputs, b)

    def with_nodes(self, b: Builder, nodes: Iterable[Node]) -> Graph:
        """This graph with its output nodes replaced one by one."""
        return self.closed(b, (replace(p, node=n) for p, n in zip(self.outputs, nodes, strict=True)))


def close(name: str, inputs: Iterable[Port], outputs: Iterable[Port], b: Builder) -> Graph:
    """A graph of what a builder made."""
    ins, outs = tuple(inputs), tuple(outputs)
    nodes = list(everything(topological(p.node for p in (*ins, *outs))))
    return Graph(
        name,
        ins,
        outs,
        {n: b.origins[n] for n in nodes if b.origins.get(n)},
        {n: b.names[n] for n in nodes if n in b.names},
    )


def everything(nodes: Iterable[Node]) -> Iterator[Node]:
    """The nodes, and those in the bodies of loops below them at any depth."""
    for node in nodes:
        yield node
        for body in bodies(node.op):
            yield from everything((*body.slots, *body.nodes))
