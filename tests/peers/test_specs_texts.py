"""The specs on sequences, the transformers and translation, against PyTorch: small, but with all their layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.peers import texts as t
from tests.peers.carry import carried
from tests.peers.conftest import Agree
from tests.peers.layers import GRU, First, lstm
from tests.peers.specs import SPECS, Row, classes, compared, small
from tests.peers.twin import F, Tensor, Weights, compare, nn, session, torch

pytestmark = pytest.mark.torch
TEXT = {"sizes": {"B": 3, "T": 7}, "below": {"x": 97, "next": 97}}
SHORT = {"python_source[T = 64": "python_source[T = 7"}
PAIRS = {"sizes": {"B": 3, "S": 6, "T": 5, "L": 5}}


def pairs(v: int) -> dict[str, Any]:
    return PAIRS | {"below": {"src": v, "tgt": v, "next": v}}


def smaller(**consts: tuple[str, int]) -> dict[str, str]:
    """Other values of a text's constants, by name: as it is written, and what it is here."""
    return {f"{name} = {old}": f"{name} = {new}" for name, (old, new) in consts.items()}


SEQUENCES = [
    Row("sequences/adding.zh", "Add", lambda: t.one_answer(lstm(2, 64, 1.0), 64, 1),
        lambda p, y, **_: F.mse_loss(p, y), sizes={"B": 3, "T": 50}),
    Row("sequences/bidirectional.zh", "Rows", t.rows, classes(), sizes={"B": 3}, below={"label": 10}),
    Row("sequences/char_models.zh", "Elman", lambda: t.chars(t.elman(64, 128), 64, 128), edits=SHORT, **TEXT),
    Row("sequences/char_models.zh", "Lstm", lambda: t.chars(First(lstm(128, 128, 1.0)), 128, 128),
        classes("next", 2), edits=SHORT, **TEXT),
    Row("sequences/char_models.zh", "Gru", lambda: t.chars(GRU(128), 128, 128), edits=SHORT, **TEXT),
    Row("sequences/char_models.zh", "Deep", lambda: t.chars(First(lstm(128, 128, 1.0, num_layers=2)), 128, 128),
        edits=SHORT, **TEXT),
    Row("sequences/char_stream.zh", "Stream", lambda: t.chars(First(lstm(128, 256, 1.0)), 128, 256),
        classes("next", 2), edits={"T = 32": "T = 7"}, **TEXT),
    Row("sequences/first_token.zh", "Elman", lambda: t.one_answer(t.elman(16, 32), 32, 8, 8, 16), classes(),
        edits={"T = 50": "T = 9"}, sizes={"B": 5, "T": 9}, below={"x": 8, "label": 8}),
    Row("sequences/first_token.zh", "Lstm", lambda: t.one_answer(lstm(16, 32, 3.0), 32, 8, 8, 16), classes(),
        edits={"T = 50": "T = 9"}, sizes={"B": 5, "T": 9}, below={"x": 8, "label": 8}),
]  # fmt: skip
TRANSFORMERS = [
    Row("transformers/decoder_lm.zh", "Lm", lambda: t.Causal(97, 16, 2, 4, "gelu"), classes("next", 2),
        edits=smaller(D=("128", 16), H=("4", 2), T=("64", 7)), **TEXT),
    Row("transformers/gpt2.zh", "GPT2", lambda: t.Causal(31, 16, 4, 12, lambda x: F.gelu(x, approximate="tanh")),
        edits=smaller(V=("50_257", 31), D=("768", 16), H=("12", 4), L=("1_024", 9)), sizes=TEXT["sizes"], below={"x": 31}),
    Row("transformers/bert.zh", "Bert", lambda: t.Bert(31, 16, 4, 12), sizes=TEXT["sizes"], below={"x": 31, "segment": 2},
        edits=smaller(V=("30_522", 31), D=("768", 16), H=("12", 4), L=("512", 9))),
    Row("transformers/encoder_classifier.zh", "Rows", t.classifier, classes(), sizes={"B": 3}, below={"label": 10}),
    Row("transformers/number_words.zh", "Small", lambda: t.Transformer(28, 64, 4, 128, 2),
        classes("next", 2, 0.1, 0), edits={"Encoder[2, H, 128]": "Encoder[2, H, 128, 0]", "Decoder[2, H, 128]":
        "Decoder[2, H, 128, 0]"}, **pairs(28)),
    Row("transformers/transformer.zh", "Transformer", lambda: t.Transformer(31, 16, 4, 24, 6), classes("next", 2, 0.1, 0),
        edits=smaller(D=("512", 16), H=("8", 4), F=("2048", 24), V=("37_000", 31)), **pairs(31)),
    Row("transformers/vit_b16.zh", "ViT", lambda: t.vit(16, 16, 4, 12, 1000, True, 1e-6), classes(), edits={
        "D = 768": "D = 16", "EncoderLayer[12,": "EncoderLayer[4,", "Positions[197]": "Positions[7]",
        "H=224, W=224": "H=32, W=48", "height = 224, width = 224": "height = 32, width = 48"},
        sizes={"B": 3}, below={"label": 1000}),
    Row("transformers/vit_digits.zh", "Small", lambda: t.vit(7, 64, 4, 3, 10, False), classes(),
        sizes={"B": 3}, below={"label": 10}),
]  # fmt: skip
TRANSLATION = [
    Row(
        "translation/bahdanau.zh",
        "Teach",
        t.Attending,
        classes("next", 2, skip=0),
        **pairs(68) | {"sizes": {"B": 3, "S": 29, "T": 11}},
    ),
    Row("translation/seq2seq.zh", "Teach", t.Seq2Seq, classes("next", 2, skip=0), **pairs(28)),
]


@pytest.mark.parametrize("row", SEQUENCES + TRANSFORMERS + TRANSLATION, ids=str)
def test_a_spec_is_its_twin(row: Row, agree: Agree) -> None:
    agree(compared(row))


def test_a_stream_goes_on_from_batch_to_batch(agree: Agree) -> None:
    """The state of the first batch is where the second one starts; it carries no gradient."""
    m, rng = small(next(r for r in SEQUENCES if r.name == "Stream")), np.random.default_rng(19)
    first, second = rng.integers(0, 97, (2, 3, 7)).astype(np.int32)
    layer = lstm(128, 256, 1.0)

    class Stream(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.lstm, self.say = nn.Embedding(97, 128), layer, nn.Linear(256, 97)

        def forward(self, x: Tensor) -> Tensor:
            _, (h, c) = self.lstm(self.embed(torch.tensor(first)))
            return self.say(self.lstm(self.embed(x), (h.detach(), c.detach()))[0])

    m(first, train=True)
    agree(compare(m, Stream(), [second]))


GENERATORS = [
    ("bahdanau.zh", "Greedy", t.Greedy, 68),
    ("seq2seq.zh", "Greedy", t.Writer, 28),
    ("beam.zh", "Beam", t.Beam, 68),
]


@pytest.mark.parametrize(("file", "name", "twin", "v"), GENERATORS, ids=[f"{f}:{n}" for f, n, *_ in GENERATORS])
def test_generation_gives_the_same_symbols(file: str, name: str, twin: Any, v: int, agree: Agree) -> None:
    m, module = session(SPECS / "translation" / file, name), twin()
    for path in m.params:
        m.params[path] = 3 * m.params[path]  # clear decisions, and other ones for each sample
    src = np.random.default_rng(20).integers(0, v, (5, 9)).astype(np.int32)
    wanted = torch.func.functional_call(module, carried(module, Weights(m)), torch.tensor(src).long())
    found = m(src)
    results = list(found.values()) if isinstance(found, dict) else [found]
    wanted = list(wanted) if isinstance(wanted, tuple) else [wanted]
    assert len({tuple(sample) for sample in np.moveaxis(results[0], results[0].shape.index(5), 0).reshape(5, -1)}) > 1
    for ours, theirs in zip(results, wanted, strict=True):
        if ours.dtype.kind == "i":
            np.testing.assert_array_equal(ours, theirs.numpy())
        else:
            agree({"result": float(np.abs(ours - theirs.detach().numpy()).max() / np.abs(ours).max())})
