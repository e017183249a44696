"""Recurrent layers, with sequences of one length and of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.layers import GRU, Bahdanau, Both, First, GRUCell, LSTMCell, Packed, lstm
from tests.peers.twin import Array, Tensor, Twin, block, compare, nn, torch

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(13)
X = RNG.normal(size=(4, 6, 5))
H, C = RNG.normal(size=(2, 4, 3))
LENGTHS = (6, 1, 4, 3)


def keep(lengths: Sequence[int], n: int = 6) -> Array:
    return np.arange(n) < np.array(lengths)[:, None]


def rnn(**named: Any) -> Any:
    return nn.RNN(5, 3, batch_first=True, **named)


LAYERS: dict[str, tuple[Twin, Twin]] = {
    "RNN[3]": (First(rnn()), Packed(rnn())),
    "LSTM[3]": (First(lstm(5, 3)), Packed(lstm(5, 3))),
    "LSTM[3, forget = 1]": (First(lstm(5, 3, 1.0)), Packed(lstm(5, 3, 1.0))),
    "GRU[3]": (GRU(3), GRU(3)),
    "Bidirectional[RNN[3]]": (First(rnn(bidirectional=True)), Packed(rnn(bidirectional=True))),
    "Bidirectional[LSTM[3]]": (First(lstm(5, 3, bidirectional=True)), Packed(lstm(5, 3, bidirectional=True))),
    "Bidirectional[GRU[3]]": (Both(GRU(3), GRU(3, True)), Both(GRU(3), GRU(3, True))),
    "Stack[LSTM[3], 3]": (First(lstm(5, 3, num_layers=3)), Packed(lstm(5, 3, num_layers=3))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_pytorchs(name: str, agree: Agree) -> None:
    agree(compare(block("x: [B, T, D=5]", f"x -> {name}"), LAYERS[name][0], [X]))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_on_sequences_of_several_lengths_is_pytorchs(name: str, agree: Agree) -> None:
    layer, _, rest = name.partition(", 3]")
    m = block("x: [B, T, D=5], keep: bool[B, T]", f"{layer}{', 3]' if _ else ''}{rest}(x, keep)")
    agree(compare(m, LAYERS[name][1], [X, keep(LENGTHS)]))


CELLS: dict[str, tuple[str, Twin, list[Array]]] = {
    "RNNCell[3](x, h)": ("", lambda w, x, h: torch.tanh(x @ w("W") + h @ w("U") + w("b")), [X[:, 0], H]),
    "GRUCell[3](x, h)": ("", GRUCell(), [X[:, 0], H]),
    "LSTMCell[3](x, h, c)": (", c: [B, M=3]", LSTMCell(), [X[:, 0], H, C]),
}


@pytest.mark.parametrize("body", CELLS)
def test_a_cell_is_its_formula(body: str, agree: Agree) -> None:
    more, twin, given = CELLS[body]
    agree(compare(block(f"x: [B, D=5], h: [B, N=3]{more.replace('M=', 'N=')}", body), twin, given))


def test_an_lstm_goes_on_from_a_state_and_gives_the_one_it_ends_in(agree: Agree) -> None:
    layer = lstm(5, 3)

    class From(First):
        def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
            y, (h, c) = self.module(x, (h[None], c[None]))
            return y, h[0], c[0]

    m = block("x: [B, T, D=5], h: [B, N=3], c: [B, N=3]", "LSTMFrom[3](x, h, c)")
    agree(compare(m, From(layer), [X, H, C]))


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_additive_attention_is_its_formula(lengths: Sequence[int] | None, agree: Agree) -> None:
    more, last = (", keep: bool[B, K]", ", keep") if lengths else ("", "")
    m = block(f"s: [B, U=3], m: [B, K, D=5]{more}", f"Bahdanau[4](s, m{last})")
    agree(compare(m, Bahdanau(), [H, X, *([keep(lengths)] if lengths else [])]))


def test_multiplicative_attention_is_its_formula(agree: Agree) -> None:
    def luong(w: Any, s: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        alpha = torch.einsum("bu,ud,bkd->bk", s, w("W"), m).softmax(1)
        return torch.einsum("bk,bkd->bd", alpha, m), alpha

    agree(compare(block("s: [B, U=3], m: [B, K, D=5]", "Luong(s, m)"), luong, [H, X]))
