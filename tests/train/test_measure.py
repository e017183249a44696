"""Metrics of a pass do not depend on the batches, change nothing, and are the numbers that one would write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.runtime import recipes
from tests.train.runs import model
from zhdsl.data import Arrays
from zhdsl.ir.graph import Port, close
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang.model import DatasetUse, Model, Recipe
from zhdsl.runtime.spec import Spec
from zhdsl.train.measure import Measure
from zhdsl.train.trainable import Trainable

RANDOM = np.random.default_rng(2)
DATA = Arrays(
    {"x": RANDOM.normal(size=(20, 3)).astype(np.float32), "y": RANDOM.normal(size=(20, 2)).astype(np.float32)}, ""
)


@pytest.mark.parametrize("size", [1, 3, 7, 20, 100, "all"])
def test_the_batch_does_not_change_the_result(size: Any) -> None:
    whole, found = Measure(model()).over(DATA, "all"), Measure(model()).over(DATA, size)
    assert found.keys() == whole.keys() == {"loss", "near", "worst"}
    for name, value in whole.items():
        assert found[name] == pytest.approx(value, rel=1e-6)


def test_a_fraction_of_samples_is_the_number_one_would_write() -> None:
    m = model()
    targets = m(DATA.fields["x"]).copy()
    targets[3] += 10
    part = replace(DATA, fields={"x": DATA.fields["x"], "y": targets})
    assert Measure(m).over(part, 8)["near"] == 0.95


def test_nothing_is_changed_by_measuring() -> None:
    m = model()
    before = {key: array.copy() for key, array in m.arrays.items()}
    m.step_count = 7
    Measure(m).over(DATA, 8)
    assert m.step_count == 7
    assert before.keys() == m.arrays.keys()
    assert all(np.array_equal(m.arrays[key], array) for key, array in before.items())


B = Type("float", (("B", Size.of("B")),))


def counting() -> Trainable:
    """A stream state s counts the batches, s' = s + 1; the metric is the sum of s over the pass, per class too."""
    weight = replace(recipes.STATES[recipes.MEAN], path="s", type=B, order=("B",), stream=True)
    with Builder() as b:
        x, s = recipes.port("x", B, ("B",)), recipes.port("s", B, ("B",), "state")
        total = apply("sum", s.node, labels=("B",))
        classes = apply("cast", apply("iota", label="C", size=Size.of(3)), dtype="float")
        each = apply("sum", x.node * classes, labels=("B",))
        outputs = (
            Port("loss", apply("sum", x.node, labels=("B",)), (), "loss"),
            Port("seen", total, (), "metric"),
            Port("each", each, ("C",), "metric"),
            Port("s", s.node + 1.0, ("B",), "state"),
        )
        graph = close("count", (x, s), outputs, b)
        use = DatasetUse("none", {}, (x,), recipes.HERE)
    made = Model("count", "model", graph, graph, {}, {"s": weight}, (), recipes.HERE)
    recipe: Recipe = recipes.recipe(
        model=made, data=use, forward=graph, evaluate=graph, predict=graph, update={}, slots={}
    )
    return Trainable(Spec(made, recipe, {"a": ""}, "a"), "reference")


def test_a_stream_begins_anew_with_a_pass_and_leaves_the_sessions_alone() -> None:
    m = counting()
    m.arrays["state", "s"] = np.full(4, 50, np.float32)
    found = Measure(m).over(Arrays({"x": np.ones(14, np.float32)}, ""), 4)  # 2 samples do not fill a batch
    assert found["seen"] == 0 * 4 + 1 * 4 + 2 * 4
    assert found["loss"] == 12
    assert m.arrays["state", "s"].tolist() == [50] * 4


def test_a_metric_with_axes_is_a_list() -> None:
    assert Measure(counting()).over(Arrays({"x": np.ones(8, np.float32)}, ""), 4)["each"] == [0, 8, 16]
