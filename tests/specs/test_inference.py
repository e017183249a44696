"""Inference of every spec draws nothing, keeps nothing and looks at one sample at a time: read off the graphs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.specs.test_specs import FILES, marked, project
from zhdsl.ir.body import bodies
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node
from zhdsl.lang.model import Model
from zhdsl.ops.loop import Scan
from zhdsl.ops.movement import Merge, Relabel, Split

HAVE_BOTH = "convnets/digits_convnet.zh"  # dropout and batch norm
MOVES = (Relabel, Merge, Split)  # the batch under another name, or with other axes


def everywhere(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Nodes of a graph and of the loops in it."""
    for node in nodes:
        yield node
        for body in bodies(node.op):
            yield from everywhere(tuple(body.nodes))


def drawn(graph: Graph) -> list[Node]:
    return [n for n in everywhere(graph.nodes) if n.op.family == "random"]


def kept(graph: Graph) -> list[str]:
    return [p.name for p in graph.outputs if p.role != "result"]


def mixed(graph: Graph, batch: str) -> list[Node]:
    """Nodes that lose an axis of the batch of what depends on the data: a sum, a product, a loop over samples."""
    data = {p.node for p in graph.of_role("data")}
    found = []
    for node in graph.nodes:
        used = [x for x in node.operands if x in data]
        if not used:
            continue
        data.add(node)
        if node.op.name != "project" and not isinstance(node.op, MOVES):
            lost = {label for x in used for label in batched(x, batch)} - set(node.type.sizes)
            steps = isinstance(node.op, Scan) and batch in node.op.size.symbols
            found += [node] if (lost and not isinstance(node.op, Scan)) or steps else []
        found += [n for body in bodies(node.op) for n in within(tuple(body.nodes), batch)]
    return found


def within(nodes: tuple[Node, ...], batch: str) -> list[Node]:
    """The same for the body of a loop, where everything counts as data."""
    found = []
    for node in nodes:
        if node.op.name != "project" and not isinstance(node.op, (*MOVES, Scan)):
            lost = {label for x in node.operands for label in batched(x, batch)} - set(node.type.sizes)
            found += [node] if lost else []
        found += [n for body in bodies(node.op) for n in within(tuple(body.nodes), batch)]
    return found


def batched(node: Node, batch: str) -> list[str]:
    """The axes of a value whose size is the batch's."""
    return [label for label, size in node.type.axes if batch in size.symbols]


def inferring(name: str) -> Iterator[Model]:
    yield from project(name).models.values()


def batch_of(model: Model) -> str:
    """The symbol of the number of samples: the size of the first axis of the first input."""
    port = model.infer.of_role("data")[0]
    (symbol,) = port.node.type.sizes[port.order[0]].symbols
    return symbol


@pytest.mark.parametrize("name", [marked(name) for name in FILES])
def test_inference_has_no_random_op_no_batch_statistic_and_no_new_state(name: str) -> None:
    for model in inferring(name):
        assert not drawn(model.infer)
        assert not mixed(model.infer, batch_of(model))
        streams = {path for path, weight in model.states.items() if weight.stream}
        assert set(kept(model.infer)) <= streams  # where the next batch goes on, and never kept by a call


@pytest.mark.parametrize("name", [marked(name) for name in FILES])
def test_validation_and_prediction_by_a_recipe_draw_nothing_and_keep_nothing(name: str) -> None:
    for recipe in project(name).recipes.values():
        streams = {path for path, weight in recipe.model.states.items() if weight.stream}
        for graph in (recipe.predict, recipe.evaluate):
            assert not drawn(graph)
            assert not {p.name for p in graph.results("state")} - streams
        assert not mixed(recipe.predict, batch_of(recipe.model))


def test_training_has_all_three_so_the_tests_above_can_fail() -> None:
    (model,) = (m for m in inferring(HAVE_BOTH) if m.name == "ConvNet")
    assert drawn(model.train)
    assert mixed(model.train, batch_of(model))
    assert kept(model.train)
