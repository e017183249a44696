"""core.zh: functions against NumPy, gradients against finite differences, draws against their distribution."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, gradient_error, session, value

erf = np.vectorize(math.erf)
RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4)) * 2 + 0.05  # away from the corners of the piecewise ones


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sign": np.sign,
    "abs": np.abs,
    "clamp[-1, 0.5]": lambda x: np.clip(x, -1, 0.5),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "leaky_relu[0.2]": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "elu[a = 2]": lambda x: np.where(x > 0, x, 2 * np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
    "glu[K]": lambda x: x[:, :2] * sigmoid(x[:, 2:]),
    "mean": np.mean,
    "mean[K]": lambda x: x.mean(1),
    "mean[K, B]": np.mean,
    "variance": np.var,
    "variance[B]": lambda x: x.var(0),
    "std[K]": lambda x: x.std(1),
    "norm": lambda x: np.asarray(np.linalg.norm(x)),
    "norm[K]": lambda x: np.linalg.norm(x, axis=1),
    "mean_per[K]": lambda x: x.mean(0),
    "std_per[K]": lambda x: x.std(0),
    "masked_mean": np.mean,
    "cumsum[K]": lambda x: x.cumsum(1),
    "cumsum[B]": lambda x: x.cumsum(0),
    "softmax[K]": lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    "softmax[B]": lambda x: np.exp(x) / np.exp(x).sum(0),
    "log_softmax[K]": lambda x: x - np.log(np.exp(x).sum(1, keepdims=True)),
    "logsumexp[K]": lambda x: np.log(np.exp(x).sum(1)),
    "normalize[K]": lambda x: x / np.linalg.norm(x, axis=1, keepdims=True),
}
FLAT = {"sign", "zeros_like", "ones_like"}  # the gradient is 0 everywhere


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_function_is_its_formula(name: str) -> None:
    found = value("x: [B, K]", f"{name}(x)", X)
    np.testing.assert_allclose(found, ACTIVATIONS[name](X), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - FLAT))
def test_a_gradient_is_that_of_finite_differences_to_second_order(name: str) -> None:
    assert gradient_error("x: [B, K]", f"{name}(x)", X) < 1e-6


def test_two_arguments_are_compared_along_an_axis() -> None:
    a, b = RNG.normal(size=(2, 3, 4))
    wanted = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    found = value("a: [B, D], b: [B, D]", "cosine_similarity[D](a, b)", a, b)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_any_and_all_are_those_of_logic() -> None:
    x = np.array([[True, False], [True, True], [False, False]])
    for name, rule in (("any", np.any), ("all", np.all)):
        np.testing.assert_array_equal(value("x: bool[B, K]", f"{name}[K](x)", x), rule(x, axis=1))
        np.testing.assert_array_equal(value("x: bool[B, K]", f"{name}(x)", x), rule(x))


def test_masked_mean_counts_what_is_kept_and_is_0_if_nothing_is() -> None:
    keep = np.array([[True, False, True, False]] * 3)
    found = value("x: [B, K], keep: bool[B, K]", "masked_mean(x, keep)", X, keep)
    np.testing.assert_allclose(found, X[keep].mean())
    assert value("x: [B, K], keep: bool[B, K]", "masked_mean(x, keep)", X, keep & False) == 0


def test_one_hot_is_a_row_of_the_identity() -> None:
    found = value("label: i32[B]", "one_hot[5](label)", np.array([3, 0, 4], np.int32))
    np.testing.assert_array_equal(found, np.eye(5)[[3, 0, 4]])


# ---------------------------------------------------------------- where a formula as written would fail
@pytest.mark.parametrize("name", ["sigmoid", "softplus", "log_sigmoid", "elu", "silu", "mish", "gelu", "softmax[B]"])
def test_large_numbers_stay_finite_in_value_and_gradient(name: str) -> None:
    m = session("x: [B]", f"sum({name}(x))")
    x = np.array([-1000.0, -90.0, 0.0, 90.0, 1000.0])
    assert np.isfinite(m(x))
    assert np.isfinite(_input_gradient(f"{name}(x)", x)).all()


def _input_gradient(expression: str, x: Array) -> Array:
    """d sum(expression) / dx, by making x a parameter."""
    body = f"param w: [B={len(x)}] = zeros\nx = w\nreturn sum({expression}) + 0 * y"
    m = session("y: []", body)
    m.params["w"] = x
    return np.asarray(m.value_and_grad(0.0)[1]["w"])


@pytest.mark.parametrize(
    ("name", "slope"),
    [("softplus", 0.5), ("relu", 0.0), ("abs", 0.0), ("elu", 1.0), ("gelu", 0.5), ("sigmoid", 0.25), ("norm[B]", 0.0)],
)
def test_the_slope_at_0_is_the_one_that_is_documented(name: str, slope: float) -> None:
    np.testing.assert_allclose(_input_gradient(f"{name}(x)", np.zeros(2)), slope, atol=1e-12)


def test_a_row_of_minus_infinity_has_softmax_0_and_gradient_0() -> None:
    x = np.array([-np.inf, -np.inf, -np.inf])
    assert (value("x: [K]", "softmax[K](x)", x) == 0).all()
    assert value("x: [K]", "logsumexp[K](x)", x) == -np.inf
    assert (_input_gradient("softmax[B](x)", x) == 0).all()


def test_masked_places_get_no_probability_and_the_others_all_of_it() -> None:
    x = np.array([1.0, -np.inf, 2.0])
    p = value("x: [K]", "softmax[K](x)", x)
    np.testing.assert_allclose(p[[0, 2]], np.exp([1, 2]) / np.exp([1, 2]).sum())
    assert p[1] == 0
    np.testing.assert_allclose(np.exp(value("x: [K]", "log_softmax[K](x)", x)), p)


# ---------------------------------------------------------------- draws
def test_normal_draws_have_the_moments_of_the_normal_distribution() -> None:
    z = value("x: [B]", "x + normal[B]()", np.zeros(200_000))
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert abs((z**3).mean()) < 0.03
    assert abs((z**4).mean() - 3) < 0.1
    assert abs((np.abs(z) < 1.959964).mean() - 0.95) < 0.002


def test_integers_are_drawn_evenly_from_low_to_below_high() -> None:
    z = value("x: i32[B]", "x + randint[B, high = 7, low = -3]()", np.zeros(100_000, np.int32))
    values, counts = np.unique(z, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(-3, 7))
    assert np.abs(counts - 10_000).max() < 500


def test_bernoulli_is_true_with_its_probability() -> None:
    z = value("x: bool[B]", "x or bernoulli[B, p = 0.3]()", np.zeros(100_000, bool))
    assert abs(z.mean() - 0.3) < 0.01


def test_dropout_keeps_the_mean_in_training_and_does_nothing_otherwise() -> None:
    m = session("x: [B, D]", "dropout[0.25](x)")
    x = np.ones((500, 200))
    y = m(x, train=True)
    assert set(np.unique(y)) == {0, 1 / 0.75}
    assert abs((y == 0).mean() - 0.25) < 0.01
    np.testing.assert_array_equal(m(x), x)


def test_dropout_draws_anew_at_each_step_and_the_same_at_the_same_step() -> None:
    m = session("x: [B]", "dropout[0.5](x)")
    first, again = m(np.ones(100), train=True), m(np.ones(100), train=True)
    m.step_count = 1
    np.testing.assert_array_equal(first, again)
    assert (m(np.ones(100), train=True) != first).any()


def test_whole_channels_and_whole_samples_are_dropped() -> None:
    x = np.ones((50, 8, 3, 3))
    channels = value("x: [B, C, H, W]", "dropout_channels[0.5](x)", x, train=True)
    assert set(np.unique(channels)) == {0, 2}
    assert (channels == channels[:, :, :1, :1]).all()
    assert len(np.unique(channels[:, :, 0, 0].sum(1))) > 1
    samples = value("x: [B, C, H, W]", "drop_path[0.5](x)", x, train=True)
    assert (samples == samples[:, :1, :1, :1]).all()
    assert set(np.unique(samples)) == {0, 2}
