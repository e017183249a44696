"""Graphs printed, read back and run again: what tests of the printer compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zhdsl.ir.graph import Graph, Port
from zhdsl.lang import ast, decompile
from zhdsl.lang.check import check, entry
from zhdsl.lang.format import format
from zhdsl.lang.parser import parse
from zhdsl.ops.evaluate import evaluate
from zhdsl.source import Source

Given = Mapping[str, Any]  # arrays by name of the port, axes in its order


def read_back(graph: Graph, name: str = "f") -> Graph:
    """The graph that the checker makes of the printed text; the text is already formatted."""
    text = decompile.text(graph, name)
    module = parse(Source("printed.zh", text))
    assert format(module) == text
    (definition,) = module.items
    assert isinstance(definition, ast.Definition)
    return entry(check(module), definition.name).infer


def arguments(graph: Graph) -> list[Port]:
    """The inputs that are printed as arguments, in order."""
    return [p for p in graph.inputs if p.role in ("data", "param") or p.node in graph.nodes]


def drawn(graph: Graph, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Any]:
    """Values for all inputs: floats away from 0, small whole numbers, truth values; states are positive."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for p in graph.inputs:
        shape = p.node.type.shape(sizes, p.order)
        if p.node.type.dtype == "bool":
            found[p.name] = rng.integers(0, 2, shape).astype(bool)
        elif p.node.type.dtype == "i32":
            found[p.name] = rng.integers(0, 3, shape).astype(np.int32)
        else:
            sign = 1 if p.role == "state" else rng.choice([-1, 1], shape)
            found[p.name] = rng.uniform(0.2, 1.2, shape) * sign
    return found


def run(graph: Graph, given: Given, sizes: Mapping[str, int]) -> list[Any]:
    """The outputs in float64, axes in the order of the ports."""
    values = {p.node: _sorted(p, given[p.name]) for p in graph.inputs if p.name in given}
    found = evaluate(graph, values, sizes)
    return [
        np.transpose(a, [p.node.type.labels.index(n) for n in p.order])
        for p, a in zip(graph.outputs, found, strict=True)
    ]


def run_again(graph: Graph, given: Given, sizes: Mapping[str, int], name: str = "f") -> list[Any]:
    """The same from the printed text."""
    again = read_back(graph, name)
    pairs = zip(again.inputs, arguments(graph), strict=True)
    return run(again, {new.name: given[old.name] for new, old in pairs}, sizes)


def _sorted(port: Port, array: Any) -> Any:
    return np.transpose(np.asarray(array), [port.order.index(label) for label in port.node.type.labels])


def require_same(graph: Graph, given: Given, sizes: Mapping[str, int], tolerance: float = 0.0) -> None:
    """The printed program gives the same dtypes and shapes, and numbers: to the bit unless a tolerance is given."""
    for old, new in zip(run(graph, given, sizes), run_again(graph, given, sizes), strict=True):
        assert new.dtype == old.dtype
        assert new.shape == old.shape
        if tolerance:
            np.testing.assert_allclose(new, old, rtol=tolerance, atol=tolerance)
        else:
            assert np.array_equal(new, old, equal_nan=old.dtype.kind == "f")
