"""A metric over a pass is the same whether the pass comes in one piece or in batches; what cannot be cut is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.runtime import recipes
from tests.runtime.recipes import SCALAR, X, number, port
from zhdsl.errors import SpecError
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, Origin, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.runtime.pipeline import compile_graph
from zhdsl.runtime.whole_pass import bound, split_pass

B = Size.of("B")


def graph_of(make: Callable[[Node, Node], Node]) -> Graph:
    """The graph of one metric of x [B, F] and a scalar parameter w."""
    with Builder() as b, b.at([Origin(recipes.HERE)]):
        x, w = port("x", X, ("B", "F")), port("w", SCALAR, (), "param")
        result = make(x.node, w.node)
        return close("m", (x, w), (Port("m", result, result.type.labels, "metric"),), b)


def size(value: Size) -> Node:
    return apply("const", value=value, dtype="float")


def by_batches(graph: Graph, x: Any, cuts: list[int]) -> Any:
    """The metric from batches of the rows of x."""
    split = split_pass(graph, "B")
    batch = compile_graph(split.per_batch, "reference", "float64")
    totals: dict[str, Any] = {}
    for part in np.split(x, cuts):
        for (_, name), value in batch.run({("data", "x"): part, ("param", "w"): np.asarray(2.0)}).items():
            join = {"sum": np.add, "max": np.maximum}[split.combine[name]]
            totals[name] = join(totals[name], value) if name in totals else value
    finish = compile_graph(bound(split.finish, {split.symbol: len(x)}), "reference", "float64")
    given = {("data", name): value for name, value in totals.items()} | {("param", "w"): np.asarray(2.0)}
    return finish.run({(p.role, p.name): given[p.role, p.name] for p in split.finish.inputs})["metric", "m"]


def mean(x: Node, w: Node) -> Node:
    return apply("sum", x, labels=("B", "F")) / size(3 * B)


def masked_mean(x: Node, w: Node) -> Node:
    keep = apply("cast", apply("lt", number(0.0), x), dtype="float")
    return apply("sum", x * keep, labels=("B", "F")) / apply("sum", keep, labels=("B", "F"))


def largest(x: Node, w: Node) -> Node:
    return apply("max", x, labels=("B",)) * w


def root_of_gram(x: Node, w: Node) -> Node:
    return apply("sqrt", apply("sum", apply("contract", x, x, labels=("B",)), labels=("F",)) * w + 1.0)


def merged(x: Node, w: Node) -> Node:
    flat = apply("merge", apply("relabel", x, names=(("B", "N"),)), labels=("N", "F"), label="M")
    return apply("sum", flat * w, labels=("M",)) / size(B)


def regularised(x: Node, w: Node) -> Node:
    return mean(x, w) + w * w


def softmax_inside(x: Node, w: Node) -> Node:
    e = apply("exp", x - apply("max", x, labels=("F",)))
    return apply("sum", e / apply("sum", e, labels=("F",)), labels=("B",)) / size(B)


@pytest.mark.parametrize("make", [mean, masked_mean, largest, root_of_gram, merged, regularised, softmax_inside])
def test_a_pass_in_batches_gives_what_a_pass_in_one_piece_gives(make: Callable[[Node, Node], Node]) -> None:
    graph = graph_of(make)
    x = np.random.default_rng(0).normal(size=(11, 3))
    whole = compile_graph(graph, "reference", "float64").run({("data", "x"): x, ("param", "w"): np.asarray(2.0)})
    for cuts in ([], [4, 8], [1], list(range(1, 11))):
        np.testing.assert_allclose(by_batches(graph, x, cuts), whole["metric", "m"], rtol=1e-13)


def test_what_follows_the_cut_is_not_in_the_batch() -> None:
    split = split_pass(graph_of(masked_mean), "B")
    assert "div" not in [n.op.name for n in split.per_batch.nodes]
    assert [n.op.name for n in split.finish.nodes] == ["input", "input", "div"]


def test_the_same_reduction_is_cut_once() -> None:
    split = split_pass(recipes.evaluation(), "B")
    assert sorted(split.combine.values()) == ["max", "sum", "sum"]
    assert [p.name for p in split.finish.outputs] == ["loss", "near", "worst"]
    assert [p.role for p in split.finish.inputs] == ["data"] * 3


def test_states_stay_with_the_batches() -> None:
    graph = recipes.forward(False)
    split = split_pass(
        Graph("f", graph.inputs, tuple(p for p in graph.outputs), graph.origins, graph.names),
        "B",
    )
    assert [p.name for p in split.per_batch.outputs] == ["partial0", recipes.MEAN]
    assert [p.name for p in split.finish.outputs] == ["loss"]


def variance(x: Node, w: Node) -> Node:
    centre = apply("sum", x, labels=("B",)) / size(B)
    return apply("sum", (x - centre) * (x - centre), labels=("B",))


def left_over(x: Node, w: Node) -> Node:
    return x * w


def first_sample(x: Node, w: Node) -> Node:
    return apply("drop", apply("slice", x, label="B", start=Size.of(0), size=Size.of(1)), label="B")


def all_with_all(x: Node, w: Node) -> Node:
    other = apply("relabel", x, names=(("B", "B2"),))
    return apply("sum", x * other, labels=("B", "B2"))


def best_of_all(x: Node, w: Node) -> Node:
    return apply("argmax", x, labels=("B",))


def flipped(x: Node, w: Node) -> Node:
    return apply("sum", x * apply("flip", x, label="B"), labels=("B",))


def numbered(x: Node, w: Node) -> Node:
    row = apply("cast", apply("iota", label="B", size=B), dtype="float")
    return apply("sum", x * row, labels=("B",))


def divided_within(x: Node, w: Node) -> Node:
    return apply("sum", x / size(B), labels=("B",))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (variance, "may reduce over the batch once"),
        (left_over, "m still has the axis of the batch"),
        (first_sample, "may not use slice over the batch"),
        (all_with_all, "may not compare all samples"),
        (best_of_all, "may not use argmax over the batch"),
        (flipped, "may not use flip along the batch"),
        (numbered, "may not use iota along the batch"),
        (divided_within, "the number of samples is not known yet"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_batches_cannot_give_is_refused_with_its_place(make: Callable[[Node, Node], Node], says: str) -> None:
    with pytest.raises(SpecError) as caught:
        split_pass(graph_of(make), "B")
    (diagnostic,) = caught.value.diagnostics
    assert says in diagnostic.message
    assert diagnostic.span == recipes.HERE
    assert diagnostic.help


def test_a_loss_that_mixes_samples_is_left_to_the_batches_and_metrics_are_not() -> None:
    with Builder() as b:
        x = port("x", X, ("B", "F"))
        loss, exact = variance(x.node, x.node), mean(x.node, x.node)
        loss = apply("sum", loss, labels=("F",))
        graph = close("m", (x,), (Port("loss", loss, (), "loss"), Port("m", exact, (), "metric")), b)
    split = split_pass(graph, "B")
    assert split.averaged == ("loss",)
    assert [(p.role, p.name) for p in split.per_batch.outputs] == [("metric", "partial0"), ("loss", "loss")]
    assert [p.name for p in split.finish.outputs] == ["m"]
    assert split_pass(recipes.evaluation(), "B").averaged == ()


def test_binding_puts_numbers_into_types_and_constants() -> None:
    graph = bound(graph_of(mean), {"B": 4})
    assert graph.symbols == frozenset()
    assert graph.inputs[0].node.type == Type("float", (("B", Size.of(4)), ("F", Size.of(3))))
    out = compile_graph(graph, "reference", "float64").run(
        {("data", "x"): np.ones((4, 3)), ("param", "w"): np.asarray(1.0)}
    )
    assert float(out["metric", "m"]) == 1.0
