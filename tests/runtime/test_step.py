"""The step is one graph, and its numbers are those of the formulas, worked out here by hand in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.runtime import recipes
from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.types import Type
from zhdsl.lang.model import Model, Recipe
from zhdsl.runtime.pipeline import compile_graph
from zhdsl.runtime.splice import splice
from zhdsl.runtime.state import initial
from zhdsl.runtime.step import gradient_graph, step_graph

Key = tuple[str, str]


def values(recipe: Recipe, batch: int = 5) -> dict[Key, Any]:
    """All inputs of a step, the velocities not zero."""
    random = np.random.default_rng(3)
    found: dict[Key, Any] = {("param", p): a for p, a in initial(recipe.model.params, 1, "float64").items()}
    found["state", recipes.MEAN] = random.normal(size=4)
    found |= {("state", p): random.normal(size=a.shape) for p, a in initial(recipe.slots, 1, "float64").items()}
    found |= {("data", "x"): random.normal(size=(batch, 3)), ("data", "y"): random.normal(size=(batch, 2))}
    return found | {("counter", n): np.int32(v) for n, v in (("seed", 1), ("step", 4), ("epoch", 1))}


def by_hand(v: dict[Key, Any]) -> tuple[float, dict[str, Any], Any]:
    """Loss, gradients and the new running mean."""
    x, y, m = v["data", "x"], v["data", "y"], v["state", recipes.MEAN]
    h = np.tanh(x @ v["param", "first.W"] + v["param", "first.b"])
    error = (h - m) @ v["param", "second.W"] - y
    up = 2 * error / error.size
    dh = (up @ v["param", "second.W"].T) * (1 - h * h)
    grads = {"first.W": x.T @ dh, "first.b": dh.sum(0), "second.W": (h - m).T @ up}
    return float((error**2).mean()), grads, 0.9 * m + 0.1 * h.mean(0)


def run(graph: Graph, v: dict[Key, Any]) -> dict[Key, Any]:
    return compile_graph(graph, "reference", "float64").run(v)


def test_a_step_is_the_formula_of_momentum() -> None:
    recipe = recipes.recipe()
    v = values(recipe)
    out = run(step_graph(recipe), v)
    loss, grads, mean = by_hand(v)
    assert float(out["loss", "loss"]) == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(out["state", recipes.MEAN], mean, rtol=1e-13)
    for path, g in grads.items():
        velocity = 0.9 * v["state", f"optimizer.{path}.v"] + g
        np.testing.assert_allclose(out["state", f"optimizer.{path}.v"], velocity, rtol=1e-12)
        np.testing.assert_allclose(out["param", path], v["param", path] - 0.1 * velocity, rtol=1e-12)


def test_the_clip_sees_the_norm_of_all_gradients_and_the_rate_its_counter() -> None:
    v = values(recipes.recipe())
    v["data", "y"] = v["data", "y"] * 100
    recipe = recipes.recipe(clip={p: recipes.clip(p) for p in recipes.SHAPES}, rate=recipes.schedule())
    out = run(step_graph(recipe), v)
    _, grads, _ = by_hand(v)
    norm = np.sqrt(sum((g * g).sum() for g in grads.values()))
    assert norm > 1
    assert float(out["metric", "grad_norm"]) == pytest.approx(norm, rel=1e-13)
    assert float(out["metric", "rate"]) == 0.5
    for path, g in grads.items():
        velocity = 0.9 * v["state", f"optimizer.{path}.v"] + g / norm
        np.testing.assert_allclose(out["param", path], v["param", path] - 0.05 * velocity, rtol=1e-12)


def test_the_norm_is_there_only_if_asked_for() -> None:
    assert [p.name for p in step_graph(recipes.recipe()).results("metric")] == []
    assert [p.name for p in step_graph(recipes.recipe(), norm=True).results("metric")] == ["grad_norm"]


def test_a_frozen_parameter_has_no_new_value() -> None:
    graph = step_graph(recipes.recipe(frozen=frozenset({"first.W"})))
    assert [p.name for p in graph.results("param")] == ["first.b", "second.W"]
    assert "optimizer.first.W.v" not in [p.name for p in graph.of_role("state")]
    assert "first.W" in [p.name for p in graph.of_role("param")]


def test_every_input_appears_once() -> None:
    recipe = recipes.recipe(clip={p: recipes.clip(p) for p in recipes.SHAPES}, rate=recipes.schedule())
    names = [(p.role, p.name) for p in step_graph(recipe).inputs]
    assert len(names) == len(set(names))
    assert ("counter", "epoch") in names


def test_nodes_of_the_step_know_their_place() -> None:
    graph = step_graph(recipes.recipe())
    roles = {o.role for node in graph.nodes for o in graph.origins.get(node, ())}
    assert {"forward", "backward", "update"} <= roles


def test_splicing_replaces_inputs_and_keeps_the_rest() -> None:
    with Builder():
        w, g = recipes.port("a", recipes.SCALAR, ()), recipes.port("b", recipes.SCALAR, ())
        update, _ = recipes.momentum("s", ())
        made = splice(update, {"w": w.node, "g": g.node, "rate": recipes.number(2.0), "unused": g.node})
        out = close("s", (w, g, recipes.port("optimizer.s.v", recipes.SCALAR, (), "state")), [], Builder())
        result = Graph("s", out.inputs, (Port("w", made["w"], (), "result"),))
    found = run(result, {("data", "a"): 1.0, ("data", "b"): 0.5, ("state", "optimizer.s.v"): 10.0})
    assert float(found["result", "w"]) == pytest.approx(1.0 - 0.1 * 2.0 * (0.9 * 10 + 0.5))


def test_gradients_of_a_recipe_are_those_of_its_loss() -> None:
    recipe = recipes.recipe()
    v = values(recipe)
    out = run(gradient_graph(recipe), v)
    loss, grads, _ = by_hand(v)
    assert float(out["loss", "loss"]) == pytest.approx(loss)
    assert [name for role, name in out if role == "grad"] == list(grads)
    for path, g in grads.items():
        np.testing.assert_allclose(out["grad", path], g, rtol=1e-12)


def test_gradients_with_respect_to_inputs_can_be_asked_for() -> None:
    recipe = recipes.recipe()
    v = values(recipe)
    g = run(gradient_graph(recipe, ["x"]), v)["grad", "x"]
    nudged = dict(v)
    nudged["data", "x"] = v["data", "x"] + np.eye(5, 3, k=-1) * 1e-6
    slope = (by_hand(nudged)[0] - by_hand(v)[0]) / 1e-6
    assert slope == pytest.approx(sum(g[i + 1, i] for i in range(3)), rel=1e-4)


def test_an_unknown_name_to_differentiate_by_is_answered_with_the_nearest() -> None:
    with pytest.raises(TrainingError, match=r"no parameter or float input first\.V\nhelp: did you mean first\.W\?"):
        gradient_graph(recipes.recipe(), ["first.V"])


def cube() -> Model:
    """y = x^3 of a scalar."""
    with Builder() as b:
        x = recipes.port("x", recipes.SCALAR, ())
        graph = close("cube", (x,), (Port("y", apply("ipow", x.node, exponent=3), (), "result"),), b)
    return Model("cube", "fn", graph, graph, {}, {}, (), recipes.HERE)


@pytest.mark.parametrize(("order", "wanted"), [(1, 12.0), (2, 12.0), (3, 6.0), (4, 0.0)])
def test_a_scalar_function_is_differentiated_to_any_order(order: int, wanted: float) -> None:
    out = run(gradient_graph(cube(), order=order), {("data", "x"): 2.0})
    assert float(out["grad", "x"]) == wanted


def test_results_with_axes_are_weighted_by_an_input_of_their_own() -> None:
    recipe = recipes.recipe()
    graph = gradient_graph(recipe.model)
    assert [p.name for p in graph.of_role("data")] == ["x", "dp"]
    v = values(recipe) | {("data", "dp"): np.ones((5, 2))}
    h = np.tanh(v["data", "x"] @ v["param", "first.W"] + v["param", "first.b"]) - v["state", recipes.MEAN]
    np.testing.assert_allclose(run(graph, v)["grad", "second.W"], h.T @ np.ones((5, 2)), rtol=1e-12)


def test_the_second_order_is_a_product_with_the_hessian() -> None:
    recipe = recipes.recipe()
    graph = gradient_graph(recipe, order=2)
    random = np.random.default_rng(0)
    v = values(recipe)
    along = {p: random.normal(size=v["param", p].shape) for p in recipes.SHAPES}
    found = run(graph, v | {("data", f"v2.{p}"): a for p, a in along.items()})
    ahead, behind = dict(v), dict(v)
    for path, a in along.items():
        ahead["param", path], behind["param", path] = v["param", path] + 1e-5 * a, v["param", path] - 1e-5 * a
    for path in along:
        product = (by_hand(ahead)[1][path] - by_hand(behind)[1][path]) / 2e-5
        np.testing.assert_allclose(found["grad", path], product, rtol=1e-5, atol=1e-8)


def test_what_the_value_does_not_depend_on_has_a_zero_gradient() -> None:
    with Builder() as b:
        ports = [recipes.port(n, recipes.SCALAR, ()) for n in "xz"]
        graph = close("f", ports, (Port("y", ports[0].node * 2.0, (), "result"),), b)
    model = Model("f", "fn", graph, graph, {}, {}, (), recipes.HERE)
    out = run(gradient_graph(model), {("data", "x"): 1.0, ("data", "z"): 1.0})
    assert (float(out["grad", "x"]), float(out["grad", "z"])) == (2.0, 0.0)


def test_a_result_that_is_not_float_cannot_be_differentiated() -> None:
    with Builder() as b:
        n = recipes.port("n", Type("i32"), ())
        graph = close("f", (n,), (Port("y", n.node, (), "result"),), b)
    with pytest.raises(TrainingError, match="nothing to differentiate"):
        gradient_graph(Model("f", "fn", graph, graph, {}, {}, (), recipes.HERE))
