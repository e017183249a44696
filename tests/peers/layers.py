"""Twins of cells and attention that PyTorch does not have, or has otherwise: formulas on the weights of the text."""

from __future__ import annotations

from typing import Any

from tests.peers.carry import Own
from tests.peers.twin import Module, Tensor, nn, torch


class GRUCell(Own):
    """r resets the state before its product, z is the share of the new state: PyTorch's resets after, its z keeps."""

    def __init__(self) -> None:
        super().__init__("W", "U", "Un", "b")

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        r, z, n = (x @ self.W[:, g] + self.b[g] for g in range(3))
        r, z = (torch.sigmoid(a + h @ self.U[:, g]) for g, a in enumerate((r, z)))
        return (1 - z) * h + z * torch.tanh(n + (r * h) @ self.Un)


class GRU(GRUCell):
    """Along axis 1; where `keep` is false the state stays. `backwards` reads from the end."""

    def __init__(self, units: int, backwards: bool = False):
        super().__init__()
        self.units, self.backwards = units, backwards

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        h, found = x.new_zeros(len(x), self.units), {}
        steps = range(x.shape[1])
        for t in reversed(steps) if self.backwards else steps:
            new = super().forward(x[:, t], h)
            h = new if keep is None else torch.where(keep[:, t, None], new, h)
            found[t] = h
        return torch.stack([found[t] for t in steps], 1)


class Both(Module):
    """Two layers side by side."""

    def __init__(self, there: Any, back: Any):
        super().__init__()
        self.there, self.back = there, back

    def forward(self, *args: Tensor) -> Tensor:
        return torch.cat([self.there(*args), self.back(*args)], -1)


class LSTMCell(Own):
    """Gates in our order; `forget` is added to the first."""

    def __init__(self, forget: float = 0.0):
        super().__init__("W", "U", "b")
        self.forget = forget

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        f, i, o, g = (x @ self.W[:, k] + h @ self.U[:, k] + self.b[k] for k in range(4))
        c = torch.sigmoid(f + self.forget) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Bahdanau(Own):
    """c and alpha for a state s: [B, U] and a memory m: [B, K, D]."""

    def __init__(self) -> None:
        super().__init__("Ws", "Wm", "v")

    def forward(self, s: Tensor, m: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        score = torch.tanh((s @ self.Ws)[:, None] + m @ self.Wm) @ self.v
        alpha = (score if keep is None else score.masked_fill(~keep, -torch.inf)).softmax(1)
        return torch.einsum("bk,bkd->bd", alpha, m), alpha


def lstm(inputs: int, units: int, forget: float = 0.0, **named: Any) -> Any:
    """PyTorch's LSTM; its first result only."""
    layer = nn.LSTM(inputs, units, batch_first=True, **named)
    layer.forget = forget
    return layer


class First(Module):
    """The first result of a module that has several."""

    def __init__(self, module: Any):
        super().__init__()
        self.module = module

    def forward(self, *args: Tensor) -> Tensor:
        return self.module(*args)[0]


class Packed(First):
    """A recurrent layer of PyTorch on sequences of their own lengths, padded behind.

    Its results beyond the end are zeros; ours keep the last state of the direction that reads forwards.
    """

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        lengths = keep.sum(1)
        pack = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.module(pack)[0], batch_first=True, total_length=x.shape[1])
        forwards = y[..., : self.module.hidden_size]
        last = forwards[torch.arange(len(x)), lengths - 1][:, None]
        kept = torch.where(keep[..., None], forwards, last)
        return torch.cat([kept, y[..., self.module.hidden_size :]], -1)


def positions(x: Tensor) -> Tensor:
    """x: [B, T, D] and sines and cosines, as in PyTorch's tutorial on transformers."""
    t, d = x.shape[1:]
    place = torch.arange(t)[:, None] * torch.exp(-torch.arange(0, d, 2) / d * torch.log(torch.tensor(10_000.0)))
    table = torch.zeros(t, d)
    table[:, 0::2], table[:, 1::2] = place.sin(), place.cos()
    return x + table


def causal(n: int) -> Tensor:
    """True where a position may not look."""
    return torch.ones(n, n, dtype=torch.bool).triu(1)
