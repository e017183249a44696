"""What a review says of a model is what the model does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zhdsl
from zhdsl.data import Arrays
from zhdsl.train import review
from zhdsl.train.parts import parts_of
from zhdsl.train.trainable import Trainable

SPECS = Path(__file__).resolve().parents[2] / "specs"


def part_of(model: Trainable) -> Arrays:
    return parts_of(model.recipe, model.spec.folder, model.seed, model.dtype).final[1]


@pytest.fixture(scope="module")
def digits() -> Trainable:
    model = zhdsl.load(SPECS / "digits.zh")
    model.prepare(**parts_of(model.recipe, model.spec.folder, model.seed, model.dtype).train.fields)
    return model


@pytest.fixture(scope="module")
def dates() -> tuple[Trainable, Arrays]:
    model = zhdsl.load(SPECS / "translation" / "bahdanau.zh", "Teach")
    return model, part_of(model)


def test_confusions_count_every_sample_once(digits: Trainable) -> None:
    part = part_of(digits)
    results = review.predicted(digits, part)
    found = review.confusion(digits, part, results)
    assert found is not None
    assert found.counts.sum() == part.size
    labels = part.fields["label"]
    assert found.counts.sum(1).tolist() == [int((labels == k).sum()) for k in range(10)]
    classes = np.argmax(results["logits"], 1)
    assert np.trace(found.counts) == int((classes == labels).sum())


def test_the_loss_of_single_samples_is_the_recipes(digits: Trainable) -> None:
    part = part_of(digits)
    found = review.losses(digits, part, 5)
    logits = review.predicted(digits, part)["logits"][:5].astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert found == pytest.approx([-log_p[i, k] for i, k in enumerate(part.fields["label"][:5])], rel=1e-4)


def test_pictures_are_from_0_to_1_whatever_the_numbers(digits: Trainable) -> None:
    (port,) = [p for p in digits.recipe.data.fields if review.is_image(p)]
    for sample in (np.full((8, 8), np.nan), np.zeros((8, 8)), np.arange(64.0).reshape(8, 8)):
        picture = review.image_of(port, sample)
        assert picture.shape == (8, 8, 1)
        assert picture.min() >= 0 and picture.max() <= 1


def test_attention_in_a_loop_is_found_with_its_tokens(dates: tuple[Trainable, Arrays]) -> None:
    model, part = dates
    (found,) = review.attention(model, part)
    text = "".join(name for name in found.columns).strip()
    assert text == review.value_text(part.fields["src"][0], part.names["src"]).strip()
    assert found.rows[0] == "<s>"
    assert found.values.shape == (len(found.rows), len(found.columns))
    assert found.values.sum(1) == pytest.approx(np.ones(len(found.rows)), abs=1e-5)


def test_attention_looks_at_no_padding(dates: tuple[Trainable, Arrays]) -> None:
    model, part = dates
    found = review.attention(model, part)[0]
    padding = part.fields["src"][0] == 0
    assert padding.any()
    assert np.all(found.values[:, padding[: found.values.shape[1]]] == 0)


def test_every_head_of_the_transformer_is_a_map() -> None:
    model = zhdsl.load(SPECS / "transformers" / "number_words.zh")
    found = review.attention(model, part_of(model))
    assert {one.title.rpartition(", ")[2] for one in found} >= {"head 1", "head 2"}
    causal = next(one for one in found if "decoder.repeat0.decoderlayer.selfattention" in one.title)
    assert np.triu(causal.values, 1).max() == 0
    for one in found:
        assert one.values.sum(1) == pytest.approx(np.ones(len(one.rows)), abs=1e-4)


def test_a_model_without_attention_has_no_maps(digits: Trainable) -> None:
    assert review.attention(digits, part_of(digits)) == []


def test_texts_of_samples_are_read_with_their_names(dates: tuple[Trainable, Arrays]) -> None:
    model, part = dates
    lines = review.told(model, part, review.predicted(model, part), 0)
    assert [line.partition(":")[0] for line in lines] == ["src", "tgt", "next", "predicted next"]
