"""Attention and the layers of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.peers.carry import Own
from tests.peers.conftest import Agree
from tests.peers.layers import causal, positions
from tests.peers.twin import F, Module, Tensor, block, compare, nn, torch

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(14)
X, M = RNG.normal(size=(3, 5, 8)), RNG.normal(size=(3, 7, 6))
Q, K, V = RNG.normal(size=(3, 5, 2, 4)), RNG.normal(size=(3, 7, 2, 4)), RNG.normal(size=(3, 7, 2, 4))
KEEP = np.arange(7) < np.array([[7], [2], [5]])
KEEP_X = np.arange(5) < np.array([[5], [2], [3]])
NOTHING = KEEP & (np.arange(3) != 1)[:, None]  # nothing is to be seen in the second sample
SIGNATURE = "q: [B, Q, H=2, E=4], k: [B, K, H=2, E=4], v: [B, K, H=2, E=4], keep: bool[B, K]"


def scaled_dot_product(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, is_causal: bool = False) -> Tensor:
    """Heads are axis 2 in the text, axis 1 in PyTorch."""
    see = keep[:, None, None]
    if is_causal:
        see = see & ~causal(len(k[0]))[: len(q[0])]
    return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), attn_mask=see).transpose(1, 2)


@pytest.mark.parametrize("keep", [KEEP, NOTHING], ids=["padding", "a row with nothing to see"])
@pytest.mark.parametrize("is_causal", [False, True], ids=["all", "causal"])
def test_scaled_dot_product_attention_is_pytorchs(keep: Any, is_causal: bool, agree: Agree) -> None:
    m = block(SIGNATURE, f"attention[causal = {str(is_causal).lower()}](q, k, v, keep)")
    agree(compare(m, lambda w, q, k, v, keep: scaled_dot_product(q, k, v, keep, is_causal), [Q, K, V, keep]))


def test_where_there_is_nothing_to_see_results_and_gradients_are_zero() -> None:
    """As in PyTorch since 2.5: a mean over nothing is 0, not NaN."""
    m = block(SIGNATURE, "attention(q, k, v, keep)")
    assert not m(Q, K, V, NOTHING)[1].any()
    q = torch.tensor(Q, requires_grad=True)
    scaled_dot_product(q, *map(torch.tensor, (K, V, NOTHING))).sum().backward()
    assert not q.grad[1].any()


def attention(width: int = 8, **named: Any) -> Any:
    return nn.MultiheadAttention(8, 2, batch_first=True, kdim=width, vdim=width, **named)


class Look(Module):
    """PyTorch's attention from x at m, without its table of weights."""

    def __init__(self, module: Any, is_causal: bool = False):
        super().__init__()
        self.module, self.is_causal = module, is_causal

    def forward(self, x: Tensor, m: Tensor, keep: Tensor | None = None) -> Tensor:
        hidden = None if keep is None else ~keep
        mask = causal(len(x[0])) if self.is_causal else None
        return self.module(x, m, m, key_padding_mask=hidden, attn_mask=mask, need_weights=False)[0]


class Self(Module):
    """x looks at itself."""

    def __init__(self, look: Any):
        super().__init__()
        self.look = look

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        return self.look(x, x, keep)


@pytest.mark.parametrize("bias", ["none", "zeros"])
@pytest.mark.parametrize("keep", [KEEP, NOTHING], ids=["padding", "a row with nothing to see"])
def test_multi_head_attention_is_pytorchs(bias: str, keep: Any, agree: Agree) -> None:
    m = block("x: [B, T, D=8], m: [B, S, M=6], keep: bool[B, S]", f"MultiHead[2, bias = {bias}](x, m, keep)")
    agree(compare(m, Look(attention(6, bias=bias == "zeros")), [X, M, keep]))


@pytest.mark.parametrize("is_causal", [False, True], ids=["all", "causal"])
def test_self_attention_is_pytorchs(is_causal: bool, agree: Agree) -> None:
    body = f"SelfAttention[2, causal = {str(is_causal).lower()}, bias = zeros](x, keep)"
    agree(compare(block("x: [B, T, D=8], keep: bool[B, T]", body), Self(Look(attention(), is_causal)), [X, KEEP_X]))


@pytest.mark.parametrize("where", ["padding behind", "padding in front"])
def test_causal_attention_with_padding_in_front_sees_nothing_there(where: str, agree: Agree) -> None:
    """With padding in front the first positions see nothing at all: zeros, in PyTorch too, and no NaN."""
    keep = KEEP_X if where == "padding behind" else KEEP_X[:, ::-1].copy()
    m = block("x: [B, T, D=8], keep: bool[B, T]", "SelfAttention[2, causal = true](x, keep)")
    agree(compare(m, Self(Look(attention(bias=False), True)), [X, keep]))


LAYER = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0, "batch_first": True}


@pytest.mark.parametrize("bias", ["none", "zeros"])
@pytest.mark.parametrize("first", [False, True], ids=["norm after", "norm first"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_an_encoder_layer_is_pytorchs(bias: str, first: bool, activation: str, agree: Agree) -> None:
    options = f"first = {str(first).lower()}, activation = {activation}, bias = {bias}"
    m = block("x: [B, T, D=8], keep: bool[B, T]", f"EncoderLayer[2, 12, P = 0, {options}](x, keep)")
    layer = nn.TransformerEncoderLayer(**LAYER, activation=activation, norm_first=first)

    class Twin(Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor, keep: Tensor) -> Tensor:
            return self.layer(x, src_key_padding_mask=~keep)

    agree(compare(m, Twin(), [X, KEEP_X], train=True))


class Decoder(Module):
    """PyTorch's decoder layers on targets y and a memory m."""

    def __init__(self, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.TransformerDecoderLayer(**LAYER) for _ in range(layers))

    def forward(self, y: Tensor, m: Tensor, keep: Tensor, keep_m: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = {"tgt_key_padding_mask": ~keep, "memory_key_padding_mask": ~keep_m}
            y = layer(y, m, tgt_mask=causal(len(y[0])), **hidden)
        return y


DECODERS = ("DecoderLayer[2, 12, P = 0, bias = zeros]", "DecoderLayer[2, 12, P = 0]", "Decoder[2, 2, 12, P = 0]")


@pytest.mark.parametrize("body", DECODERS)
def test_decoder_layers_are_pytorchs(body: str, agree: Agree) -> None:
    m = block("y: [B, T, D=8], m: [B, S, M=8], keep: bool[B, T], keep_m: bool[B, S]", f"{body}(y, m, keep, keep_m)")
    memory = RNG.normal(size=(3, 7, 8))
    agree(compare(m, Decoder(2 if body.startswith("Decoder[") else 1), [X, memory, KEEP_X, KEEP], train=True))


def test_sinusoidal_positions_are_those_of_the_tutorial(agree: Agree) -> None:
    agree(compare(block("x: [B, T, D=8]", "x -> positions"), lambda w, x: positions(x), [X]))


def test_trained_positions_are_a_table(agree: Agree) -> None:
    agree(compare(block("x: [B, T, D=8]", "x -> Positions[9]"), lambda w, x: x + w("W")[:5], [X]))


class Patches(Module):
    """As torchvision cuts pictures: a convolution with stride."""

    def __init__(self) -> None:
        super().__init__()
        self.own = Own("W", "b")

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.own.W.T.reshape(5, 2, 3, 3)
        return F.conv2d(x, kernel, self.own.b, stride=3).flatten(2).transpose(1, 2)


def test_patches_are_a_convolution_with_stride(agree: Agree) -> None:
    m = block("image: [B, C=2, H=6, W=9]", "image -> Patches[3, 5]")
    agree(compare(m, Patches(), [RNG.normal(size=(3, 2, 6, 9))]))
