"""attention.zh: against the formulas, what may be seen, the whole layers against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, gradient_error, session, set_params, value
from zhdsl.runtime.session import Session

RNG = np.random.default_rng(11)
X = RNG.normal(size=(2, 5, 8))
M = RNG.normal(size=(2, 4, 6))
KEEP = np.array([[True, True, False, True], [True, False, False, True]])
QKV = "q: [B, Q, H=2, E=3], k: [B, K, H=2, E=3], v: [B, K, H=2, E=3]"


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def attended(q: Array, k: Array, v: Array, see: Array) -> Array:
    """q: [B, Q, H, E], see: [B, Q, K]."""
    score = np.einsum("bqhe,bkhe->bhqk", q, k) / np.sqrt(q.shape[-1])
    return np.asarray(np.einsum("bhqk,bkhe->bqhe", softmax(np.where(see[:, None], score, -1e300)), v))


def test_attention_is_its_formula_with_and_without_masks() -> None:
    q, k, v = RNG.normal(size=(2, 4, 2, 3)), *RNG.normal(size=(2, 2, 4, 2, 3))
    everything, before = np.ones((2, 4, 4), bool), np.tril(np.ones((4, 4), bool))
    np.testing.assert_allclose(value(QKV, "attention(q, k, v)", q, k, v), attended(q, k, v, everything))
    np.testing.assert_allclose(
        value(QKV, "attention[causal = true](q, k, v)", q, k, v), attended(q, k, v, everything & before)
    )
    found = value(f"{QKV}, keep: bool[B, K]", "attention[causal = true](q, k, v, keep)", q, k, v, KEEP)
    np.testing.assert_allclose(found, attended(q, k, v, KEEP[:, None] & before), atol=1e-12)


def test_the_gradient_of_attention_is_right_with_a_row_that_sees_nothing() -> None:
    q, k, v = RNG.normal(size=(2, 3, 2, 3)), *RNG.normal(size=(2, 2, 3, 2, 3))
    keep = np.array([[False, True, True], [False, False, False]])
    assert gradient_error(f"{QKV}, keep: bool[B, K]", "attention[causal = true](q, k, v, keep)", q, k, v, keep) < 1e-6
    assert (value(f"{QKV}, keep: bool[B, K]", "attention(q, k, v, keep)", q, k, v, keep)[1] == 0).all()


def projected(m: Session, x: Array, memory: Array, see: Array) -> Array:
    p = {path.split(".")[-1]: array for path, array in m.params.items()}
    q, k, v = (np.einsum("btd,dhe->bthe", a, p[n]) for a, n in ((x, "Wq"), (memory, "Wk"), (memory, "Wv")))
    q, k, v = q + p.get("bq", 0), k + p.get("bk", 0), v + p.get("bv", 0)
    return np.asarray(np.einsum("bthe,hed->btd", attended(q, k, v, see), p["Wo"]) + p.get("bo", 0))


@pytest.mark.parametrize("bias", ["none", "normal_init[1]"])
def test_many_heads_look_at_a_memory_of_another_width(bias: str) -> None:
    m = session("x: [B, Q, D=8], m: [B, K, M=6], keep: bool[B, K]", f"MultiHead[2, bias = {bias}](x, m, keep)")
    see = np.broadcast_to(KEEP[:, None], (2, 5, 4))
    np.testing.assert_allclose(m(X, M, KEEP), projected(m, X, M, see), rtol=1e-9)


def test_self_attention_is_attention_to_itself() -> None:
    m = session("x: [B, T, D=8]", "x -> SelfAttention[4, causal = true]")
    np.testing.assert_allclose(m(X), projected(m, X, X, np.tril(np.ones((2, 5, 5), bool))), rtol=1e-9)


def test_no_position_sees_a_later_one_in_a_causal_layer() -> None:
    m = session("x: [B, T, D=8]", "x -> EncoderLayer[2, 16, causal = true]")
    before, other = m(X), X.copy()
    other[:, 3:] += 1
    np.testing.assert_array_equal(m(other)[:, :3], before[:, :3])
    assert (m(other)[:, 3:] != before[:, 3:]).all()


def test_bahdanau_weighs_the_memory_by_a_small_network() -> None:
    m = session("s: [B, U=5], m: [B, K, D=6], keep: bool[B, K]", "c, alpha = Bahdanau[7](s, m, keep)\nreturn c, alpha")
    s = RNG.normal(size=(2, 5))
    c, alpha = m(s, M, KEEP).values()
    p = {path.split(".")[-1]: array for path, array in m.params.items()}
    score = np.tanh((s @ p["Ws"])[:, None] + M @ p["Wm"]) @ p["v"]
    wanted = softmax(np.where(KEEP, score, -1e300))
    np.testing.assert_allclose(alpha, wanted, atol=1e-12)
    np.testing.assert_allclose(c, np.einsum("bk,bkd->bd", wanted, M), rtol=1e-9)


def test_luong_scores_by_a_form_in_both() -> None:
    m = session("s: [B, U=5], m: [B, K, D=6]", "c, alpha = Luong(s, m)\nreturn c, alpha")
    s = RNG.normal(size=(2, 5))
    (w,) = m.params.values()
    np.testing.assert_allclose(m(s, M)["result2"], softmax(np.einsum("bu,ud,bkd->bk", s, w, M)), rtol=1e-9)


def test_positions_are_sines_and_cosines_of_falling_frequency() -> None:
    found = value("x: [B, T, D=8]", "positions(x)", np.zeros((1, 6, 8)))[0]
    for t in range(6):
        for i in range(4):
            angle = t / 10_000 ** (2 * i / 8)
            np.testing.assert_allclose(found[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-12)


def test_trained_positions_are_added_up_to_the_length_there_is() -> None:
    m = session("x: [B, T, D=8]", "x -> Positions[7]")
    np.testing.assert_array_equal(m(X), X + m.params["positions.W"][:5])


def test_patches_are_cut_row_by_row() -> None:
    m = session("image: [B, C=2, H=4, W=6]", "image -> Patches[2, 24]")
    m.params["patches.dense.W"] = np.eye(8, 24)
    image = RNG.normal(size=(1, 2, 4, 6))
    found = m(image)
    assert found.shape == (1, 6, 24)
    np.testing.assert_array_equal(found[0, 4, :8], image[0, :, 2:4, 2:4].reshape(-1))


def test_an_encoder_is_its_layers_and_a_decoder_sees_the_memory() -> None:
    m = session("x: [B, T, D=8], keep: bool[B, T]", "Encoder[2, 2, 16, P = 0.5](x, keep)")
    assert len({path.split(".")[1] for path in m.params}) == 2
    keep = np.array([[True] * 3 + [False] * 2] * 2)
    before, other = m(X, keep), X.copy()
    other[:, 3:] += 1
    np.testing.assert_array_equal(m(other, keep)[:, :3], before[:, :3])
    d = session("y: [B, T, D=8], m: [B, S, M=6]", "Decoder[2, 2, 16](y, m)")
    assert (d(X, M) != d(X, M + 1)).all()


# ---------------------------------------------------------------- against PyTorch
def torch_attention(m: Session, layer: Any, prefix: str, torch: Any) -> None:
    """Copies projections of ours into a torch.nn.MultiheadAttention."""
    p = {path.removeprefix(prefix): a for path, a in m.params.items() if path.startswith(prefix)}
    d = p["Wq"].shape[0]
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.tensor(np.concatenate([p[n].reshape(d, d).T for n in ("Wq", "Wk", "Wv")])))
        layer.in_proj_bias.copy_(torch.tensor(np.concatenate([p[n].reshape(d) for n in ("bq", "bk", "bv")])))
        layer.out_proj.weight.copy_(torch.tensor(p["Wo"].reshape(d, d).T))
        layer.out_proj.bias.copy_(torch.tensor(p["bo"]))


def randomized(m: Session) -> Session:
    set_params(m, {path: RNG.normal(size=array.shape) for path, array in m.params.items()})
    return m


@pytest.mark.torch
@pytest.mark.parametrize("first", [True, False])
def test_an_encoder_layer_is_that_of_pytorch(first: bool) -> None:
    torch = pytest.importorskip("torch")
    shown = str(first).lower()
    m = randomized(
        session("x: [B, T, D=8]", f"x -> EncoderLayer[2, 16, first = {shown}, activation = gelu, bias = zeros]")
    )
    net = (
        torch.nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=first)
        .double()
        .eval()
    )
    at = "encoderlayer."
    torch_attention(m, net.self_attn, f"{at}see.multihead.", torch)
    with torch.no_grad():
        for i, name in ((1, "dense"), (2, "dense2")):
            linear, norm = getattr(net, f"linear{i}"), getattr(net, f"norm{i}")
            linear.weight.copy_(torch.tensor(m.params[f"{at}feed.{name}.W"].T))
            linear.bias.copy_(torch.tensor(m.params[f"{at}feed.{name}.b"]))
            norm.weight.copy_(torch.tensor(m.params[f"{at}norm{i}.gain"]))
            norm.bias.copy_(torch.tensor(m.params[f"{at}norm{i}.bias"]))
        np.testing.assert_allclose(m(X), net(torch.tensor(X)).numpy(), rtol=1e-8, atol=1e-10)
