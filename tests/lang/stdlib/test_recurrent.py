"""recurrent.zh: cells against their equations step by step, masks, directions, states that go on, and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, entry_of, gradient_error, session, set_params
from zhdsl.runtime.session import Session

RNG = np.random.default_rng(7)
SEQUENCE = "x: [B, T, D=3]"
X = RNG.normal(size=(2, 5, 3))
KEEP = np.array([[True, True, True, False, False], [True, True, True, True, True]])


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def weights(m: Session, *names: str) -> list[Array]:
    return [entry_of(name, m) for name in names]


def elman(m: Session, x: Array, h: Array) -> Array:
    w, u, b = weights(m, "W", "U", "b")
    return np.asarray(np.tanh(x @ w + h @ u + b))


def lstm(m: Session, x: Array, h: Array, c: Array, forget: float = 0.0) -> tuple[Array, Array]:
    w, u, b = weights(m, "W", "U", "b")
    z = np.einsum("bd,dgn->bgn", x, w) + np.einsum("bm,mgn->bgn", h, u) + b
    f, i, o = sigmoid(z[:, 0] + forget), sigmoid(z[:, 1]), sigmoid(z[:, 2])
    c = f * c + i * np.tanh(z[:, 3])
    return o * np.tanh(c), c


def gru(m: Session, x: Array, h: Array) -> Array:
    w, u, un, b = weights(m, "W", "U", "Un", "b")
    a = np.einsum("bd,dgn->bgn", x, w) + b
    g = sigmoid(a[:, :2] + np.einsum("bm,mgn->bgn", h, u))
    n = np.tanh(a[:, 2] + (g[:, 0] * h) @ un)
    return np.asarray((1 - g[:, 1]) * h + g[:, 1] * n)


def unrolled(layer: str, m: Session, x: Array, keep: Array) -> Array:
    """The layer's equations, step by step."""
    h = c = np.zeros((len(x), 4))
    out = []
    for t in range(x.shape[1]):
        kept = keep[:, t : t + 1]
        if layer.startswith("LSTM"):
            h1, c1 = lstm(m, x[:, t], h, c, 1.0 if "forget" in layer else 0.0)
            c = np.where(kept, c1, c)
        else:
            h1 = (elman if layer.startswith("RNN") else gru)(m, x[:, t], h)
        h = np.where(kept, h1, h)
        out.append(h)
    return np.stack(out, 1)


LAYERS = ["RNN[4]", "LSTM[4]", "LSTM[4, forget = 1]", "GRU[4]"]


def randomized(m: Session) -> Session:
    """Biases too, which start as zeros."""
    set_params(m, {path: RNG.normal(size=array.shape) for path, array in m.params.items()})
    return m


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_its_equations_step_by_step(layer: str) -> None:
    m = randomized(session(SEQUENCE, f"x -> {layer}"))
    np.testing.assert_allclose(m(X), unrolled(layer, m, X, KEEP | True), rtol=1e-10)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_state_stays_where_keep_is_false(layer: str) -> None:
    m = randomized(session(f"{SEQUENCE}, keep: bool[B, T]", f"{layer}(x, keep)"))
    y = m(X, KEEP)
    np.testing.assert_allclose(y, unrolled(layer, m, X, KEEP), rtol=1e-10)
    np.testing.assert_array_equal(y[0, 2], y[0, 4])
    other = X.copy()
    other[0, 3:] = 99
    np.testing.assert_array_equal(m(other, KEEP), y)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradient_through_time_is_right(layer: str) -> None:
    assert gradient_error(f"{SEQUENCE}, keep: bool[B, T]", f"{layer}(x, keep)", X, KEEP, order=1) < 1e-6


def test_the_gradient_of_an_lstm_is_right_to_second_order() -> None:
    assert gradient_error("x: [B, T, D=2]", "x -> LSTM[2]", X[:, :3, :2], order=2) < 1e-5


def test_an_lstm_has_one_bias_for_each_gate() -> None:
    assert session("x: [B, T, D=128]", "x -> LSTM[128]").param_count == 131_584


def test_an_lstm_goes_on_from_the_state_it_ended_in() -> None:
    whole = session(SEQUENCE, "x -> LSTM[4, forget = 1]", seed=3)
    parts = session(
        f"{SEQUENCE}, h: [B, N=4], c: [B, N=4]", "y, h1, c1 = LSTMFrom[4, forget = 1](x, h, c)\nreturn y, h1, c1"
    )
    set_params(parts, {path.split(".")[-1]: array for path, array in whole.params.items()})
    zero = np.zeros((2, 4))
    first, h, c = parts(X[:, :2], zero, zero).values()
    second, *_ = parts(X[:, 2:], h, c).values()
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole(X), rtol=1e-10)


def test_the_error_flows_through_an_lstm_cell_by_the_forget_gate() -> None:
    """dc_t / dc_(t-1) = f_t exactly: h is held fixed, c is the only way."""
    m = session(
        "x: [B, D=3], h: [B, N=4]", "param c: [N=4] = zeros\nh1, c1 = LSTMCell[4](x, h, c + 0 * h)\nreturn sum(c1)"
    )
    x, h = X[:1, 0], RNG.normal(size=(1, 4))
    w, u, b = weights(m, "W", "U", "b")
    f = sigmoid(np.einsum("bd,dn->bn", x, w[:, 0]) + np.einsum("bm,mn->bn", h, u[:, 0]) + b[0])
    np.testing.assert_allclose(m.value_and_grad(x, h)[1]["c"], f[0])


def test_bidirectional_reads_there_and_back() -> None:
    m = session(f"{SEQUENCE}, keep: bool[B, T]", "Bidirectional[GRU[4]](x, keep)")
    y = m(X, KEEP)
    assert y.shape == (2, 5, 8)
    there, back = (session(f"{SEQUENCE}, keep: bool[B, T]", "GRU[4](x, keep)") for _ in range(2))
    paths = list(m.params)
    for one, chosen in ((there, paths[:4]), (back, paths[4:])):
        set_params(one, {path.split(".")[-1]: m.params[path] for path in chosen})
    np.testing.assert_allclose(y[..., :4], there(X, KEEP))
    np.testing.assert_allclose(y[..., 4:], back(X[:, ::-1], KEEP[:, ::-1])[:, ::-1])


def test_a_stack_has_parameters_for_each_layer_and_drops_only_between_them() -> None:
    m = session(SEQUENCE, "x -> Stack[LSTM[4], 3, P = 0.5]")
    assert len(m.params) == 9
    assert m(X).shape == (2, 5, 4)
    single = session(SEQUENCE, "x -> Stack[LSTM[4], 1, P = 0.5]")
    np.testing.assert_array_equal(single(X, train=True), single(X))
    assert (m(X, train=True) != m(X)).any()


@pytest.mark.torch
def test_an_lstm_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    m = session(SEQUENCE, "x -> LSTM[4]")
    net = torch.nn.LSTM(3, 4, batch_first=True).double()
    order = [1, 0, 3, 2]  # PyTorch has i, f, g, o; here f, i, o, g
    w, u, _ = weights(m, "W", "U", "b")

    def rows(a: Any) -> Any:
        return torch.tensor(np.concatenate([a[:, g].T for g in order]))

    with torch.no_grad():
        net.weight_ih_l0.copy_(rows(w))
        net.weight_hh_l0.copy_(rows(u))
        net.bias_ih_l0.zero_()
        net.bias_hh_l0.zero_()
        np.testing.assert_allclose(m(X), net(torch.tensor(X))[0].numpy(), rtol=1e-8)
