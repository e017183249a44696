"""Recipes of sequences that train in under a minute: they reach what they promise on data they have not seen."""

from __future__ import annotations

import pytest

import zhdsl as zh
from tests.conftest import ROOT
from zhdsl.train.result import Result

SPECS = ROOT / "specs"
TRAINED = {
    "sequences/shapes.zh": "OneToMany",
    "sequences/bidirectional.zh": "Rows",
    "sequences/adding.zh": "Add",
    "translation/bahdanau.zh": "Teach",
    "transformers/encoder_classifier.zh": "Rows",
}


def trained(name: str, recipe: str) -> Result:
    """The result of a recipe as it is written, its expectations met on the test part."""
    found = zh.load(SPECS / name, recipe).fit(reporters=[])
    assert found.part == "test"
    assert found.expectations
    assert all(e.holds for e in found.expectations), found.metrics
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_recipe_reaches_its_floor(name: str) -> None:
    trained(name, TRAINED[name])


@pytest.mark.slow
def test_the_lstm_keeps_over_a_hundred_steps_what_the_simple_network_forgets() -> None:
    """As wide, as long in training, the same data: only the cell is another."""
    found = {name: trained("sequences/first_token.zh", name).metrics["acc"] for name in ("Elman", "Lstm")}
    assert found["Lstm"] - found["Elman"] > 0.5
