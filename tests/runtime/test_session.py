"""A model in Python does what its graphs say, and answers wrong use with what would be right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime import recipes
from zhdsl.errors import BackendError, TrainingError
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang.model import Guard, Model
from zhdsl.runtime import checkpoint
from zhdsl.runtime.session import Session
from zhdsl.runtime.spec import Spec

RANDOM = np.random.default_rng(5)
X, Y = RANDOM.normal(size=(6, 3)), RANDOM.normal(size=(6, 2))


def session(**changed: Any) -> Session:
    dtype = changed.pop("dtype", "float64")
    recipe = recipes.recipe(**changed)
    return Session(Spec(recipe.model, recipe, {"line.zh": recipes.TEXT}, "line.zh"), "reference", dtype)


def bare(model: Model) -> Session:
    return Session(Spec(model, None, {"line.zh": recipes.TEXT}, "line.zh"), "reference", "float64")


def predicted(m: Session, x: Any) -> Any:
    h = np.tanh(x @ m.params["first.W"] + m.params["first.b"]) - m.states[recipes.MEAN]
    return h @ m.params["second.W"]


def test_it_says_what_it_takes_and_gives() -> None:
    m = session()
    assert m.inputs == {"x": "[B, F=3]"}
    assert m.outputs == {"p": "[B, K=2]"}
    assert m.param_count == 24
    assert repr(m) == "<Line(x: [B, F=3]) -> p: [B, K=2]; 24 parameters>"
    assert list(m.params) == list(recipes.PARAMS)
    assert list(m.states) == [recipes.MEAN]
    assert repr(m.params).splitlines()[0] == "first.W: [F=3, H=4]"


def test_inference_by_name_by_order_and_from_lists() -> None:
    m = session()
    np.testing.assert_allclose(m(x=X), predicted(m, X), rtol=1e-12)
    np.testing.assert_array_equal(m(X), m(x=X.tolist()))
    assert m(X).dtype == np.float64
    assert session(dtype="float32")(X).dtype == np.float32


def test_another_batch_size_needs_nothing() -> None:
    m = session()
    np.testing.assert_array_equal(m(X[:2]), m(X)[:2])


def test_train_mode_keeps_new_states_and_inference_does_not() -> None:
    m = session()
    m.states[recipes.MEAN] = [1, 2, 3, 4]
    m(X)
    assert m.states[recipes.MEAN].tolist() == [1, 2, 3, 4]
    m(X, train=True)
    assert m.states[recipes.MEAN].tolist() == [0.5, 1, 1.5, 2]


def test_value_and_grad_change_nothing() -> None:
    m = session()
    before = {key: array.copy() for key, array in m.arrays.items()}
    value, grads = m.value_and_grad(x=X, y=Y)
    assert value == pytest.approx(((predicted(m, X) - Y) ** 2).mean())
    m.params["second.W"] = m.params["second.W"] + 1e-4 * np.eye(4, 2)
    after, _ = m.value_and_grad(X, Y)
    assert (after - value) / 1e-4 == pytest.approx(np.trace(grads["second.W"][:2]), rel=0.05)
    m.params["second.W"] = before["param", "second.W"]
    assert all(np.array_equal(m.arrays[key], array) for key, array in before.items())
    assert m.step_count == 0


def test_steps_make_the_loss_smaller() -> None:
    m = session()
    losses = [m.step(x=X, y=Y) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    assert m.step_count == 60
    assert losses[0] == session().step(x=X, y=Y)


def test_the_same_seed_gives_the_same_run_and_another_one_does_not() -> None:
    def run(seed: int | None) -> float:
        recipe = recipes.recipe(noise=True)
        m = Session(Spec(recipe.model, recipe, {"a": ""}, "a"), "reference", "float64", seed)
        return [m.step(X, Y) for _ in range(4)][-1]

    assert run(3) == run(3)
    assert run(3) != run(4)
    assert run(None) == run(7)


def test_parameters_are_assigned_with_a_check() -> None:
    m = session()
    given = np.ones((3, 4))
    m.params["first.W"] = given
    given[0, 0] = 5
    assert m.params["first.W"][0, 0] == 1
    for value, says in (
        (np.ones((4, 3)), r"first\.W: \[F=3, H=4\]: shape \[4, 3\]: axis F has size 4, not 3"),
        (np.ones(3), "has 1 axes, not 2"),
        ([["a"] * 4] * 3, "holds no numbers"),
    ):
        with pytest.raises(TrainingError, match=says):
            m.params["first.W"] = value
    assert m.params["first.W"].sum() == 12


def test_an_unknown_path_is_answered_with_the_nearest_one() -> None:
    m = session()
    with pytest.raises(
        TrainingError, match=r"parameter first\.w: there is none of this name\nhelp: did you mean first\.W"
    ):
        m.params["first.w"]
    with pytest.raises(KeyError, match="did you mean"):
        m.params["first.w"] = 0
    with pytest.raises(TrainingError, match="cannot be deleted"):
        del m.params["first.W"]
    assert "first.w" not in m.params
    assert m.params.get("first.w") is None
    with pytest.raises(TrainingError, match=r"stage step_\b.*\nhelp: did you mean step\?"):
        m.graph("step_")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m(), r"input x is missing\nhelp: it takes x: \[B, F=3\]"),
        (lambda m: m(X, X), "2 arrays are given for 1 inputs"),
        (lambda m: m(X=X), "did you mean x"),
        (lambda m: m(X.T), "axis F has size 6, not 3"),
        (lambda m: m.step(X, Y[:5]), "axis B has size 5, not B = 6"),
        (lambda m: m.step(X, Y * np.nan), r"y: \[B, K=2\]: the value at \[0, 0\] is nan"),
        (lambda m: m.value_and_grad(X), "input y is missing"),
        (lambda m: m.save("weights.zh"), "files that end in .safetensors"),
    ],
)
def test_wrong_use_is_answered_with_what_would_be_right(call: Any, says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        call(session())


def test_a_model_without_a_recipe_says_so() -> None:
    m = bare(recipes.recipe().model)
    with pytest.raises(TrainingError, match="Line has no recipe"):
        m.step(X, Y)
    with pytest.raises(TrainingError, match="more than one number as its result"):
        m.value_and_grad(X, X)


def test_a_function_is_differentiated_by_its_inputs() -> None:
    with Builder() as b:
        x = recipes.port("x", Type("float", (("N", Size.of("N")),)), ("N",))
        y = apply("sum", x.node * x.node, labels=("N",))
        graph = close("f", (x,), (Port("y", y, (), "result"),), b)
    m = bare(Model("f", "fn", graph, graph, {}, {}, (), recipes.HERE))
    value, grads = m.value_and_grad([1.0, 2.0])
    assert (value, grads["x"].tolist()) == (5.0, [2.0, 4.0])


def test_a_loss_that_is_not_finite_changes_nothing_and_names_its_place() -> None:
    m = session()
    m.params["second.W"] = np.full((4, 2), 1e200)
    with pytest.raises(
        TrainingError, match=r"step 0: the loss is inf: contract gives .* not finite, from line\.zh:1:1"
    ):
        m.step(X, Y)
    assert m.params["second.W"][0, 0] == 1e200
    assert m.step_count == 0


def test_guards_are_checked_when_sizes_are_known() -> None:
    guard = Guard(Size.of("B"), "<=", Size.of(4), recipes.HERE, "B <= 4")
    m = bare(replace(recipes.recipe().model, guards=(guard,)))
    m(X[:4])
    with pytest.raises(TrainingError, match=r"line\.zh:1:1: B <= 4 does not hold for B = 6"):
        m(X)


# ---------------------------------------------------------------- prepare and streams
def standardised() -> Graph:
    """From x over all samples to its mean, a statistic of `prepare`."""
    with Builder() as b:
        x = recipes.port("x", recipes.X, ("B", "F"))
        mean = apply("sum", x.node, labels=("B",)) / apply("const", value=Size.of("B"), dtype="float")
        return close("fit", (x,), (Port("prepare.x.0", mean, ("F",), "state"),), b)


def test_statistics_are_fitted_before_they_are_used() -> None:
    fit = standardised()
    with Builder() as b:
        x = recipes.port("x", recipes.X, ("B", "F"))
        mean = recipes.port("prepare.x.0", fit.outputs[0].node.type, ("F",), "state")
        w = recipes.port("first.b", recipes.PARAMS["first.b"].type, ("H",), "param")
        loss = apply("sum", x.node - mean.node, labels=("B", "F")) * apply("sum", w.node, labels=("H",))
        forward = close("Line", (x, mean, w), (Port("loss", loss, (), "loss"),), b)
    m = session(fit=fit, forward=forward)
    with pytest.raises(TrainingError, match=r"prepare\.x\.0 has not been fitted"):
        m.value_and_grad(X)
    m.prepare(x=X)
    np.testing.assert_allclose(m.states["prepare.x.0"], X.mean(0))
    assert m.value_and_grad(X)[0] == pytest.approx(0, abs=1e-12)


def streaming() -> Session:
    """y = s + x, s' = y: a sum that goes on from batch to batch."""
    type_ = Type("float", (("B", Size.of("B")),))
    weight = replace(recipes.STATES[recipes.MEAN], path="s", type=type_, order=("B",), stream=True)
    with Builder() as b:
        x, s = recipes.port("x", type_, ("B",)), recipes.port("s", type_, ("B",), "state")
        y = x.node + s.node
        graph = close("sum", (x, s), (Port("y", y, ("B",), "result"), Port("s", y, ("B",), "state")), b)
    return bare(Model("sum", "model", graph, graph, {}, {"s": weight}, (), recipes.HERE))


def test_a_stream_goes_on_until_it_is_reset_or_the_batch_changes() -> None:
    m = streaming()
    assert [m([1, 2], train=True).tolist() for _ in range(2)] == [[1, 2], [2, 4]]
    assert m([1, 1, 1], train=True).tolist() == [1, 1, 1]
    assert m([1, 1, 1], train=True).tolist() == [2, 2, 2]
    m.reset()
    assert m([1, 1, 1], train=True).tolist() == [1, 1, 1]


def test_a_stream_state_is_never_in_the_weights_file(tmp_path: Path) -> None:
    m = streaming()
    m([1, 2], train=True)
    m.save(tmp_path / "s.safetensors")
    assert checkpoint.read(tmp_path / "s.safetensors").arrays == {}


# ---------------------------------------------------------------- files
def test_saved_weights_go_on_where_they_were(tmp_path: Path) -> None:
    m = session()
    for _ in range(3):
        m.step(X, Y)
    m.save(tmp_path / "w.safetensors")
    other = session()
    other.restore(checkpoint.read(tmp_path / "w.safetensors"), "w.safetensors")
    np.testing.assert_array_equal(other(X), m(X))
    assert other.step(X, Y) == m.step(X, Y)


def test_weights_without_an_optimiser_start_a_new_one(tmp_path: Path) -> None:
    m = bare(recipes.recipe().model)
    m.params["first.b"] = np.ones(4)
    m.save(tmp_path / "w.safetensors")
    other = session()
    other.restore(checkpoint.read(tmp_path / "w.safetensors"), "w.safetensors")
    assert other.params["first.b"].tolist() == [1] * 4
    other.step(X, Y)


def test_weights_of_another_model_change_nothing(tmp_path: Path) -> None:
    m = session()
    found = checkpoint.Checkpoint({("param", "first.W"): np.zeros((4, 3))}, m.spec.record("float64", 0))
    before = m(X)
    with pytest.raises(
        TrainingError, match=r"w: its arrays are not those of this model\n  first\.W: float64 \[4, 3\] in"
    ):
        m.restore(found, "w")
    np.testing.assert_array_equal(m(X), before)


# ---------------------------------------------------------------- views
def test_every_stage_is_a_networkx_graph() -> None:
    m = session()
    sizes = {stage: m.graph(stage).number_of_nodes() for stage in ("graph", "grad", "step")}
    assert sizes["graph"] < sizes["grad"] < sizes["step"]
    operations = [data["op"] for _, data in m.graph("graph").nodes(data=True)]
    assert operations.count("contract") == 2


def test_the_summary_counts_parameters_bytes_and_operations() -> None:
    summary = session(dtype="float32").summary()
    assert (summary.params, summary.bytes) == (24, 96)
    # x @ W1: 2*3*4, + b1: 4, tanh: 4, - mean: 4, @ W2: 2*4*2
    assert summary.flops == 24 + 4 + 4 + 4 + 16
    assert str(summary).splitlines()[1].split() == ["first.W", "[F=3,", "H=4]", "12"]
    assert "state" in str(summary).splitlines()[4]


@pytest.mark.parametrize(("device", "says"), [("gpu", "not part of this version"), ("abacus", "no such device")])
def test_a_device_that_is_not_there_is_an_error_at_once(device: str, says: str) -> None:
    recipe = recipes.recipe()
    with pytest.raises(BackendError, match=says):
        Session(Spec(recipe.model, recipe, {"a": ""}, "a"), device)
