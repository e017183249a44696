"""The device `reference`: a graph run node by node by the oracle. Slow and plain; the others are compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.ir.graph import Graph
from zhdsl.ops.evaluate import evaluate
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.state import arranged

Array: TypeAlias = npt.NDArray[Any]


class Reference:
    """An executable that evaluates the graph as it is, without passes and without a schedule."""

    def __init__(self, graph: Graph, dtype: str):
        self.graph, self.dtype = graph, dtype
        self.held: dict[tuple[str, str], Array] = {}

    def hold(self, arrays: Mapping[tuple[str, str], Array]) -> None:
        """Parameters and states that are read, and updated, where they are."""
        self.held = dict(arrays)

    def run(self, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
        """Outputs by (role, name), from inputs by (role, name); axes in the order of the ports."""
        outputs = self._outputs({**self.held, **inputs})
        for key in self.held.keys() & outputs.keys():
            self.held[key][...] = outputs.pop(key)
        return outputs

    def peak(self, sizes: Mapping[str, int]) -> int:
        """Unknown: every value of the graph is kept."""
        return 0

    def _outputs(self, inputs: Mapping[tuple[str, str], Array]) -> dict[tuple[str, str], Array]:
        ports = [p for p in self.graph.inputs if (p.role, p.name) in inputs]
        arrays = [np.asarray(inputs[p.role, p.name]) for p in ports]
        sizes = sizes_of(ports, [a.shape for a in arrays])
        values = {
            p.node: np.transpose(a, [p.order.index(label) for label in p.node.type.labels])
            for p, a in zip(ports, arrays, strict=True)
        }
        found = evaluate(self.graph, values, sizes, self.dtype)
        return {
            (p.role, p.name): arranged(a, p.node.type.labels, p.order)
            for p, a in zip(self.graph.outputs, found, strict=True)
        }
