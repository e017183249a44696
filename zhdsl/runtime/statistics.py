"""What can be measured of a training step beside its result, as a graph of its own: gradient norms and dead units."""

from __future__ import annotations

from typing import Any

from zhdsl.autodiff import reverse
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import NOWHERE, Node, Origin, apply
from zhdsl.lang.model import Recipe
from zhdsl.passes import BEFORE_DERIVATIVE, run_passes
from zhdsl.runtime.step import trained

__all__ = ["Graph", "place_of", "relus", "statistics_graph"]


def statistics_graph(recipe: Recipe) -> Graph:
    """From a batch, parameters and states to squared gradient norms (`grad/PATH`) and dead units (`dead/PLACE`)."""
    forward = run_passes(recipe.forward, BEFORE_DERIVATIVE)
    with forward.building() as b, b.at([Origin(recipe.span, "metric")]):
        loss, ports = forward.output("loss", "loss").node, trained(recipe, forward)
        one = apply("const", value=1.0, dtype=loss.type.dtype)
        found = reverse.gradients([loss], [one], [p.node for p in ports])
        outputs = [
            Port(f"grad/{p.name}", apply("sum", g * g, labels=g.type.labels), (), "metric")
            for p, g in zip(ports, found, strict=True)
            if g is not None
        ]
        outputs += [
            Port(f"dead/{place}", _dead(node, recipe.batch_axis), (), "metric")
            for place, node in relus(forward, recipe.batch_axis).items()
        ]
        return close(f"{recipe.name}.statistics", forward.inputs, outputs, b)


def relus(graph: Graph, batch: str) -> dict[str, Node]:
    """The results of calls of `relu` that have a batch axis, by the path of the call."""
    found: dict[str, Node] = {}
    for node in graph.nodes:  # the last node of a call is its result
        for origin in graph.origins.get(node, NOWHERE):
            frames = origin.frames
            if origin.role == "forward" and frames and frames[-1].of == "relu" and batch in node.type.sizes:
                if node.type.is_float:
                    found[place_of(frames)] = node
                break
    return found


def place_of(frames: tuple[Any, ...]) -> str:
    """`stage1.block2.relu`: the calls and rounds around a place, without the model itself."""
    return ".".join(f"{f.name}{f.round if f.kind == 'repeat' else ''}" for f in frames if f.kind != "model")


def _dead(node: Node, batch: str) -> Node:
    """The share of units that are 0 for every sample."""
    most = apply("max", node, labels=(batch,))
    zero, one = (apply("const", value=v, dtype=most.type.dtype) for v in (0.0, 1.0))
    count = apply("sum", apply("where", apply("le", most, zero), one, zero), labels=most.type.labels)
    units = apply("sum", apply("expand", one, axes=most.type.axes), labels=most.type.labels) if most.type.axes else one
    return count / units
