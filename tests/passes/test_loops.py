"""Products leave a loop before it or behind it; values stay, and a second run changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lang.in_text import model, run
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import apply
from zhdsl.ir.text import print_graph
from zhdsl.ir.verify import verify
from zhdsl.ops.loop import Scan
from zhdsl.passes.hoist_products import hoist_products
from zhdsl.passes.simplify_algebra import simplify_algebra
from zhdsl.passes.sink_sums import sink_sums


def with_gradients(block: str) -> Graph:
    """Loss and all gradients of a recurrent block."""
    graph = model(f"model M(x: [B, T, D=2]) -> [] {{ return sum((x -> {block}[3]) ^ 2) }}").train
    with graph.building() as b:
        loss = graph.outputs[0].node
        ports = graph.of_role("data", "param")
        found = gradients([loss], [apply("const", value=1.0, dtype="float")], [p.node for p in ports])
        grads = [Port(f"d_{p.name}", g, p.order, "grad") for p, g in zip(ports, found, strict=True) if g is not None]
        return simplify_algebra(graph.closed(b, [Port("loss", loss, (), "loss"), *grads]))


def products(graph: Graph) -> list[int]:
    """How many products each loop of a graph has in its body."""
    loops = [n.op.body for n in graph.nodes if isinstance(n.op, Scan)]
    return [sum(n.op.name == "contract" for n in body.nodes) for body in loops]


@pytest.mark.parametrize(
    ("block", "before", "after"), [("RNN", [2, 7], [1, 1]), ("LSTM", [2, 6], [1, 1]), ("GRU", [3, 9], [2, 2])]
)
def test_only_recurrent_products_stay_in_the_loops(block: str, before: list[int], after: list[int]) -> None:
    graph = with_gradients(block)
    assert products(graph) == before
    moved = sink_sums(hoist_products(graph))
    verify(moved)
    assert products(moved) == after
    assert print_graph(sink_sums(hoist_products(moved))) == print_graph(moved)
    rng = np.random.default_rng(0)
    sizes = {"B": 2, "T": 5}
    given = {p.name: rng.normal(size=p.node.type.shape(sizes, p.order)) for p in graph.of_role("data", "param")}
    old, new = run(graph, given), run(moved, given)
    for name, array in old.items():
        assert np.allclose(array, new[name], rtol=1e-12, atol=1e-14), name


def test_a_sum_of_something_else_stays() -> None:
    text = "fn M(x: [B, T]) {\n return scan t over T from s = zeros[B] {\n s = s + tanh(x[t])\n emit last s\n }\n}"
    graph = model(text).infer
    assert print_graph(sink_sums(graph)) == print_graph(graph)


def test_a_sum_that_the_step_looks_at_stays() -> None:
    text = "fn M(x: [B, T], w: [B, D]) {\n return scan t over T from s = zeros[D] {\n"
    text += " s = s + sum[B]((x[t] + sum(s)) * w)\n emit last s\n }\n}"
    graph = model(text).infer
    assert print_graph(sink_sums(graph)) == print_graph(graph)
