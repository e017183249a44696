"""Batches: a function of (seed, epoch, index), from any place on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhdsl.data import Arrays, batch_count, batches, order
from zhdsl.errors import TrainingError


def numbered(count: int, streams: int = 0) -> Arrays:
    x = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    return Arrays({"x": x, "label": np.arange(count, dtype=np.int32)}, "made", streams=streams)


def test_an_order_is_a_permutation_that_stays_what_it_was() -> None:
    assert order(10, 0, 0).tolist() == [8, 9, 7, 1, 3, 2, 0, 6, 5, 4]
    assert order(10, 0, 1).tolist() != order(10, 0, 0).tolist() != order(10, 1, 0).tolist()
    assert sorted(order(1000, 3, 17).tolist()) == list(range(1000))


def test_orders_of_many_epochs_put_every_sample_everywhere() -> None:
    places = np.stack([order(5, 1, epoch) for epoch in range(2000)])
    counts = np.stack([np.bincount(column, minlength=5) for column in places.T])
    assert np.abs(counts - 400).max() < 80  # 4.5 standard deviations


@given(st.integers(1, 40), st.integers(1, 50), st.booleans(), st.data())
def test_an_epoch_can_go_on_from_any_batch(count: int, size: int, drop: bool, data: Any) -> None:
    if drop and size > count:
        return
    arrays, total = numbered(count), batch_count(count, size, drop)
    start = data.draw(st.integers(0, total))
    whole = [i.tolist() for i, _ in batches(arrays, size, 3, 4, drop_last=drop)]
    rest = [i.tolist() for i, _ in batches(arrays, size, 3, 4, start, drop)]
    assert rest == whole[start:]
    assert len(whole) == total
    seen = [i for batch in whole for i in batch]
    assert len(seen) == len(set(seen)) == (count // size * size if drop else count)


def test_a_batch_holds_the_samples_it_names_in_contiguous_arrays() -> None:
    arrays = numbered(7)
    for indices, fields in batches(arrays, 3, 0, 0):
        assert fields["label"].tolist() == indices.tolist()
        assert fields["x"][:, 0].tolist() == (2 * indices).tolist()
        assert all(values.flags.c_contiguous for values in fields.values())


def test_all_is_one_batch_without_a_copy() -> None:
    arrays = numbered(5)
    ((indices, fields),) = batches(arrays, "all", 1, 2)
    assert indices.tolist() == [0, 1, 2, 3, 4]
    assert np.shares_memory(fields["x"], arrays.fields["x"])
    assert list(batches(arrays, "all", 1, 2, start=1)) == []


def test_validation_and_streams_keep_their_order() -> None:
    plain = [i.tolist() for i, _ in batches(numbered(5), 2, 1, 1, shuffle=False)]
    assert plain == [[0, 1], [2, 3], [4]]
    assert [i.tolist() for i, _ in batches(numbered(4, streams=2), 2, 1, 1)] == [[0, 1], [2, 3]]
    with pytest.raises(TrainingError, match="run in 2 streams, the batch is 3"):
        batches(numbered(4, streams=2), 3, 1, 1)


def test_a_batch_larger_than_the_data_is_all_of_them_or_an_error() -> None:
    assert [len(i) for i, _ in batches(numbered(5), 8, 0, 0)] == [5]
    with pytest.raises(TrainingError, match="larger than the 5 samples"):
        batches(numbered(5), 8, 0, 0, drop_last=True)


@pytest.mark.parametrize(("size", "start"), [(0, 0), (-1, 0), (2, 4), (2, -1), ("all", 2)])
def test_wrong_sizes_and_starts_are_errors_at_the_call(size: Any, start: int) -> None:
    with pytest.raises(TrainingError):
        batches(numbered(5), size, 0, 0, start)
