"""The derivative as a program: it reads like the textbook, and it is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lang.printed import drawn, require_same, run
from tests.runtime.programs.texts import ATTENTION, DENSE, SOFTMAX, TEXTS
from zhdsl.autodiff.check import check_gradients
from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.sizes import Size
from zhdsl.lang.check import check
from zhdsl.lang.model import Model, Project
from zhdsl.lang.parser import read
from zhdsl.runtime.derivative import derivative, grad_program
from zhdsl.runtime.step import gradient_graph
from zhdsl.source import Source

SIZES = {"B": 3, "T": 4, "D": 4, "C": 5}
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
WRT = {"softmax": "[Wb]"}  # of models whose parameters are inputs; None: all parameters


def project(name: str) -> Project:
    return check(Source(f"{name}.zh", TEXTS[name]))


def the_model(found: Project) -> Model:
    (model,) = found.models.values()
    return model


def exact_graph(name: str, order: int = 1) -> Graph:
    """Values and gradients as the training step has them."""
    model = the_model(project(name))
    wrt = ["W", "b"] if name in WRT else None
    return gradient_graph(model, wrt, order)


def outputs(graph: Graph, given: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    return {(p.role, p.name): a for p, a in zip(graph.outputs, run(graph, given, SIZES), strict=True)}


# ---------------------------------------------------------------- how it reads
@pytest.mark.parametrize("name", TEXTS)
def test_the_program_is_the_one_of_the_textbook(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"programs/{name}.zh", grad_program(project(name), wrt=WRT.get(name)))


def test_the_program_of_the_two_spirals(root: Path, golden: Callable[[str, str], None]) -> None:
    spec = root / "specs" / "two_spirals.zh"
    golden("programs/two_spirals.zh", grad_program(check(read(str(spec)), spec.parent)))


def test_softmax_and_cross_entropy_give_p_minus_y() -> None:
    text = grad_program(project("softmax"), wrt="[Wb]")
    assert "  d_logits = (softmax[C](logits) - one_hot[C](label)) / B" in text
    assert text.startswith("# Taken for granted: no axis is empty, every label is one of the classes.\n")


def test_a_sigmoid_gives_s_times_one_minus_s() -> None:
    assert "t * (1 - t)" in grad_program(project("sigmoid"))


def test_nothing_is_taken_for_granted_where_nothing_has_to_be() -> None:
    assert grad_program(project("layer_norm")).startswith("fn Norm_grad(")


def test_the_second_derivative_of_a_layer(golden: Callable[[str, str], None]) -> None:
    golden("programs/dense_order_2.zh", grad_program(project("dense"), order=2))


def test_a_formula_is_differentiated_as_one_in_the_bodies_of_loops() -> None:
    text = grad_program(project("lstm"))
    assert "(1 - f)[t]" in text
    assert "tanh(0.5" not in text


# ---------------------------------------------------------------- its numbers
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("order", [1, 2])
def test_the_text_gives_the_numbers_of_its_graph_to_the_bit(name: str, order: int) -> None:
    graph = derivative(project(name), wrt=WRT.get(name), order=order)
    require_same(graph, drawn(graph, SIZES), SIZES)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("order", [1, 2])
def test_the_gradients_are_those_of_training(name: str, order: int) -> None:
    exact = exact_graph(name, order)
    given = drawn(exact, SIZES)
    found = outputs(derivative(project(name), wrt=WRT.get(name), order=order), given)
    wanted = outputs(exact, given)
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, **CLOSE, err_msg=str(key))


@pytest.mark.parametrize("name", TEXTS)
def test_the_exact_program_gives_the_bits_of_training(name: str) -> None:
    from zhdsl.passes import run_passes

    graph = run_passes(exact_graph(name))
    require_same(graph, drawn(graph, SIZES), SIZES)


@pytest.mark.parametrize("name", ["dense", "softmax", "sigmoid", "layer_norm", "attention", "rnn", "lstm"])
def test_the_gradients_of_the_gradients_agree_with_finite_differences(name: str) -> None:
    graph = derivative(project(name), wrt=WRT.get(name))
    given = drawn(graph, SIZES)
    values = {p.node: _canonical(p, given[p.name]) for p in graph.inputs}
    grads = [p.node for p in graph.results("grad")]
    wrt = [graph_input(graph, p.name).node for p in graph.results("grad")]
    assert check_gradients(grads, wrt, values, SIZES) < 1e-7


@pytest.mark.parametrize("name", ["dense", "softmax", "attention", "lstm", "convolution"])
def test_the_second_derivative_is_the_slope_of_the_first(name: str) -> None:
    first, second = (derivative(project(name), wrt=WRT.get(name), order=k) for k in (1, 2))
    given = drawn(second, SIZES)
    directions = {p.name: given[f"v2.{p.name}"] for p in first.results("grad")}
    step = 1e-6
    up, down = (
        outputs(first, given | {n: given[n] + sign * step * v for n, v in directions.items()}) for sign in (1, -1)
    )
    found = outputs(second, given)
    for name_ in directions:
        slope = (up["grad", name_] - down["grad", name_]) / (2 * step)
        np.testing.assert_allclose(found["grad", name_], slope, rtol=1e-6, atol=1e-6)


def graph_input(graph: Graph, name: str) -> Port:
    return next(p for p in graph.inputs if p.name == name)


def _canonical(port: Port, array: Any) -> Any:
    return np.transpose(array, [port.order.index(label) for label in port.node.type.labels])


# ---------------------------------------------------------------- what is asked for
def sizes_in_order(port: Port) -> list[Size]:
    return [port.node.type.sizes[label] for label in port.order]


def test_axes_are_renamed_and_stay_in_their_places() -> None:
    graph, exact = derivative(project("dense")), exact_graph("dense")
    for new, old in zip(graph.inputs, exact.inputs, strict=True):
        assert (new.name, new.role, new.node.type.dtype) == (old.name, old.role, old.node.type.dtype)
        assert sizes_in_order(new) == sizes_in_order(old)
    assert [p.order for p in graph.results("grad")] == [p.order for p in graph.of_role("param")]


def test_a_pattern_chooses_parameters_and_inputs() -> None:
    names = [p.name for p in derivative(project("dense"), wrt="dense*.b").results("grad")]
    assert names == ["dense.b", "dense2.b"]
    assert [p.name for p in derivative(project("dense"), wrt="x").results("grad")] == ["x"]
    with pytest.raises(TrainingError, match="nothing fits conv"):
        derivative(project("dense"), wrt="conv*")


def test_the_mode_chooses_the_program() -> None:
    norm = check(Source("norm.zh", "model M(x: [B, C=2]) -> y: [B, C=2] { return BatchNorm(x) }"))
    train, infer = (grad_program(norm, mode=mode) for mode in ("train", "infer"))
    assert "new_batchnorm_mu" in train
    assert "new_batchnorm_mu" not in infer
    assert "sqrt(batchnorm_var + 1e-5)" in infer


def test_a_recipe_gives_its_loss_in_both_modes() -> None:
    text = DENSE.replace(", y: [B, D=3]", "").replace("mse(h -> Dense[3], y)", "h -> Dense[1]")
    text = text.replace("x: [B, D=4]", "x: [B, F=2]").replace("loss: []", "p: [B, F=1]")
    text += (
        "train Dense1 { data = two_spirals\nloss = mse(p, y)\noptimizer = sgd[lr = 0.1]\nbatch = all\nepochs = 1 }\n"
    )
    recipe = check(Source("recipe.zh", text))
    for mode in ("train", "infer"):
        graph = derivative(recipe, mode=mode)
        assert graph.outputs[0].name == "loss"
        assert len(graph.results("grad")) == 4
        require_same(graph, drawn(graph, SIZES), SIZES)


def test_a_function_is_differentiated_by_its_inputs() -> None:
    found = check(Source("f.zh", "fn f(x: [B], y: [B]) -> [B] { return x * exp(y) }"))
    graph = derivative(found, "f")
    assert [p.name for p in graph.results("grad")] == ["x", "y"]
    assert "  dx = dresult * e\n" in grad_program(found, "f")


def test_an_exact_program_has_the_functions_written_out() -> None:
    short, exact = (grad_program(project("attention"), exact=flag) for flag in (False, True))
    assert "softmax[K]" in short
    assert ATTENTION
    assert len(exact.splitlines()) >= len(short.splitlines())


def test_labels_out_of_range_are_the_business_of_the_exact_program() -> None:
    assert "label < " in grad_program(check(Source("s.zh", SOFTMAX)), wrt="W", exact=True)
