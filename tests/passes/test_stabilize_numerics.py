"""The good forms where the plain ones fail: large and infinite arguments, whole rows masked; and derivatives."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest

import zhdsl.ops  # noqa: F401 - fills the registry
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, apply
from zhdsl.ir.types import Type
from zhdsl.ops.evaluate import evaluate
from zhdsl.passes import BEFORE_DERIVATIVE, run_passes, stabilize_numerics

ROWS = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0], [-1e4, -1e4, -1e4], [800.0, 800.0, 799.0]])
POINTS = np.array([-1e4, -800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0, 1e4])


def graph_of(make: Callable[[Node], Node], labels: tuple[str, ...]) -> Graph:
    with Builder() as b:
        x = apply("input", port="x", type=Type("float", tuple((label, label) for label in labels)))
        y = make(x)
        return close("f", [Port("x", x, labels, "data")], [Port("y", y, y.type.labels, "result")], b)


def run(graph: Graph, x: np.ndarray, dtype: str = "float64") -> np.ndarray:
    names = {1: ("B",), 2: ("B", "K")}[x.ndim]
    return evaluate(graph, {graph.inputs[0].node: x}, dict(zip(names, x.shape, strict=True)), dtype)[0]


def differentiated(graph: Graph) -> Graph:
    with graph.building() as b:
        (y,), (x,) = ([p.node for p in ports] for ports in (graph.outputs, graph.inputs))
        (g,) = gradients([y], [apply("const", value=1.0, dtype="float")], [x])
        assert g is not None
        return graph.closed(b, [Port("dx", g, g.type.labels, "grad")])


def exp(x: Node) -> Node:
    return apply("exp", x)


def log(x: Node) -> Node:
    return apply("log", x)


def total(x: Node) -> Node:
    return apply("sum", x, labels=("K",))


def sigmoid(x: Node) -> Node:
    return 0.5 * (1.0 + apply("tanh", 0.5 * x))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


def log_sum_exp(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.logaddexp.reduce(x, axis=-1))


ELEMENTWISE: dict[str, tuple[Callable[[Node], Node], Callable[[np.ndarray], np.ndarray]]] = {
    "softplus": (lambda x: log(1.0 + exp(x)), softplus),
    "softplus, the other way round": (lambda x: log(exp(x) + 1.0), softplus),
    "log of sigmoid": (lambda x: log(sigmoid(x)), lambda x: -softplus(-x)),
    "log of quotient": (lambda x: log(1.0 / (1.0 + exp(-x))), lambda x: -softplus(-x)),
    "log of 1 - sigmoid": (lambda x: log(1.0 - sigmoid(x)), lambda x: -softplus(x)),
    "sigmoid as a quotient": (lambda x: exp(x) / (1.0 + exp(x)), lambda x: np.exp(-softplus(-x))),
    "log of exp": (lambda x: log(exp(x)), lambda x: x),
}
OF_ROWS: dict[str, tuple[Callable[[Node], Node], Callable[[np.ndarray], np.ndarray]]] = {
    "log of a sum": (lambda x: log(total(exp(x))), log_sum_exp),
    "softmax": (lambda x: exp(x) / total(exp(x)), lambda x: np.exp(x - log_sum_exp(x)[:, None])),
    "log of softmax": (lambda x: log(exp(x) / total(exp(x))), lambda x: x - log_sum_exp(x)[:, None]),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_are_right_for_large_arguments(name: str, dtype: str) -> None:
    make, wanted = ELEMENTWISE[name]
    found = run(stabilize_numerics(graph_of(make, ("B",))), POINTS.astype(dtype), dtype)
    np.testing.assert_allclose(found, wanted(POINTS), rtol=3e-7 if dtype == "float32" else 1e-14, atol=1e-7)


@pytest.mark.parametrize("name", OF_ROWS)
def test_sums_of_exponentials_are_right_for_large_arguments(name: str) -> None:
    make, wanted = OF_ROWS[name]
    found = run(stabilize_numerics(graph_of(make, ("B", "K"))), ROWS)
    np.testing.assert_allclose(found, wanted(ROWS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["softplus", "log of sigmoid", "log of quotient", "log of 1 - sigmoid", "log of exp"])
def test_the_derivative_of_the_good_form_is_finite(name: str) -> None:
    make, wanted = ELEMENTWISE[name]
    graph = run_passes(differentiated(run_passes(graph_of(make, ("B",)), BEFORE_DERIVATIVE)))
    slope = (wanted(POINTS + 1e-6) - wanted(POINTS - 1e-6)) / 2e-6
    np.testing.assert_allclose(run(graph, POINTS), slope, atol=1e-4)


def test_the_derivative_of_log_softmax_is_finite() -> None:
    make, _ = OF_ROWS["log of a sum"]
    graph = run_passes(differentiated(run_passes(graph_of(make, ("B", "K")), BEFORE_DERIVATIVE)))
    np.testing.assert_allclose(run(graph, ROWS), OF_ROWS["softmax"][1](ROWS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*ELEMENTWISE, *OF_ROWS])
@pytest.mark.parametrize("special", [inf, -inf, nan])
def test_infinite_arguments_and_nan_give_what_they_gave(name: str, special: float) -> None:
    make, _ = (ELEMENTWISE | OF_ROWS)[name]
    labels = ("B",) if name in ELEMENTWISE else ("B", "K")
    x = np.full((2,), special) if name in ELEMENTWISE else np.array([[special, 1.0, 2.0], [special] * 3])
    plain = graph_of(make, labels)
    wanted, found = run(plain, x), run(stabilize_numerics(plain), x)
    if name == "sigmoid as a quotient" and special == inf:
        wanted = np.ones_like(x)  # inf / inf before
    np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_a_pick_out_of_range_still_has_probability_zero() -> None:
    def make(x: Node) -> Node:
        index = apply("cast", apply("iota", label="B", size=x.type.sizes["B"]), dtype="float") * 2.0
        return log(apply("gather", exp(x) / total(exp(x)), apply("cast", index, dtype="i32"), labels=("K",)))

    graph = graph_of(make, ("B", "K"))
    found = run(stabilize_numerics(graph), ROWS)
    np.testing.assert_allclose(found, [1 - log_sum_exp(ROWS[0]), -2000.0, -inf, -inf], rtol=1e-13)


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_of_a_sigmoid_never_overflows(y: float) -> None:
    def make(x: Node) -> Node:
        p, target = sigmoid(x), apply("stop", x * 0.0 + y)
        return target * log(p) + (1.0 - target) * log(1.0 - p)

    graph = run_passes(graph_of(make, ("B",)), BEFORE_DERIVATIVE)
    np.testing.assert_allclose(run(graph, POINTS), y * POINTS - softplus(POINTS), rtol=1e-13, atol=1e-15)
    gradient = run(run_passes(differentiated(graph)), POINTS)
    np.testing.assert_allclose(gradient, y - np.exp(-softplus(-POINTS)), atol=1e-15)
