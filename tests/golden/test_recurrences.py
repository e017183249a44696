"""What is known of gradients through time: a linear recurrence scales them by singular values, an LSTM by its gate."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden.networks import Array, gradients, session

LINEAR = """
fn M(h: [D], W: [N, D]) -> [N] require N == D {{
  return scan t over T={steps} from h = h {{
    h: [D] = W @ h
    emit last h
  }}
}}
"""
RNG = np.random.default_rng(3)


def orthogonal(n: int) -> Array:
    return np.asarray(np.linalg.qr(RNG.normal(size=(n, n)))[0])


def back(w: Array, g: Array, steps: int) -> Array:
    """The gradient of g · h_T with respect to h_0."""
    m = session(LINEAR.format(steps=steps))
    return gradients(m, ["h"], {"h": RNG.normal(size=len(w)), "W": w}, {"result": g})["h"]


@pytest.mark.parametrize("largest", [1.25, 0.8])
@pytest.mark.parametrize("steps", [1, 10, 60])
def test_a_linear_recurrence_scales_the_gradient_by_its_singular_value_to_the_power_t(
    largest: float, steps: int
) -> None:
    q, g = orthogonal(5), RNG.normal(size=5)
    norm = np.linalg.norm(back(largest * q, g, steps))  # all singular values are the same
    assert norm == pytest.approx(np.linalg.norm(g) * largest**steps, rel=1e-11)


@pytest.mark.parametrize(("largest", "end"), [(1.25, "explodes"), (0.8, "vanishes")])
def test_the_largest_singular_value_decides_whether_the_gradient_explodes_or_vanishes(largest: float, end: str) -> None:
    q = orthogonal(4)
    w = q @ np.diag([largest, 0.6, -0.5, 0.1]) @ q.T  # symmetric: its singular directions stay where they are
    along = np.linalg.norm(back(w, q[:, 0], 60))
    assert along == pytest.approx(largest**60, rel=1e-11)
    assert (along > 6e5) if end == "explodes" else (along < 2e-6)
    anywhere = RNG.normal(size=4)
    later, earlier = (np.linalg.norm(back(w, anywhere, n)) for n in (100, 99))
    assert later / earlier == pytest.approx(largest, rel=1e-9)  # the other directions have died out


def test_no_gradient_of_any_linear_recurrence_exceeds_the_power_of_the_largest_singular_value() -> None:
    w, g = RNG.normal(size=(6, 6)), RNG.normal(size=6)
    largest = np.linalg.svd(w)[1][0]
    for steps in (1, 2, 5, 20):
        assert np.linalg.norm(back(w, g, steps)) <= np.linalg.norm(g) * largest**steps * (1 + 1e-12)


# ---------------------------------------------------------------- Hochreiter & Schmidhuber 1997; Gers et al. 2000
CELL = """
block M(x: [B, D=3], h: [B, N=4], c: [B, N=4]) -> (h: [B, N=4], c: [B, N=4]) {
  return LSTMCell[4, forget = 1](x, h, c)
}
"""
LAYER = """
block M(x: [B, T, D=3], h: [B, N=4], c: [B, N=4]) -> (y: [B, T, D=4], h: [B, N=4], c: [B, N=4]) {
  return LSTMFrom[4, forget = 1](x, h, c)
}
"""


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def test_in_an_lstm_the_derivative_of_a_cell_by_the_one_before_is_the_forget_gate() -> None:
    m = session(CELL)
    x, h, c = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))
    w, u, b = (m.params[f"lstmcell.{name}"] for name in "WUb")
    f = sigmoid(x @ w[:, 0] + h @ u[:, 0] + b[0] + 1)
    for n in range(4):
        only = np.zeros((5, 4))
        only[:, n] = 1
        g = gradients(m, ["c"], {"x": x, "h": h, "c": c}, {"h": np.zeros((5, 4)), "c": only})["c"]
        np.testing.assert_allclose(g, f * only, rtol=1e-15, atol=0)  # dc_n / dc_m is f_n for m = n, else exactly 0


def test_over_a_sequence_the_cells_derivative_is_the_product_of_the_forget_gates() -> None:
    m = session(LAYER)
    (cell,) = {path.rpartition(".")[0] for path in m.params}
    m.params[f"{cell}.U"] = np.zeros((4, 4, 4))  # no way around through h
    x, zero, steps = RNG.normal(size=(2, 30, 3)), np.zeros((2, 4)), 30
    f = sigmoid(x @ m.params[f"{cell}.W"][:, 0] + m.params[f"{cell}.b"][0] + 1)
    seeds = {"y": np.zeros((2, steps, 4)), "h": zero, "c": np.ones((2, 4))}
    g = gradients(m, ["c"], {"x": x, "h": zero, "c": zero}, seeds)["c"]
    np.testing.assert_allclose(g, f.prod(1), rtol=1e-13)
