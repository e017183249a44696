"""PyTorch twins of the specs on sequences, of the transformers and of translation."""

from __future__ import annotations

import math
from typing import Any

from tests.peers.carry import Own
from tests.peers.layers import GRU, Bahdanau, Both, First, GRUCell, LSTMCell, causal, positions
from tests.peers.twin import F, Module, Tensor, nn, torch


# ---------------------------------------------------------------- sequences
class Last(Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1]


class Largest(Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax(1)


def elman(inputs: int, units: int) -> Any:
    return First(nn.RNN(inputs, units, batch_first=True))


def chars(layer: Any, width: int, units: int, v: int = 97) -> Any:
    """A prediction at every position."""
    return nn.Sequential(nn.Embedding(v, width), layer, nn.Linear(units, v))


def one_answer(layer: Any, units: int, answers: int, v: int = 0, width: int = 0) -> Any:
    """A prediction at the end."""
    words = [nn.Embedding(v, width)] if v else []
    return nn.Sequential(
        *words, First(layer) if not isinstance(layer, First) else layer, Last(), nn.Linear(units, answers)
    )


def rows() -> Any:
    return nn.Sequential(Both(GRU(32), GRU(32, True)), Largest(), nn.Linear(64, 10))


class Window(Module):
    """A net without a memory: at each place it sees the last k vectors, zeros before the beginning."""

    def __init__(self, k: int, width: int, units: int, v: int):
        super().__init__()
        self.k, self.embed, self.hidden = k, nn.Embedding(v, width), nn.Linear(k * width, units)
        self.say, self.straight = nn.Linear(units, v), nn.Linear(k * width, v, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        near = F.pad(self.embed(x), (0, 0, self.k - 1, 0)).unfold(1, self.k, 1).transpose(2, 3).flatten(2)
        return self.say(torch.tanh(self.hidden(near))) + self.straight(near)


class Written(Module):
    """Rows from a state, each after the one before."""

    def __init__(self, steps: int = 8, width: int = 8, units: int = 64):
        super().__init__()
        self.steps, self.width, self.cell, self.say = steps, width, GRUCell(), nn.Linear(units, width)

    def forward(self, h: Tensor) -> Tensor:
        row, found = torch.zeros(len(h), self.width), []
        for _ in range(self.steps):
            h = self.cell(row, h)
            row = self.say(h)
            found.append(row)
        return torch.stack(found, 1)


# ---------------------------------------------------------------- parts of transformers
def layer(d: int, h: int, f: int, eps: float = 1e-5, **named: Any) -> Any:
    return nn.TransformerEncoderLayer(d, h, f, 0.0, batch_first=True, layer_norm_eps=eps, **named)


class Table(Own):
    """Trained positions."""

    def __init__(self) -> None:
        super().__init__("W")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.W[: x.shape[1]]


class Ask(Own):
    """A trained word in front."""

    def __init__(self) -> None:
        super().__init__("ask")

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.ask.expand(len(x), 1, -1), x], 1)


class Patches(Own):
    """Squares of n x n pixels, row by row, channels first."""

    def __init__(self, n: int):
        super().__init__("W", "b")
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        pieces = nn.functional.unfold(x, self.n, stride=self.n).transpose(1, 2)
        return pieces @ self.W + self.b


class At(Module):
    """The first word, or the mean of all."""

    def __init__(self, first: bool):
        super().__init__()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0] if self.first else x.mean(1)


def vit(patch: int, d: int, h: int, layers: int, answers: int, asks: bool, eps: float = 1e-5) -> Any:
    front = [Patches(patch), Ask(), Table()] if asks else [Patches(patch), Table()]
    f = 4 * d if asks else 2 * d
    body = [layer(d, h, f, eps, norm_first=True, activation="gelu") for _ in range(layers)]
    return nn.Sequential(*front, *body, nn.LayerNorm(d, eps), At(asks), nn.Linear(d, answers))


class Squeeze(Module):
    """A picture of one channel as a sequence of rows."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def classifier() -> Any:
    body = [layer(64, 4, 128) for _ in range(2)]
    return nn.Sequential(Squeeze(), nn.Linear(28, 64), Table(), *body, At(False), nn.Linear(64, 10))


class Causal(Module):
    """A language model whose output is tied with its embedding."""

    def __init__(self, v: int, d: int, h: int, layers: int, activation: Any):
        super().__init__()
        self.embed, self.place = nn.Embedding(v, d), Table()
        self.body = nn.ModuleList(layer(d, h, 4 * d, norm_first=True, activation=activation) for _ in range(layers))
        self.norm = nn.LayerNorm(d)

    def forward(self, x: Tensor) -> Tensor:
        h = self.place(self.embed(x))
        for part in self.body:
            h = part(h, src_mask=causal(x.shape[1]))
        return self.norm(h) @ self.embed.weight.T


class Continue(Causal):
    """A beginning, and the most likely letter after it until there are `steps`; its text is as long from the start."""

    def __init__(self, steps: int):
        super().__init__(97, 16, 2, 2, "gelu")
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        while x.shape[1] < self.steps:
            x = torch.cat([x, super().forward(x)[:, -1:].argmax(2)], 1)
        return x


class Bert(Module):
    def __init__(self, v: int, d: int, h: int, layers: int):
        super().__init__()
        self.word, self.part, self.place = nn.Embedding(v, d), nn.Embedding(2, d), Table()
        self.norm = nn.LayerNorm(d, 1e-12)
        self.body = nn.ModuleList(layer(d, h, 4 * d, 1e-12, activation="gelu") for _ in range(layers))
        self.pool = nn.Linear(d, d)

    def forward(self, x: Tensor, segment: Tensor) -> tuple[Tensor, Tensor]:
        h = self.norm(self.place(self.word(x) + self.part(segment)))
        for part in self.body:
            h = part(h, src_key_padding_mask=x == 0)
        return h, torch.tanh(self.pool(h[:, 0]))


class Transformer(Module):
    """One embedding for source, target and output; 0 is padding."""

    def __init__(self, v: int, d: int, h: int, f: int, layers: int):
        super().__init__()
        self.embed, self.d = nn.Embedding(v, d), d
        self.read = nn.ModuleList(layer(d, h, f) for _ in range(layers))
        self.write = nn.ModuleList(nn.TransformerDecoderLayer(d, h, f, 0.0, batch_first=True) for _ in range(layers))

    def memory(self, src: Tensor) -> Tensor:
        m = positions(self.embed(src) * math.sqrt(self.d))
        for part in self.read:
            m = part(m, src_key_padding_mask=src == 0)
        return m

    def step(self, tgt: Tensor, m: Tensor, src: Tensor) -> Tensor:
        y = positions(self.embed(tgt) * math.sqrt(self.d))
        for part in self.write:
            hidden = {"tgt_key_padding_mask": tgt == 0, "memory_key_padding_mask": src == 0}
            y = part(y, m, tgt_mask=causal(tgt.shape[1]), **hidden)
        return y @ self.embed.weight.T

    def forward(self, src: Tensor, tgt: Tensor) -> Any:
        return self.step(tgt, self.memory(src), src)


class Translator(Transformer):
    """Also the most likely letters, each after those that it said before."""

    def forward(self, src: Tensor, tgt: Tensor) -> tuple[Tensor, Tensor]:
        m, said = self.memory(src), tgt[:, :1]
        while said.shape[1] <= tgt.shape[1]:
            said = torch.cat([said, self.step(said, m, src)[:, -1:].argmax(2)], 1)
        return super().forward(src, tgt), said[:, 1:]


# ---------------------------------------------------------------- translation
class Attending(Module):
    """Bahdanau's: a GRU in both directions reads, a GRU writes and looks back at every step."""

    def __init__(self, v: int = 68, steps: int = 0):
        super().__init__()
        self.steps = steps
        self.source, self.encoder = nn.Embedding(v, 32), Both(GRU(32), GRU(32, True))
        self.look, self.target, self.cell, self.say = Bahdanau(), nn.Embedding(v, 32), GRUCell(), nn.Linear(64, v)

    def read(self, src: Tensor) -> Tensor:
        return self.encoder(self.source(src), src != 0)

    def step(self, word: Tensor, s: Tensor, m: Tensor, keep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, alpha = self.look(s, m, keep)
        s = self.cell(torch.cat([self.target(word), c], -1), s)
        return self.say(s), s, alpha


class Taught(Attending):
    """The next letter after each of those that are given."""

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        m, s, found = self.read(src), torch.zeros(len(src), 64), []
        for word in tgt.unbind(1):
            y, s, _ = self.step(word, s, m, src != 0)
            found.append(y)
        return torch.stack(found, 1)


class Greedy(Attending):
    """The most likely letter at each step, and where it looked."""

    def forward(self, src: Tensor) -> tuple[Tensor, Tensor]:
        m, s, word, found = self.read(src), torch.zeros(len(src), 64), torch.ones_like(src[:, 0]), []
        for _ in range(self.steps):
            y, s, alpha = self.step(word, s, m, src != 0)
            word = y.argmax(1)
            found.append((word, alpha))
        ids, looks = zip(*found, strict=True)
        return torch.stack(ids, 1), torch.stack(looks, 1)


class Beam(Attending):
    """The four most likely sequences: PyTorch's `topk` over the letters of all beams of a sample."""

    def forward(self, src: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b, k, v = len(src), 4, self.say.out_features
        m = self.read(src).repeat_interleave(k, 0)
        keep = (src != 0).repeat_interleave(k, 0)
        s, word, found = torch.zeros(b * k, 64), torch.ones(b * k, dtype=torch.long), []
        score = torch.tensor([0.0] + [-math.inf] * (k - 1)).repeat(b, 1)
        for _ in range(self.steps):
            y, s, _ = self.step(word, s, m, keep)
            every = (score[..., None] + y.log_softmax(1).reshape(b, k, v)).reshape(b, k * v)
            score, at = every.topk(k, 1)
            token, parent = at % v, at // v
            s = s.reshape(b, k, -1).gather(1, parent[..., None].expand(b, k, 64)).reshape(b * k, -1)
            word = token.flatten()
            found.append((token, parent))
        tokens, parents = zip(*found, strict=True)
        return torch.stack(tokens, 1), torch.stack(parents, 1), score


class Seq2Seq(Module):
    """A source read backwards becomes the state from which the target is written; `looks` adds attention."""

    def __init__(self, n: int = 128, v: int = 28, looks: bool = False):
        super().__init__()
        self.source, self.reader, self.n = nn.Embedding(v, 64), LSTMCell(1.0), n
        self.look = Bahdanau() if looks else None
        self.target, self.writer, self.say = nn.Embedding(v, 64), LSTMCell(1.0), nn.Linear(n, v)

    def read(self, src: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = c = torch.zeros(len(src), self.n)
        found = []
        for x, id_ in reversed(list(zip(self.source(src).unbind(1), src.unbind(1), strict=True))):
            new, keep = self.reader(x, h, c), (id_ != 0)[:, None]
            h, c = torch.where(keep, new[0], h), torch.where(keep, new[1], c)
            found.insert(0, h)
        return torch.stack(found, 1), h, c

    def write(self, src: Tensor, tgt: Tensor, taught: bool) -> tuple[Tensor, ...]:
        """Logits, the most likely letters and where it looked; it goes on from `tgt`, or from what it said."""
        (m, h, c), word, found = self.read(src), tgt[:, 0], []
        for given in tgt.unbind(1):
            x = self.target(given if taught else word)
            at, alpha = self.look(h, m, src != 0) if self.look else (x[:, :0], x[:, :0])
            h, c = self.writer(torch.cat([x, at], 1), h, c)
            y = self.say(h)
            word = y.argmax(1)
            found.append((y, word, alpha))
        return tuple(torch.stack(parts, 1) for parts in zip(*found, strict=True))

    def forward(self, src: Tensor, tgt: Tensor) -> tuple[Tensor, ...]:
        (logits, _, _), (_, ids, alpha) = self.write(src, tgt, True), self.write(src, tgt, False)
        return (logits, ids, alpha) if self.look else (logits, ids)


class Writer(Seq2Seq):
    """What it says by itself, in `steps` letters."""

    def __init__(self, n: int, steps: int):
        super().__init__(n)
        self.steps = steps

    def forward(self, src: Tensor) -> Tensor:
        return self.write(src, torch.ones(len(src), self.steps, dtype=torch.long), False)[1]
