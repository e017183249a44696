"""init.zh: the spread of every initialiser over its fans, orthogonality, numbers of its own for each parameter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, session


def initial(type_: str, init: str, seed: int = 0) -> Array:
    """The first value of `param W: type = init`."""
    m = session("y: []", f"param W: {type_} = {init}\nreturn y + sum(W)", seed)
    return m.params["W"]


@pytest.mark.parametrize(
    ("init", "limit"),
    [
        ("glorot", math.sqrt(6 / (300 + 200))),
        ("he_uniform", math.sqrt(6 / 300)),
        ("lecun_uniform", math.sqrt(3 / 300)),
        ("glorot[in = (D, N)]", math.sqrt(6 / (300 * 200 + 200))),
        ("uniform_init", 0.05),
    ],
)
def test_a_uniform_initialiser_fills_its_interval_evenly(init: str, limit: float) -> None:
    w = initial("[D=300, N=200]", init)
    assert w.shape == (300, 200)
    assert np.abs(w).max() <= limit
    assert np.abs(w).max() > 0.999 * limit
    assert abs(w.mean()) < 0.01 * limit
    assert abs(w.std() - limit / math.sqrt(3)) < 0.01 * limit


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("glorot_normal", math.sqrt(2 / 500)),
        ("he", math.sqrt(2 / 300)),
        ("he[in = N]", math.sqrt(2 / 200)),
        ("he[in = (D, N), out = none]", math.sqrt(2 / 60_000)),
        ("lecun_normal", math.sqrt(1 / 300)),
        ("normal_init[0.02]", 0.02),
        ("normal_init[std = 3]", 3),
        ("normal", 1),
    ],
)
def test_a_normal_initialiser_has_its_standard_deviation(init: str, std: float) -> None:
    w = initial("[D=300, N=200]", init)
    assert abs(w.std() / std - 1) < 0.01
    assert abs(w.mean()) < 0.02 * std


def test_axes_in_neither_fan_are_a_batch_of_weights() -> None:
    w = initial("[D=100, G=4, N=50]", "glorot[in = D, out = N]")
    limit = math.sqrt(6 / 150)
    for g in range(4):
        assert 0.99 * limit < np.abs(w[:, g]).max() <= limit


@pytest.mark.parametrize(("init", "wanted"), [("zeros", 0), ("ones", 1), ("0.3", 0.3), ("constant[-2]", -2), ("7", 7)])
def test_a_constant_is_everywhere_the_same(init: str, wanted: float) -> None:
    np.testing.assert_array_equal(initial("[D=3, N=2]", init), np.full((3, 2), wanted, float))


def test_truncated_normal_draws_have_nothing_beyond_two_deviations() -> None:
    w = initial("[D=300, N=300]", "truncated_normal[0.5]") / 0.5
    assert np.abs(w).max() <= 2
    assert abs(w.std() - 0.87963) < 0.005  # of the normal distribution cut at 2
    assert abs(w.mean()) < 0.01


@pytest.mark.parametrize("shape", [(40, 40), (20, 50), (50, 20), (1, 1), (1, 6), (256, 256)])
def test_an_orthogonal_matrix_has_singular_values_of_1(shape: tuple[int, int]) -> None:
    d, n = shape
    w = initial(f"[D={d}, N={n}]", "orthogonal")
    np.testing.assert_allclose(np.linalg.svd(w, compute_uv=False), 1, atol=1e-6)


def test_orthogonal_takes_its_gain_and_is_orthogonal_for_each_gate() -> None:
    w = initial("[M=30, G=4, N=30]", "orthogonal[2, in = M, out = N]")
    for g in range(4):
        np.testing.assert_allclose(w[:, g].T @ w[:, g], 4 * np.eye(30), atol=1e-6)
    assert np.abs(w[:, 0] - w[:, 1]).max() > 0.1


def test_orthogonal_takes_several_axes_as_one() -> None:
    w = initial("[H=3, E=4, D=20]", "orthogonal[in = (H, E), out = D]").reshape(12, 20)
    np.testing.assert_allclose(w @ w.T, np.eye(12), atol=1e-6)


def test_orthogonal_is_uniform_over_rotations() -> None:
    """By Haar's measure every entry of an n × n matrix has mean 0 and variance 1 / n, and the trace has variance 1."""
    draws = initial("[G=200, D=8, N=8]", "orthogonal[in = D, out = N]")
    assert abs(draws.mean()) < 0.01
    assert abs((draws**2).mean() - 1 / 8) < 1e-6
    assert 0.75 < np.trace(draws, axis1=1, axis2=2).var() < 1.3


def test_identity_is_1_where_in_meets_out_in_each_part() -> None:
    np.testing.assert_array_equal(initial("[D=3, N=4]", "identity"), np.eye(3, 4))
    w = initial("[D=3, G=2, N=3]", "identity[0.5, in = D, out = N]")
    np.testing.assert_array_equal(w[:, 0], np.eye(3) / 2)
    np.testing.assert_array_equal(w[:, 1], np.eye(3) / 2)


def two_layers(seed: int) -> Any:
    m = session("x: [B, D=5]", "x -> Dense[5] -> Dense[5]", seed)
    return m.params["dense.W"], m.params["dense2.W"]


def test_each_parameter_and_each_seed_has_numbers_of_its_own() -> None:
    first, second = two_layers(0)
    other, _ = two_layers(1)
    assert (first != second).all()
    assert (first != other).all()
    np.testing.assert_array_equal(first, two_layers(0)[0])
