"""Recipes of sequences that train in under a minute: they reach what they promise on data they have not seen."""

from __future__ import annotations

import pytest

import zhdsl as zh
from tests.conftest import ROOT

SPECS = ROOT / "specs"
TRAINED = [
    ("sequences/shapes.zh", "OneToMany"),
    ("sequences/bidirectional.zh", "Rows"),
    ("sequences/first_token.zh", "Lstm"),
    ("sequences/first_token.zh", "Elman"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "recipe"), TRAINED, ids=[f"{name}:{recipe}" for name, recipe in TRAINED])
def test_a_recipe_reaches_its_floor(name: str, recipe: str) -> None:
    found = zh.load(SPECS / name, recipe).fit(reporters=[])
    assert found.part == "test"
    assert found.expectations
    assert all(e.holds for e in found.expectations), found.metrics


@pytest.mark.slow
def test_the_lstm_keeps_over_a_hundred_steps_what_the_simple_network_forgets() -> None:
    """As wide, as long in training, the same data: only the cell is another."""
    accuracy = {
        name: zh.load(SPECS / "sequences/first_token.zh", name).fit(reporters=[]).metrics["acc"]
        for name in ("Elman", "Lstm")
    }
    assert accuracy["Lstm"] - accuracy["Elman"] > 0.5
