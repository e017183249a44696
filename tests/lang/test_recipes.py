"""Recipes: what `train` makes of the data, the loss, the metrics and the optimiser."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lang.in_text import codes, project, run
from zhdsl.lang.model import Recipe

HEAD = """
dataset points[n = 4] -> (x: [N, F=2], label: i32[N], weight: [N])
model M(x: [B, D=2]) -> logits: [B, K=3] { return x -> Dense[3] }
"""
BASE = {
    "data": "points[]",
    "loss": "cross_entropy[K](logits, label)",
    "optimizer": "sgd[lr = 0.5]",
    "batch": "2",
    "epochs": "3",
}


def text(**entries: str) -> str:
    """A spec with these entries added to the recipe, or in place of its own (an empty one is left out)."""
    body = "\n".join(f"  {k.replace('__', '.')} = {v}" for k, v in {**BASE, **entries}.items() if v)
    return f"{HEAD}\ntrain M {{\n{body}\n}}\n"


def recipe(**entries: str) -> Recipe:
    return project(text(**entries)).recipes["M"]


X = np.array([[1.0, 2], [3, 5], [-1, 0.5]])


def test_fields_take_the_models_labels() -> None:
    fields = recipe().data.fields
    assert [(p.name, p.order) for p in fields] == [("x", ("B", "D")), ("label", ("B",)), ("weight", ("B",))]
    assert recipe().batch_axis == "B"


def test_the_loss_sees_results_and_fields() -> None:
    found = recipe(loss="mean(weight * sum[K](logits))")
    got = run(found.forward, {"x": X, "label": np.zeros(3), "weight": np.array([1.0, 0, 0])})
    assert got["loss"] == pytest.approx((3 * (1 + 2) + 3 * 1) / 3)  # weights and biases are ones


def test_statistics_without_the_batch_axis_are_fitted_once() -> None:
    found = recipe(prepare__x="(x - mean[B](x)) / sqrt(variance[B](x))")
    assert found.fit is not None
    fitted = run(found.fit, {"x": X, "label": np.zeros(3), "weight": np.zeros(3)})
    assert sorted(fitted) == ["prepare.x.0", "prepare.x.1"]
    assert {tuple(np.round(v, 9)) for v in fitted.values()} == {
        tuple(np.round(X.mean(0), 9)),
        tuple(np.round(X.std(0), 9)),
    }
    assert "prepare.x.0" in {p.name for p in found.predict.of_role("state")}


def test_augmentation_is_keyed_by_sample_and_only_in_training() -> None:
    found = recipe(augment__x="x + uniform[B, D]")
    assert {p.name for p in found.forward.of_role("counter")} == {"seed", "epoch", "sample"}
    assert not any(n.op.name == "uniform" for g in (found.evaluate, found.predict) for n in g.nodes)


def test_an_augmented_sample_does_not_depend_on_its_batch() -> None:
    found = recipe(augment__x="x + uniform[B, D]", loss="sum(x * weight)")
    given = {"x": X, "label": np.zeros(3), "weight": np.array([0.0, 0, 1]), "seed": 7, "epoch": 1}
    three = run(found.forward, given | {"sample": np.array([4, 8, 5])})["loss"]
    one = run(found.forward, given | {"x": X[2:], "label": np.zeros(1), "weight": np.ones(1), "sample": np.array([5])})[
        "loss"
    ]
    assert three == one


def test_every_parameter_has_its_update_and_its_states() -> None:
    found = recipe(optimizer="adam[lr = 0.1]", clip="clip_norm[1.0]", schedule="cosine[total = 10]")
    assert sorted(found.update) == sorted(found.clip) == ["dense.W", "dense.b"]
    assert sorted(found.slots) == [
        "optimizer.dense.W.m",
        "optimizer.dense.W.v",
        "optimizer.dense.b.m",
        "optimizer.dense.b.v",
    ]
    assert found.rate is not None


def test_frozen_parameters_have_none() -> None:
    found = recipe(freeze='"*.b"')
    assert found.frozen == {"dense.b"}
    assert sorted(found.update) == ["dense.W"]


def test_metrics_have_names() -> None:
    found = recipe(metric="(acc = accuracy[K](logits, label), double = 2 * loss)", expect="acc >= 0.5 and loss < 9")
    assert [p.name for p in found.evaluate.results("metric")] == ["acc", "double"]
    assert [(e[0], e[1], e[2]) for e in found.expect] == [("acc", ">=", 0.5), ("loss", "<", 9.0)]
    assert [p.name for p in recipe(metric="accuracy[K](logits, label)").evaluate.results("metric")] == ["accuracy"]


def test_settings() -> None:
    found = recipe(
        batch="all",
        epochs="",
        steps="7",
        seed="3",
        valid="0.25",
        early_stop="(patience = 2, metric = loss)",
        precision="f64",
    )
    assert (found.batch, found.epochs, found.steps, found.seed, found.valid) == ("all", None, 7, 3, 0.25)
    assert found.stop == {"metric": "loss", "patience": 2, "delta": 0.0, "mode": "min"}
    assert found.precision == "float64"
    assert recipe(batch="tokens[25_000]").batch == ("tokens", 25_000)


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ({"losss": "1"}, "Z0701"),
        ({"loss": ""}, "Z0703"),
        ({"loss": "logits"}, "Z0704"),
        ({"metric": "(acc = sum[K](logits))"}, "Z0705"),
        ({"data": "nowhere[]"}, "Z0707"),
        ({"metric": "(weight = loss)"}, "Z0708"),
        ({"batch": "0"}, "Z0709"),
        ({"batch": "-3"}, "Z0709"),
        ({"steps": "5"}, "Z0710"),
        ({"freeze": '"conv.*"'}, "Z0711"),
        ({"prepare__image": "x"}, "Z0712"),
        ({"optimizer": "relu"}, "Z0714"),
        ({"expect": "accuracy > 1"}, "Z0715"),
        ({"early_stop": "(patience = 2, metric = nothing)"}, "Z0709"),
    ],
)
def test_recipes_that_are_wrong(entries: dict[str, str], code: str) -> None:
    assert codes(text(**entries)) == [code]


def test_a_model_input_that_the_data_lack_is_an_error() -> None:
    assert codes(text().replace("x: [B, D=2]", "y: [B, D=2]").replace("return x", "return y")) == ["Z0706"]


def test_a_target_of_another_shape_is_an_error() -> None:
    """(N, 1) against (N) broadcasts silently elsewhere; here the labels must agree."""
    assert codes(text(loss="mse(logits, weight)")) == ["Z0318"]
