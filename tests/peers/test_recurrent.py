"""Recurrent layers, with sequences of one length and of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.layers import GRU, Bahdanau, Both, First, GRUCell, LSTMCell, Packed, lstm
from tests.peers.twin import Array, Tensor, Twin, block, compare, nn, run, torch
from zhdsl.runtime.session import Session
from zhdsl.runtime.step import gradient_graph

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(13)
X = RNG.normal(size=(4, 6, 5))
H, C = RNG.normal(size=(2, 4, 3))
LENGTHS = (6, 1, 4, 3)


def keep(lengths: Sequence[int], n: int = 6) -> Array:
    return np.arange(n) < np.array(lengths)[:, None]


def rnn(**named: Any) -> Any:
    return nn.RNN(5, 3, batch_first=True, **named)


def gru(**named: Any) -> Any:
    return nn.GRU(5, 3, batch_first=True, **named)


LAYERS: dict[str, tuple[Twin, Twin]] = {
    "RNN[3]": (First(rnn()), Packed(rnn())),
    "LSTM[3]": (First(lstm(5, 3)), Packed(lstm(5, 3))),
    "LSTM[3, forget = 1]": (First(lstm(5, 3, 1.0)), Packed(lstm(5, 3, 1.0))),
    "GRU[3]": (GRU(3), GRU(3)),
    "GRU[3, after = true]": (First(gru()), Packed(gru())),
    "Bidirectional[RNN[3]]": (First(rnn(bidirectional=True)), Packed(rnn(bidirectional=True))),
    "Bidirectional[LSTM[3]]": (First(lstm(5, 3, bidirectional=True)), Packed(lstm(5, 3, bidirectional=True))),
    "Bidirectional[GRU[3]]": (Both(GRU(3), GRU(3, True)), Both(GRU(3), GRU(3, True))),
    "Bidirectional[GRU[3, after = true]]": (First(gru(bidirectional=True)), Packed(gru(bidirectional=True))),
    "Stack[LSTM[3], 3]": (First(lstm(5, 3, num_layers=3)), Packed(lstm(5, 3, num_layers=3))),
    "Stack[GRU[3, after = true], 3]": (First(gru(num_layers=3)), Packed(gru(num_layers=3))),
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


NOTHING = (6, 0, 4, 3)  # nothing is to be seen in the second sample


@pytest.mark.parametrize("kind", ["Bahdanau[4]", "Luong"])
def test_where_there_is_nothing_to_see_weights_results_and_gradients_are_zero_and_the_others_as_before(
    kind: str, agree: Agree
) -> None:
    """PyTorch's softmax gives NaN for such a row, forwards and backwards: it is compared on the samples that see."""
    m = block("s: [B, U=3], m: [B, K, D=5], keep: bool[B, K]", f"{kind}(s, m, keep)")
    mask, seen = keep(NOTHING), np.array(NOTHING) > 0
    found = m(H, X, mask)
    for array in found.values():
        assert np.isfinite(array).all()
        assert not array[1].any()
    for name, alone in m(H[seen], X[seen], mask[seen]).items():
        np.testing.assert_allclose(found[name][seen], alone, rtol=1e-12, atol=1e-14)
    every, some = (attention_gradients(kind, m, *arrays) for arrays in ((H, X, mask), (H[seen], X[seen], mask[seen])))
    assert all(np.isfinite(g).all() for g in every.values())
    assert not every["s"][1].any()
    assert not every["m"][1].any()
    for name, g in some.items():
        np.testing.assert_allclose(every[name][seen] if name in "sm" else every[name], g, rtol=1e-10, atol=1e-13)


def attention_gradients(kind: str, m: Session, s: Array, memory: Array, mask: Array) -> dict[str, Array]:
    """Of the sum of the squared results, by inputs and weights."""
    text = f"c, alpha = {kind}(s, m, keep)\nreturn sum(c ^ 2) + sum(alpha ^ 2)"
    whole = block("s: [B, U=3], m: [B, K, D=5], keep: bool[B, K]", text)
    for path, array in m.params.items():
        whole.params[path] = array
    found = run(whole, gradient_graph(whole.spec.model, ["s", "m", *whole.params]), {"s": s, "m": memory, "keep": mask})
    return {name: g for (role, name), g in found.items() if role == "grad"}


def test_multiplicative_attention_is_its_formula(agree: Agree) -> None:
    def luong(w: Any, s: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        alpha = torch.einsum("bu,ud,bkd->bk", s, w("W"), m).softmax(1)
        return torch.einsum("bk,bkd->bd", alpha, m), alpha

    agree(compare(block("s: [B, U=3], m: [B, K, D=5]", "Luong(s, m)"), luong, [H, X]))
