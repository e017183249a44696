"""Removes from loops what nobody reads: results, carried values, slices and captured values, and what they need.

    %3 = scan[body={carry h; slice x; capture w; next f(h, x); emit g(h, w), f(h, x)}](%0, %1, %2);  project[1](%3)
    %3 = scan[body={carry h; slice x;            next f(h, x); emit          f(h, x)}](%0, %1);      project[0](%3)

Outside of loops nothing has to be done: a graph holds what its outputs need. Its inputs stay, used or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import NOWHERE, Node, builder, make, topological
from zhdsl.ops.loop import Project, Scan, project
from zhdsl.passes.rewriting import changed


def drop_dead_code(graph: Graph) -> Graph:
    """The graph without dead parts of loops; what dies in a loop may let a loop within it die: until nothing does."""
    while True:
        new = changed(graph, _alive) if any(isinstance(n.op, Scan) for n in graph.nodes) else graph
        if new is graph:
            return graph
        graph = new


@dataclass(frozen=True)
class Alive:
    """What is read of a scan, by index.

    Attributes:
        emits: positions in the body's emits.
        carries: positions of carried values, read inside or outside.
        inputs: positions of slots, carries, slices and captured values alike.
    """

    emits: tuple[int, ...]
    carries: tuple[int, ...]
    inputs: tuple[int, ...]

    @staticmethod
    def of(scan: Scan, results: set[int]) -> Alive:
        """From the results that are projected."""
        body = scan.body
        emits = tuple(i for i in range(len(body.emits)) if i in results)
        carries = {c for c in range(body.carries) if scan.entry(c) in results or scan.final(c) in results}
        while True:
            reached = set(topological([*(body.emits[i] for i in emits), *(body.next[c] for c in sorted(carries))]))
            needed = carries | {c for c in range(body.carries) if body.slots[c] in reached}
            if needed == carries:
                break
            carries = needed
        inputs = {i for i, slot in enumerate(body.slots) if slot in reached} | carries
        return Alive(emits, tuple(sorted(carries)), tuple(sorted(inputs)))

    def body(self, body: Body) -> Body:
        slices = sum(body.carries <= i < body.carries + body.slices for i in self.inputs)
        slots = tuple(body.slots[i] for i in self.inputs)
        following = tuple(body.next[c] for c in self.carries)
        return Body(len(self.carries), slices, slots, following, tuple(body.emits[i] for i in self.emits))


def _alive(outputs: Sequence[Node]) -> Sequence[Node]:
    """The nodes with every scan below them reduced to what is projected."""
    order = topological(outputs)
    read: dict[Node, set[int]] = {}
    for node in order:
        if isinstance(node.op, Project):
            read.setdefault(node.operands[0], set()).add(node.op.index)
    b, new = builder(), dict[Node, Node]()
    left: dict[Node, Alive] = {}
    for node in order:
        origins = b.origins.get(node, NOWHERE)
        with b.at(origins):
            if isinstance(node.op, Scan):
                left[node] = Alive.of(node.op, read.get(node, set()))
                new[node] = _reduced(node, left[node], new)
            elif isinstance(node.op, Project) and node.operands[0] in left:
                scan = node.operands[0]
                new[node] = _projected(node.op.index, scan, new[scan], left[scan])
            else:
                new[node] = make(node.op, *(new[x] for x in node.operands))
        b.note(new[node], origins, b.names.get(node))
    return [new[o] for o in outputs]


def _reduced(node: Node, alive: Alive, new: dict[Node, Node]) -> Node:
    """The scan with what is alive of it: the same node if all is."""
    assert isinstance(node.op, Scan)
    body = node.op.body
    everything = (len(alive.emits), len(alive.inputs)) == (len(body.emits), len(body.slots))
    op = node.op if everything else replace(node.op, body=alive.body(body))
    return make(op, *(new[node.operands[i]] for i in alive.inputs))


def _projected(index: int, old: Node, scan: Node, alive: Alive) -> Node:
    """What was the result of this index."""
    assert isinstance(old.op, Scan) and isinstance(scan.op, Scan)
    emits, carries = len(old.op.body.emits), old.op.body.carries
    if index < emits:
        return project(scan, alive.emits.index(index))
    carry, final = alive.carries.index((index - emits) % carries), index - emits >= carries
    return project(scan, scan.op.final(carry) if final else scan.op.entry(carry))
