"""Where a model looks: the weights of every softmax over positions whose result then weighs a sum.

They are nodes of the graph, found by the calls they were made in; those inside of a loop are stacked along its axis by
a loop that also gives them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import NOWHERE, Node, make
from zhdsl.ir.types import Type
from zhdsl.ops.evaluate import evaluate
from zhdsl.ops.loop import project
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.session import Session
from zhdsl.runtime.statistics import place_of

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Weights:
    """Attention weights: where they are computed, over which axis they sum to 1, axes sorted by label."""

    title: str
    type: Type
    axis: str
    values: Array


def attention_weights(session: Session, fields: Mapping[str, Array]) -> list[Weights]:
    """The weights for some samples, by the model in use on prepared inputs.

    Args:
        session: a model with a recipe, and its weights.
        fields: raw arrays by field.
    """
    graph = session.recipe.predict
    with graph.building():
        asked = list(_weights(graph))
        if not asked:
            return []
        values, sizes = _inputs(session, graph, fields)
        arrays = evaluate([node for _, node, _ in asked], values, sizes, session.dtype)
    return [Weights(t, n.type, axis, a) for (t, n, axis), a in zip(asked, arrays, strict=True)]


def _weights(graph: Graph) -> Iterator[tuple[str, Node, str]]:
    """Title, node and the axis that is weighed; what is inside of a loop is stacked along its axis."""
    for node in graph.nodes:
        if node.op.name == "scan":
            op: Any = node.op
            for inner, axis in _softmaxes(op.body.nodes, graph):
                body = op.body.with_outputs((*op.body.outputs, inner))
                loop = make(replace(op, body=body), *node.operands)
                yield _title(graph, inner), project(loop, len(op.body.emits)), axis
    for node, axis in _softmaxes(graph.nodes, graph):
        yield _title(graph, node), node, axis


def _softmaxes(nodes: Sequence[Node], graph: Graph) -> Iterator[tuple[Node, str]]:
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for operand in node.operands:
            users.setdefault(operand, []).append(node)
    for node in nodes:
        inside = [o.frames for o in graph.origins.get(node, NOWHERE) if o.frames and o.frames[-1].of == "softmax"]
        for user in users.get(node, ()) if inside else ():
            op: Any = user.op
            if op.family == "contract" and len(op.labels) == 1:
                yield node, op.labels[0]
                break


def _title(graph: Graph, node: Node) -> str:
    frames = [o.frames for o in graph.origins.get(node, NOWHERE) if o.frames]
    return place_of(min(frames)[:-1]) if frames else "attention"


def _inputs(session: Session, graph: Graph, fields: Mapping[str, Array]) -> tuple[dict[Node, Array], dict[str, int]]:
    """Values of all inputs for these fields, axes sorted by label, and the sizes."""
    ports = graph.of_role("data")
    given = [fields[p.name] for p in ports]
    sizes = sizes_of(ports, [a.shape for a in given])
    values = {p.node: _sorted(p, a) for p, a in zip(ports, given, strict=True)}
    held = session.fresh(graph, sizes) | session.counters(graph, sizes)
    for port in graph.inputs:
        if port.role != "data":
            values[port.node] = _sorted(port, held[port.role, port.name])
    return values, sizes


def _sorted(port: Port, array: Array) -> Array:
    return np.transpose(array, [port.order.index(label) for label in port.node.type.labels])
