"""Loops over an axis of which a step has another: outside of the loop the two would be one."""

from __future__ import annotations

import numpy as np

from zhdsl.autodiff.check import check_gradients
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import apply
from zhdsl.lang.check import check
from zhdsl.ops.evaluate import evaluate
from zhdsl.passes import run_passes
from zhdsl.source import Source

SIZES = {"B": 2, "T": 3, "D": 4}
ATTENTION = """model Looks(x: [B, T, D], m: [B, T, D], W: [D]) -> y: [B, T, D] {
  return scan t over T {
    a = softmax[T](sum[D](x[t] * m * W))
    emit sum[T](a * m) + x[t] * W
  }
}
"""


def same(graph: Graph) -> None:
    """The passes keep every value."""
    short = run_passes(graph, verify=True)
    rng = np.random.default_rng(0)
    values = {p.node: rng.normal(size=p.node.type.shape(SIZES)) for p in graph.inputs}
    for before, after in zip(evaluate(graph, values, SIZES), evaluate(short, values, SIZES), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)


def test_a_product_with_an_axis_of_the_loops_name_stays_in_the_loop() -> None:
    same(check(Source("looks.zh", ATTENTION)).models["Looks"].infer)


def test_its_gradient_is_right() -> None:
    graph = check(Source("looks.zh", ATTENTION)).models["Looks"].infer
    rng = np.random.default_rng(1)
    values = {p.node: rng.normal(size=p.node.type.shape(SIZES)) for p in graph.inputs}
    check_gradients([graph.outputs[0].node], [p.node for p in graph.inputs], values, SIZES, order=2, tol=1e-7)


def test_its_gradients_stay_too() -> None:
    graph = check(Source("looks.zh", ATTENTION)).models["Looks"].infer
    with graph.building() as b:
        y = graph.outputs[0].node
        seed = apply("input", port="dy", type=y.type)
        found = gradients([y], [seed], [p.node for p in graph.inputs])
        ports = [Port(p.name, g, p.order, "grad") for p, g in zip(graph.inputs, found, strict=True) if g is not None]
        assert len(ports) == len(graph.inputs)
        given = Port("dy", seed, graph.outputs[0].order, "data")
        joint = graph.closed(b, ports)
    same(Graph("grad", (*joint.inputs, given), joint.outputs))
