"""Nodes through schedule and the NumPy backend, beside the reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zhdsl.backends.numpy.backend import NumpyExecutable
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, topological
from zhdsl.ops.evaluate import evaluate
from zhdsl.schedule import schedule

ROLES = {"input": "data", "param": "param", "state": "state"}


def graph_of(outputs: Sequence[Node], rng: np.random.Generator | None = None) -> Graph:
    """A graph with ports for all inputs; with a generator, the axes of ports are in random orders."""

    def order(node: Node) -> tuple[str, ...]:
        labels = list(node.type.labels)
        if rng is not None:
            rng.shuffle(labels)
        return tuple(labels)

    sources = [n for n in topological(outputs) if n.op.name in ROLES]
    names = {n: getattr(n.op, "port", None) or getattr(n.op, "path", "") for n in sources}
    inputs = [Port(names[n], n, order(n), ROLES[n.op.name]) for n in sources]
    results = [Port(f"y{i}", n, order(n), "result") for i, n in enumerate(outputs)]
    return close("test", inputs, results, Builder())


@dataclass
class Case:
    """A graph with values: keys are `role/name`, arrays in the ports' orders; `wanted` by the reference evaluator."""

    graph: Graph
    inputs: dict[str, np.ndarray]
    wanted: dict[str, np.ndarray]
    sizes: Mapping[str, int]

    def run(self, dtype: str = "f64", reuse: bool = True, **more: Any) -> dict[str, np.ndarray]:
        """What the backend gives."""
        return NumpyExecutable(schedule(self.graph), dtype, reuse).run(self.inputs, sizes=self.sizes, **more)

    def check(self, dtype: str = "f64", reuse: bool = True) -> None:
        """Compare with the reference."""
        compare(self.run(dtype, reuse), self.wanted, dtype)


def case_of(
    outputs: Sequence[Node] | Graph, values: Mapping[Node, Any], sizes: Mapping[str, int], rng: Any = None
) -> Case:
    """Values are in canonical order, of inputs that are used."""
    graph = outputs if isinstance(outputs, Graph) else graph_of(outputs, rng)
    inputs = {f"{p.role}/{p.name}": ordered(values[p.node], p) for p in graph.inputs}
    found = evaluate(graph, values, sizes)
    wanted = {f"{p.role}/{p.name}": ordered(v, p) for p, v in zip(graph.outputs, found, strict=True)}
    return Case(graph, inputs, wanted, sizes)


def ordered(array: Any, port: Port) -> np.ndarray:
    """From canonical order to the port's."""
    return np.asarray(array).transpose([port.node.type.labels.index(n) for n in port.order])


def compare(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], dtype: str) -> None:
    """Equal keys, shapes and kinds; numbers to 1e-12 in f64, to 2e-5 in f32, relative to the largest."""
    assert found.keys() == wanted.keys()
    tolerance = {"f64": 1e-12, "f32": 3e-5}[dtype]
    for key, want in wanted.items():
        have = found[key]
        assert have.shape == want.shape, key
        assert have.dtype.kind == want.dtype.kind, key
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(have, want, key)
            continue
        finite = want[np.isfinite(want)]
        scale = max(1.0, float(np.abs(finite).max()) if finite.size else 1.0)
        np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance * scale, err_msg=key)
