"""What every pass promises, on random graphs: the value stays, the graph is sound, a second time nothing happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import pytest

from tests.passes.random_graphs import random_example
from zhdsl import passes
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Node, apply
from zhdsl.ir.read import read_graph
from zhdsl.ir.text import print_graph
from zhdsl.ir.verify import verify
from zhdsl.ops.evaluate import evaluate

SEEDS = range(80)
EACH = tuple(dict.fromkeys((passes.fold_constants, *passes.BEFORE_DERIVATIVE, *passes.PASSES)))
each_pass = pytest.mark.parametrize("transform", EACH, ids=[p.__name__ for p in EACH])
example = cache(random_example)


def close(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> bool:
    return all(np.allclose(x, y, rtol=1e-9, atol=1e-9, equal_nan=True) for x, y in zip(found, wanted, strict=True))


@cache
def value(seed: int) -> list[np.ndarray]:
    made = example(seed)
    return evaluate(made.graph, made.values, made.sizes)


@each_pass
def test_the_value_stays(transform: Callable[[Graph], Graph]) -> None:
    for seed in SEEDS:
        made = example(seed)
        assert close(evaluate(transform(made.graph), made.values, made.sizes), value(seed)), f"seed {seed}"


@each_pass
def test_the_result_is_sound_and_passes_again_unchanged(transform: Callable[[Graph], Graph]) -> None:
    for seed in SEEDS:
        new = transform(example(seed).graph)
        verify(new, f"{transform.__name__} of seed {seed}")
        assert transform(new) is new, f"seed {seed}"


@each_pass
def test_inputs_and_the_shape_of_outputs_stay(transform: Callable[[Graph], Graph]) -> None:
    for seed in SEEDS:
        old = example(seed).graph
        new = transform(old)
        assert new.inputs == old.inputs
        described = [[(p.name, p.role, p.order, p.node.type) for p in g.outputs] for g in (old, new)]
        assert described[0] == described[1]


@each_pass
def test_the_same_text_comes_of_the_same_text(transform: Callable[[Graph], Graph]) -> None:
    """No pass depends on where nodes lie in memory."""
    for seed in SEEDS[:20]:
        text = print_graph(example(seed).graph)
        once, again = (print_graph(transform(read_graph(text))) for _ in range(2))
        assert once == again, f"seed {seed}"


def test_all_passes_together_keep_the_value_and_end() -> None:
    for seed in SEEDS:
        made = example(seed)
        new = passes.run_passes(made.graph, verify=True)
        assert close(evaluate(new, made.values, made.sizes), value(seed)), f"seed {seed}"
        assert passes.run_passes(new) is new, f"seed {seed}"


def test_passes_before_differentiation_keep_the_derivative() -> None:
    for seed in SEEDS:
        made = example(seed)
        early = differentiated(passes.run_passes(made.graph, passes.BEFORE_DERIVATIVE))
        late = passes.run_passes(differentiated(made.graph))
        plain = evaluate(differentiated(made.graph), made.values, made.sizes)
        run = partial(evaluate, values=made.values, sizes=made.sizes)
        assert close(run(early), plain) and close(run(late), plain), f"seed {seed}"


def differentiated(graph: Graph) -> Graph:
    """The gradients of the sum of all results with respect to all float inputs, zeros where there is none."""
    with graph.building() as b:
        values = [p.node for p in graph.outputs if p.node.type.is_float]
        leaves = [p.node for p in graph.inputs if p.node.type.is_float]
        found = gradients(values, [apply("const", value=1.0, dtype="float") for _ in values], leaves)
        grads = [g if g is not None else like(leaf) for g, leaf in zip(found, leaves, strict=True)]
        return graph.closed(b, [Port(f"d{i}", g, g.type.labels, "grad") for i, g in enumerate(grads)])


def like(leaf: Node) -> Node:
    zero = apply("const", value=0.0, dtype="float")
    return apply("expand", zero, axes=leaf.type.axes) if leaf.type.axes else zero


def test_random_graphs_hold_ops_of_all_families() -> None:
    made = [example(seed) for seed in SEEDS]
    families = {n.op.family for e in made for n in e.graph.nodes}
    assert families >= {"source", "elementwise", "reduce", "contract", "movement", "index", "random", "loop"}
    assert sum(len(e.graph.nodes) for e in made) > 12 * len(made)
