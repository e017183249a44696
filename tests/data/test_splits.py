"""Splits: disjoint, complete, seeded, stratified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhdsl.data import Arrays, class_counts, load, notices, split, split_indices
from zhdsl.errors import TrainingError


def numbered(count: int, labels: np.ndarray | None = None, streams: int = 0) -> Arrays:
    fields = {"x": np.arange(count, dtype=np.float32)}
    if labels is not None:
        fields["label"] = labels.astype(np.int32)
    return Arrays(fields, "made", streams=streams)


def test_the_sorted_mnist_trap_is_avoided() -> None:
    mnist = load("mnist_5k", {}, Path())
    assert (np.diff(mnist.fields["label"]) >= 0).all()  # the trap: the first 70 % lack three digits
    parts = split(mnist, seed=1)
    assert {name: set(class_counts(part).values()) for name, part in parts.items()} == {
        "train": {350},
        "valid": {75},
        "test": {75},
    }
    assert (np.bincount(parts["train"].fields["label"][:100]) == 10).all()


@given(st.integers(3, 200), st.integers(1, 8), st.integers(0, 5), st.sampled_from([None, 0.3, {"a": 0.5, "b": 0.5}]))
def test_parts_are_disjoint_complete_and_have_their_sizes(count: int, classes: int, seed: int, wanted: Any) -> None:
    arrays = numbered(count, np.arange(count) % classes)
    try:
        parts = split_indices(arrays, wanted, seed)
    except TrainingError:
        assert count < 7
        return
    joined = np.concatenate(list(parts.values()))
    assert sorted(joined.tolist()) == list(range(count))
    fractions = {None: (0.7, 0.15, 0.15), 0.3: (0.7, 0.3)}.get(wanted if isinstance(wanted, float) else None)
    expected = (0.5, 0.5) if isinstance(wanted, dict) else fractions
    assert expected is not None
    assert all(abs(len(at) - count * f) < 1 for at, f in zip(parts.values(), expected, strict=True))


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(0, 3))
def test_every_class_is_shared_out_in_proportion(sizes: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    arrays = Arrays({"label": labels.astype(np.int32)}, "", labels="label")
    if len(labels) < 12:
        return
    train = split_indices(arrays, 0.25, seed)["train"]
    counts = np.bincount(labels[train], minlength=len(sizes))
    assert np.abs(counts - 0.75 * np.array(sizes)).max() < 2


def test_a_seed_decides_the_parts_and_another_one_changes_them() -> None:
    arrays = numbered(50)
    first, again, other = (split_indices(arrays, 0.2, seed)["valid"].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_the_parts_of_a_seed_stay_what_they_were() -> None:
    assert split_indices(numbered(12), 0.25, 7)["valid"].tolist() == [10, 5, 6]


def test_the_two_spirals_are_stratified_by_their_class() -> None:
    valid = split(load("two_spirals", {}, Path()), 0.5, 3)["valid"]
    assert abs(int(valid.fields["y"].sum()) - 48.5) < 1


def test_ready_splits_are_kept_and_only_the_rest_is_cut() -> None:
    ready = {"train": np.arange(0, 80), "test": np.arange(80, 100)}
    arrays = Arrays({"x": np.arange(100, dtype=np.float32)}, "", ready)
    assert {name: part.size for name, part in split(arrays).items()} == {"train": 80, "test": 20}
    cut = split_indices(arrays, 0.25)
    assert {name: len(at) for name, at in cut.items()} == {"train": 60, "valid": 20, "test": 20}
    assert cut["test"].tolist() == ready["test"].tolist()
    assert sorted(np.concatenate([cut["train"], cut["valid"]]).tolist()) == list(range(80))


def test_streams_are_cut_in_order_at_whole_batches() -> None:
    parts = split_indices(numbered(40, streams=4), 0.25)
    assert parts["train"].tolist() == list(range(32))  # 7.5 and 2.5 batches: a tie goes to the first
    assert parts["valid"].tolist() == list(range(32, 40))


@pytest.mark.parametrize(
    ("fractions", "by", "message"),
    [
        (0.0, None, "not positive with sum 1"),
        (1.0, None, "not positive"),
        (-0.1, None, "not positive"),
        (float("nan"), None, "not positive"),
        ({"train": 0.7, "valid": 0.2}, None, "not positive with sum 1"),
        ({"train": 0.99, "valid": 0.01}, None, "too few"),
        (0.5, "y", "`y` is not a field"),
    ],
)
def test_a_split_that_cannot_be_made_is_explained(fractions: Any, by: str | None, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        split(numbered(4), fractions, 0, by)


def test_leaks_and_unseen_classes_are_noticed() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    whole = numbered(6, labels)
    parts = {"train": whole.take(np.arange(4)), "test": whole.take(np.array([3, 4, 5]))}
    assert notices(parts) == [
        "1 different samples of `test` are in `train` too: results on `test` flatter the model",
        "`test` has classes that `train` lacks: 2",
    ]
    assert notices(split(load("digits", {}, Path()))) == []
