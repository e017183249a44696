"""Where a value that is not finite comes from: the first node whose operands are finite and which is not itself.

In: a graph and the inputs of the step in question. Out: a sentence with the place in the `.zh` text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, topological
from zhdsl.ops.evaluate import evaluate
from zhdsl.ops.loop import TUPLE
from zhdsl.runtime.arguments import sizes_of

Array: TypeAlias = npt.NDArray[Any]
WRITTEN = ("const", "where")  # how masks are made
SOURCES = {"data": "the data", "param": "parameter", "state": "state", "counter": "counter"}


def first_non_finite(graph: Graph, inputs: Mapping[tuple[str, str], Array], dtype: str, output: Node) -> str:
    """Says which value is the first that is not finite, and where in the text it is made.

    Computes what the output needs once more, node by node, so it is slow and takes the memory of all values. A NaN is
    looked for before an infinity, and infinities that are written down (masks) are passed over.

    Args:
        graph: whose places in the text are told.
        inputs: by (role, name), those of the step in question.
        dtype: what the program's `float` is.
        output: the value that was found to be not finite.

    Returns:
        One line; empty if everything is finite this time.
    """
    ports = [p for p in graph.inputs if (p.role, p.name) in inputs]
    arrays = [np.asarray(inputs[p.role, p.name]) for p in ports]
    for port, array in zip(ports, arrays, strict=True):
        if _bad(array, np.isfinite):
            return f"{SOURCES[port.role]} {port.name} holds {_count(array)}"
    sizes = sizes_of(ports, [a.shape for a in arrays])
    values = {
        p.node: np.transpose(a, [p.order.index(label) for label in p.node.type.labels])
        for p, a in zip(ports, arrays, strict=True)
    }
    nodes = [n for n in topological([output]) if n.type.dtype != TUPLE]
    found = dict(zip(nodes, evaluate(nodes, values, sizes, dtype), strict=True))
    for test in (_is_number, np.isfinite):
        bad = {n for n in nodes if n.op.name not in WRITTEN and _bad(found[n], test)}
        for node in nodes:
            if node in bad and bad.isdisjoint(node.operands):
                return _told(graph, node, found)
    return ""


def _is_number(array: Array) -> Array:
    return ~np.isnan(array)


def _bad(array: Array, test: Any) -> bool:
    return array.dtype.kind == "f" and not bool(test(array).all())


def _count(array: Array) -> str:
    bad = int((~np.isfinite(array)).sum())
    return f"{bad} of {array.size} values that are not finite"


def _told(graph: Graph, node: Node, found: Mapping[Node, Array]) -> str:
    places = sorted(((o.span, o.role) for o in graph.origins.get(node, ())), key=lambda p: p[0].key)
    name = f" ({graph.names[node]})" if node in graph.names else ""
    where = f", from {places[0][0]} ({places[0][1]}): {places[0][0].text.strip()[:60]!r}" if places else ""
    given = [f"{np.min(found[x]):g} … {np.max(found[x]):g}" for x in node.operands if x in found and found[x].size]
    operands = f"; its operands are in {', '.join(given)}" if given else ""
    return f"{node.op.name}{name} gives {_count(found[node])}{where}{operands}"
