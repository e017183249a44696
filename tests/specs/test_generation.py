"""Generation in the specs: it takes the step that training takes, and padding changes nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import zhdsl as zh
from tests.conftest import ROOT

Array = npt.NDArray[Any]
SPECS = ROOT / "specs"
TRANSLATORS = {
    "translation/seq2seq.zh": {"N": 24},
    "translation/attention.zh": {"N": 24},
    "transformers/number_words.zh": {"D": 24},
}
ATTENTIVE = "translation/attention.zh"


@cache
def translator(name: str) -> Any:
    """A narrow model with weights at random, three times as large: it says something else for each source."""
    m = zh.load(SPECS / name, "Translate", set=TRANSLATORS[name], dtype="float64")
    for path in m.params:
        m.params[path] = 3 * m.params[path]
    return m


def sources(count: int, length: int, shortest: int = 3) -> Array:
    """Letters, filled up with 0."""
    rng = np.random.default_rng(5)
    src = rng.integers(3, 28, (count, length))
    return np.where(np.arange(length) < rng.integers(shortest, length + 1, (count, 1)), src, 0).astype(np.int32)


def started(ids: Array) -> Array:
    """What is given so that `ids` come next: the start, then they."""
    return np.concatenate([np.ones_like(ids[:, :1]), ids[:, :-1]], axis=1)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_that_is_taught_its_own_words_says_them_again(name: str) -> None:
    m, src = translator(name), sources(6, 11)
    ids = m(src, started(np.zeros((6, 8), np.int32)))["ids"]
    assert len({tuple(row) for row in ids.tolist()}) > 1
    taught = m(src, started(ids))
    np.testing.assert_array_equal(taught["logits"].argmax(2), ids)
    np.testing.assert_array_equal(taught["ids"], ids)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translation_depends_on_the_start_of_the_target_alone(name: str) -> None:
    m, src, rng = translator(name), sources(4, 9), np.random.default_rng(6)
    tgt = started(rng.integers(3, 28, (4, 7)).astype(np.int32))
    other = started(rng.integers(3, 28, (4, 7)).astype(np.int32))
    np.testing.assert_array_equal(m(src, tgt)["ids"], m(src, other)["ids"])


@pytest.mark.parametrize("name", TRANSLATORS)
def test_padding_of_the_source_changes_nothing(name: str) -> None:
    m, src = translator(name), sources(5, 9)
    tgt = started(sources(5, 6, 6))
    short, long = m(src, tgt), m(np.pad(src, ((0, 0), (0, 4))), tgt)
    np.testing.assert_allclose(long["logits"], short["logits"], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(long["ids"], short["ids"])


def test_an_alignment_is_a_distribution_over_the_letters_that_there_are() -> None:
    src = sources(5, 9)
    alpha = translator(ATTENTIVE)(src, started(np.zeros((5, 6), np.int32)))["alpha"]
    assert alpha.shape == (5, 6, 9)
    np.testing.assert_allclose(alpha.sum(2), 1, rtol=1e-12)
    np.testing.assert_array_equal(alpha[np.broadcast_to((src == 0)[:, None], alpha.shape)], 0)


def test_a_language_model_goes_on_with_what_it_finds_most_likely() -> None:
    name, small = SPECS / "transformers/decoder_lm.zh", {"D": 24}
    whole, writer = (zh.load(name, model, set=small, dtype="float64") for model in ("Lm", "Continue"))
    for path in writer.params:
        writer.params[path] = whole.params[path] = 3 * whole.params[path]
    start = np.random.default_rng(7).integers(0, 97, (3, 50)).astype(np.int32)
    text = writer(start)
    np.testing.assert_array_equal(text[:, :50], start)
    np.testing.assert_array_equal(whole(text).argmax(2)[:, 49:-1], text[:, 50:])


def test_the_figures_of_a_run_are_those_of_greedy_decoding(tmp_path: Path) -> None:
    """`whole` of the recipe against the letters that the model gives for the same samples."""
    m = zh.load(SPECS / "translation/seq2seq.zh", "Translate", set={"N": 24})
    fields = {"src": sources(40, 9), "tgt": started(sources(40, 6, 6))}
    ids = m.predict(**fields)["ids"]
    wanted = np.where(np.arange(40)[:, None] < 10, ids, 3 + (ids + 1) % 25).astype(np.int32)
    found = m.evaluate(data={**fields, "next": wanted})
    assert found["whole"] == 10 / 40
