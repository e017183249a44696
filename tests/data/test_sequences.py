"""Sequence tasks: the answers are right, for every sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import decode, load
from zhdsl.errors import TrainingError


@pytest.mark.parametrize(("name", "step"), [("copy", 1), ("reversed", -1)])
def test_copy_and_reverse_answer_with_the_source(name: str, step: int) -> None:
    arrays = load(name, {"samples": 50, "T": 7, "V": 5, "shortest": 2}, Path())
    lengths = set()
    for src, tgt, after in zip(*arrays.fields.values(), strict=True):
        text = decode(src, arrays.names["src"])
        assert decode(after, arrays.names["next"]) == decode(tgt, arrays.names["tgt"]) == text[::step]
        assert tgt[0] == 1
        assert after[len(text)] == 2
        assert (after[len(text) + 1 :] == 0).all()
        lengths.add(len(text))
    assert lengths == set(range(2, 8))
    assert set(np.unique(arrays.fields["src"])) == {0, *range(3, 8)}


def test_rows_are_full_unless_a_shortest_is_given() -> None:
    assert (load("copy", {"samples": 9}, Path()).fields["src"] > 0).all()


def test_adding_marks_two_numbers_and_gives_their_sum() -> None:
    fields = load("adding", {"samples": 400, "T": 9}, Path()).fields
    numbers, marks = fields["x"][:, :, 0], fields["x"][:, :, 1]
    assert (marks[:, :4].sum(axis=1) == 1).all()
    assert (marks[:, 4:].sum(axis=1) == 1).all()
    assert np.allclose((numbers * marks).sum(axis=1, keepdims=True), fields["y"], atol=1e-6)
    assert abs(((fields["y"] - 1) ** 2).mean() - 1 / 6) < 0.03


def test_the_first_token_is_the_label_and_all_are_equally_frequent() -> None:
    fields = load("first_token", {"samples": 80, "T": 30, "V": 4}, Path()).fields
    assert (fields["x"][:, 0] == fields["label"]).all()
    assert np.bincount(fields["label"]).tolist() == [20] * 4
    assert 0.2 < (fields["x"][:, 1:] == fields["label"][:, None]).mean() < 0.3  # the rest tells nothing


@pytest.mark.parametrize(
    ("name", "statics"),
    [
        ("copy", {"T": 0}),
        ("copy", {"V": 0}),
        ("copy", {"V": 10**9}),
        ("copy", {"shortest": 11}),
        ("adding", {"T": 1}),
        ("first_token", {"V": -1}),
    ],
)
def test_sizes_that_make_no_task_are_errors(name: str, statics: dict[str, int | float | bool | str]) -> None:
    with pytest.raises(TrainingError):
        load(name, statics, Path())
