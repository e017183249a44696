"""Specs written in tests: what they compute by the reference meaning, and which errors they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zhdsl.errors import SpecError
from zhdsl.ir.arrays import Array
from zhdsl.ir.graph import Graph
from zhdsl.lang.check import check, entry
from zhdsl.lang.model import Model, Project
from zhdsl.ops.evaluate import evaluate
from zhdsl.source import Source


def project(text: str) -> Project:
    return check(Source("test.zh", text))


def model(text: str, name: str = "M") -> Model:
    """A model, function or block of the text."""
    return entry(project(text), name)


def run(graph: Graph, given: Mapping[str, Any]) -> dict[str, Array]:
    """The graph's outputs in their outside order, float64. Weights and counters not given are ones."""
    values, sizes = {}, dict[str, int]()
    for port in graph.inputs:
        if port.name in given:
            array = np.asarray(given[port.name])
            for label, length in zip(port.order, array.shape, strict=True):
                size = port.node.type.sizes[label]
                if size.number is None and str(size) not in sizes:
                    sizes[str(size)] = length
    for port in graph.inputs:
        shape = port.node.type.shape(sizes, port.order)
        array = np.asarray(given.get(port.name, np.ones(shape)))
        if port.node.type.dtype == "i32":
            array = array.astype(np.int32)
        values[port.node] = array.transpose([port.order.index(n) for n in port.node.type.labels])
    found = evaluate([p.node for p in graph.outputs], values, sizes)
    return {
        p.name: a.transpose([p.node.type.labels.index(n) for n in p.order])
        for p, a in zip(graph.outputs, found, strict=True)
    }


def value(text: str, name: str = "M", mode: str = "infer", **given: Any) -> Array:
    """The first result of a model on these arrays."""
    graph = getattr(model(text, name), mode)
    return next(iter(run(graph, given).values()))


def order(text: str, name: str = "M") -> tuple[str, ...]:
    """The axes of the first result, as the outside sees them."""
    return model(text, name).outputs[0].order


def codes(text: str) -> list[str]:
    """The codes of all errors of a text, in order of place; empty if there are none."""
    try:
        project(text)
    except SpecError as error:
        return [d.code for d in error.diagnostics]
    return []
