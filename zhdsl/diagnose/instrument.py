"""The graph of a loss, made to tell what happens inside.

    z = x W          z = x W + probe          the gradient of `probe`, which is 0, is that of z
    y = sigmoid(z)   y is an output           also of the body of a loop, stacked over its steps
    x                (x - shift) * scale      what the first layers read can be moved and scaled

In: sites. Out: an instrumented graph, with the ports by site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zhdsl.autodiff import reverse
from zhdsl.diagnose.sites import Bend, Input, Sites
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Node, apply, make, rebuild
from zhdsl.ops.loop import Project, Scan, project

SHIFT, SCALE = "shift", "scale"


@dataclass(frozen=True, eq=False)
class Instrumented:
    """An instrumented graph. Ports are named by the number of their site.

    Attributes:
        graph: inputs also `probe<i>` for layers, `shift<k>` and `scale<k>` for inputs (role data). Outputs: `loss`,
            `value<i>` and `bend<j>` and `input<k>` (role result), `grad<i>` (role grad).
        probes: the further inputs.
    """

    sites: Sites
    graph: Graph
    probes: tuple[Port, ...]


def instrumented(sites: Sites) -> Instrumented:
    """The graph with all its sites listened to."""
    graph = sites.graph
    with graph.building() as b:
        insertion = _Insertion(sites)
        loss = insertion.rebuilt(graph.output("loss", "loss").node)
        made, probes = insertion.layers, [insertion.probes[layer.node] for layer in sites.layers]
        one = apply("const", value=1.0, dtype=loss.type.dtype)
        grads = reverse.gradients([loss], [one], probes)
        outputs = [Port("loss", loss, (), "loss")]
        outputs += [_result(f"value{i}", made[layer.node]) for i, layer in enumerate(sites.layers)]
        outputs += [_result(f"grad{i}", g, "grad") for i, g in enumerate(grads) if g is not None]
        outputs += [_result(f"bend{i}", n) for i, bend in enumerate(sites.bends) if (n := insertion.bend(bend))]
        outputs += [_result(f"input{i}", insertion.inputs[given.node]) for i, given in enumerate(sites.inputs)]
        ports = [_port(f"probe{i}", node) for i, node in enumerate(probes)] + insertion.moves
        return Instrumented(sites, close(f"{graph.name}.sites", (*graph.inputs, *ports), outputs, b), tuple(ports))


def movable(graph: Graph, inputs: Sequence[Input]) -> tuple[Graph, tuple[Port, ...]]:
    """The graph with `(x - shift) * scale` for its inputs x, and the ports of shifts and scales."""
    with graph.building() as b:
        insertion = _Insertion(Sites(graph, (), (), (), tuple(inputs)))
        nodes = insertion.rebuilt_all([p.node for p in graph.outputs])
        outputs = [replace(p, node=n) for p, n in zip(graph.outputs, nodes, strict=True)]
        return close(graph.name, (*graph.inputs, *insertion.moves), outputs, b), tuple(insertion.moves)


class _Insertion:
    """Probes on their way into a graph.

    Attributes:
        layers, probes: by node of the layer: the value before its probe, and the probe.
        inputs: by node of the input, the value as it was.
        moves: the ports of shifts and scales.
    """

    def __init__(self, sites: Sites):
        self.sites = sites
        self.layers: dict[Node, Node] = {}
        self.probes: dict[Node, Node] = {}
        self.inputs: dict[Node, Node] = {}
        self.moves: list[Port] = []
        self.loops: dict[Node, Node] = {}
        self.new: dict[Node, Node] = {}

    def rebuilt(self, output: Node) -> Node:
        (node,) = self.rebuilt_all([output])
        return node

    def rebuilt_all(self, outputs: Sequence[Node]) -> tuple[Node, ...]:
        layers = {layer.node: i for i, layer in enumerate(self.sites.layers)}
        inputs = {given.node: i for i, given in enumerate(self.sites.inputs)}

        def rule(old: Node, operands: tuple[Node, ...]) -> Node | None:
            node = self._listened(old, operands)
            if old in inputs:
                node = self._moved(inputs[old], old, node)
            if old in layers:
                self.layers[old] = node
                self.probes[old] = apply("input", port=f"probe{layers[old]}", type=old.type)
                node = node + self.probes[old]
            self.new[old] = node
            return node

        return rebuild(outputs, rule)

    def _moved(self, number: int, old: Node, node: Node) -> Node:
        self.inputs[old] = node
        shift, scale = (apply("input", port=f"{name}{number}", type=old.type) for name in (SHIFT, SCALE))
        self.moves += [_port(f"{SHIFT}{number}", shift), _port(f"{SCALE}{number}", scale)]
        return (node - shift) * scale

    def _listened(self, old: Node, operands: tuple[Node, ...]) -> Node:
        """The node made anew; a loop also gives out the activations of its body, behind what its body emits."""
        if isinstance(old.op, Project):
            return project(operands[0], self._index(old))
        within = self._within(old)
        if not within:
            return make(old.op, *operands)
        assert isinstance(old.op, Scan)
        body = old.op.body
        wider = body.with_outputs((*body.next, *body.emits, *(bend.node for bend in within)))
        return make(replace(old.op, body=wider), *operands)

    def _within(self, loop: Node) -> list[Bend]:
        return [bend for bend in self.sites.bends if bend.loop is loop]

    def _index(self, old: Node) -> int:
        """The number of a result of a loop, which may have come to emit more."""
        loop, index = old.operands[0], int(getattr(old.op, "index", 0))
        assert isinstance(loop.op, Scan)
        return index if index < len(loop.op.body.emits) else index + len(self._within(loop))

    def bend(self, bend: Bend) -> Node | None:
        """The value of an activation in the new graph; `None` if nothing needs it."""
        if bend.loop is None:
            return self.new.get(bend.node)
        assert isinstance(bend.loop.op, Scan)
        if bend.loop not in self.new:
            return None
        return project(self.new[bend.loop], len(bend.loop.op.body.emits) + self._within(bend.loop).index(bend))


def _port(name: str, node: Node) -> Port:
    return Port(name, node, node.type.labels, "data")


def _result(name: str, node: Node, role: str = "result") -> Port:
    return Port(name, node, node.type.labels, role)
