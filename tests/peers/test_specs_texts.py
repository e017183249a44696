"""The specs on sequences, the transformers and translation, against PyTorch: small, but with all their layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.peers import texts as t
from tests.peers.carry import carried
from tests.peers.conftest import Agree
from tests.peers.layers import GRU, First, lstm
from tests.peers.specs import SPECS, Loss, Row, classes, compared, row, small
from tests.peers.twin import F, Module, Tensor, Weights, compare, nn, session, torch

pytestmark = pytest.mark.torch


def mse(p: Tensor, y: Tensor, **_: Tensor) -> Tensor:
    return F.mse_loss(p, y)


def drawing(rows: Tensor, image: Tensor, **_: Tensor) -> Tensor:
    return F.mse_loss(rows, image / 16)


def of_first(loss: Loss) -> Loss:
    """The loss of the first of several results."""
    return lambda results, **fields: loss(results[0], **fields)


CHARS = {"x": 97, "next": 97}
SHORT = {r"python_source\[T = \d+": "python_source[T = 7"}

LESS = {r"\[V, 128": "[V, 16", r"\[128": "[16"}  # narrower layers


def pairs(v: int) -> dict[str, int]:
    return {"src": v, "tgt": v, "next": v}


SEQUENCES = [
    row("sequences/adding.zh", "Add", lambda: t.one_answer(lstm(2, 64, 1.0), 64, 1), mse,
        edits={r"adding\[T = \d+": "adding[T = 9"}, B=3, T=9),
    row("sequences/bidirectional.zh", "Rows", t.rows, classes(), B=3),
    row("sequences/char_models.zh", "Elman", lambda: t.chars(t.elman(16, 16), 16, 16),
        edits=LESS, below=CHARS, B=3, T=7),
    row("sequences/char_models.zh", "Lstm", lambda: t.chars(First(lstm(16, 16, 1.0)), 16, 16),
        classes("next", 2), edits=SHORT | LESS, below=CHARS, B=3, T=7),
    row("sequences/char_models.zh", "Gru", lambda: t.chars(GRU(16), 16, 16), edits=LESS, below=CHARS, B=3, T=7),
    row("sequences/char_models.zh", "Deep", lambda: t.chars(First(lstm(16, 16, 1.0, num_layers=2)), 16, 16),
        edits=LESS, below=CHARS, B=3, T=7),
    row("sequences/char_stream.zh", "Stream", lambda: t.chars(First(lstm(16, 16, 1.0)), 16, 16),
        classes("next", 2), edits=SHORT | {r"\[V, 128": "[V, 16", r"\[128\]": "[16]"}, below=CHARS, B=3, T=7),
    row("sequences/first_token.zh", "Elman", lambda: t.one_answer(t.elman(16, 32), 32, 8, 8, 16), classes(),
        consts={"T": 9}, below={"x": 8, "label": 8}, B=5, T=9),
    row("sequences/first_token.zh", "Lstm", lambda: t.one_answer(lstm(16, 32, 5.0), 32, 8, 8, 16), classes(),
        consts={"T": 9}, below={"x": 8, "label": 8}, B=5, T=9),
    row("sequences/context_window.zh", "Window", lambda: t.Window(10, 16, 256, 97), classes("next", 2),
        edits={r"python_source\[T = \d+": "python_source[T = 13"}, below=CHARS, B=3, T=13),
    row("sequences/shapes.zh", "ManyToOne", lambda: nn.Sequential(GRU(64), t.Last(), nn.Linear(64, 10)), B=3),
    row("sequences/shapes.zh", "OneToMany", lambda: nn.Sequential(nn.Embedding(10, 64), t.Written()), drawing, B=5),
    row("sequences/shapes.zh", "ManyToMany", lambda: nn.Sequential(GRU(64), t.Last(), t.Written()), B=3),
    row("sequences/shapes.zh", "Synced", lambda: nn.Sequential(GRU(64), nn.Linear(64, 8)), B=3),
]  # fmt: skip
NO_DROPOUT = {r"coder\[2, H, 128\]": "coder[2, H, 128, 0]"}
VIT = {r"EncoderLayer\[12,": "EncoderLayer[4,", r"Positions\[197\]": "Positions[7]", "H=224, W=224": "H=32, W=48",
       "height = 224, width = 224": "height = 32, width = 48", "repeat 12": "repeat 2"}  # fmt: skip
TRANSFORMERS = [
    row("transformers/decoder_lm.zh", "Lm", lambda: t.Causal(97, 16, 2, 2, "gelu"), classes("next", 2),
        edits=SHORT, consts={"D": 16, "H": 2, "L": 7}, below=CHARS, B=3, T=7),
    row("transformers/gpt2.zh", "GPT2", lambda: t.Causal(31, 16, 4, 2, partial(F.gelu, approximate="tanh")),
        edits={"repeat 12": "repeat 2"}, consts={"V": 31, "D": 16, "H": 4, "L": 9}, below={"x": 31}, B=3, T=7),
    row("transformers/bert.zh", "Bert", lambda: t.Bert(31, 16, 4, 2), edits={"repeat 12": "repeat 2"},
        consts={"V": 31, "D": 16, "H": 4, "L": 9}, below={"x": 31, "segment": 2}, B=3, T=7),
    row("transformers/encoder_classifier.zh", "Rows", t.classifier, classes(), B=3),
    row("transformers/number_words.zh", "Translate", lambda: t.Translator(28, 64, 4, 128, 2),
        of_first(classes("next", 2, 0.1, 0)), edits=NO_DROPOUT, below=pairs(28), B=3, S=6, T=5),
    row("transformers/transformer.zh", "Transformer", lambda: t.Transformer(31, 16, 4, 24, 2),
        classes("next", 2, 0.1, 0), consts={"D": 16, "H": 4, "F": 24, "N": 2, "V": 31}, below=pairs(31), B=3, S=6, T=5),
    row("transformers/vit_b16.zh", "ViT", lambda: t.vit(16, 16, 4, 2, 1000, True, 1e-6), classes(), edits=VIT,
        consts={"D": 16}, below={"label": 1000}, B=3),
    row("transformers/vit_digits.zh", "Small", lambda: t.vit(7, 64, 4, 3, 10, False), classes(), B=3),
]  # fmt: skip
TRANSLATION = [
    row("translation/bahdanau.zh", "Teach", t.Taught, classes("next", 2, skip=0), below=pairs(68), B=3, S=29, T=11),
    row("translation/seq2seq.zh", "Translate", lambda: t.Seq2Seq(16), of_first(classes("next", 2, skip=0)),
        consts={"N": 16}, below=pairs(28), B=3, S=6, T=5),
    row("translation/attention.zh", "Translate", lambda: t.Seq2Seq(16, looks=True),
        of_first(classes("next", 2, skip=0)), consts={"N": 16}, below=pairs(28), B=3, S=6, T=5),
]  # fmt: skip


@pytest.mark.parametrize("row", SEQUENCES + TRANSFORMERS + TRANSLATION, ids=str)
def test_a_spec_is_its_twin(row: Row, agree: Agree) -> None:
    agree(compared(row))


def test_a_stream_goes_on_from_batch_to_batch(agree: Agree) -> None:
    """The state of the first batch is where the second one starts; it carries no gradient."""
    m, rng = small(next(r for r in SEQUENCES if r.name == "Stream")), np.random.default_rng(19)
    first, second = rng.integers(0, 97, (2, 3, 7)).astype(np.int32)
    layer = lstm(16, 16, 1.0)

    class Stream(Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.lstm, self.say = nn.Embedding(97, 16), layer, nn.Linear(16, 97)

        def forward(self, x: Tensor) -> Tensor:
            _, (h, c) = self.lstm(self.embed(torch.tensor(first)))
            return self.say(self.lstm(self.embed(x), (h.detach(), c.detach()))[0])

    m(first, train=True)
    agree(compare(m, Stream(), [second]))


GENERATORS: dict[str, tuple[Any, int, dict[str, int]]] = {
    "translation/bahdanau.zh:Greedy": (t.Greedy, 68, {}),
    "translation/seq2seq.zh:Greedy": (partial(t.Writer, 16), 28, {"N": 16}),
    "translation/beam.zh:Beam": (t.Beam, 68, {}),
    "transformers/decoder_lm.zh:Continue": (t.Continue, 97, {"D": 16, "H": 2}),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generation_gives_the_same_symbols(name: str, agree: Agree) -> None:
    twin, v, consts = GENERATORS[name]
    file, _, model = name.partition(":")
    m = session(SPECS / file, model, consts)
    for path in m.params:
        m.params[path] = 3 * m.params[path]  # clear decisions, and other ones for each sample
    given = np.random.default_rng(20).integers(0, v, (5, 9)).astype(np.int32)
    found = m(given)
    results = list(found.values()) if isinstance(found, dict) else [found]
    module = twin(steps=results[0].shape[1])
    wanted = torch.func.functional_call(module, carried(module, Weights(m)), torch.tensor(given).long())
    wanted = list(wanted) if isinstance(wanted, tuple) else [wanted]
    assert len({tuple(sample) for sample in results[0].reshape(5, -1)}) > 1
    for ours, theirs in zip(results, wanted, strict=True):
        if ours.dtype.kind == "i":
            np.testing.assert_array_equal(ours, theirs.numpy())
        else:
            agree({"result": float(np.abs(ours - theirs.detach().numpy()).max() / np.abs(ours).max())})
