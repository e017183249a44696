"""Batches: which samples make up batch k of an epoch is a function of (seed, epoch, k), so a run can go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.draws import permutation
from zhdsl.data.faults import fault

Batch: TypeAlias = tuple[Array, dict[str, Array]]
Size: TypeAlias = int | Literal["all"]


def order(count: int, seed: int, epoch: int) -> Array:
    """The order of the samples in one epoch: a permutation of 0 .. count - 1, int64, a function of its arguments."""
    return permutation(count, seed, "order", epoch)


def batch_count(count: int, size: Size, drop_last: bool = False) -> int:
    """Batches per epoch; a last one that is not full counts unless dropped.

    Raises:
        TrainingError: a size below 1, or nothing is left after dropping.
    """
    if size == "all":
        return 1
    if size < 1:
        raise fault("batch", f"a batch of {size} samples is no batch", "write 1 or more, or `all`")
    if drop_last and size > count:
        cause = f"a batch of {size} is larger than the {count} samples, and last batches that are not full are dropped"
        raise fault("batch", cause, f"write batch = {count} or less, or `all`")
    return count // size if drop_last else -(-count // size)


def batches(
    arrays: Arrays, size: Size, seed: int, epoch: int, start: int = 0, drop_last: bool = False, shuffle: bool = True
) -> Iterator[Batch]:
    """The batches of one epoch, from number `start` on.

    Args:
        arrays: the samples.
        size: samples per batch; more than there are gives one batch of them all; `"all"` gives them as they lie,
            without a copy and in their own order.
        seed, epoch: decide the order, see `order`.
        start: batches to skip, to go on with a run that stopped within an epoch.
        drop_last: leave out a last batch that is not full.
        shuffle: `False` for validation: samples in their own order. Streams are never shuffled.

    Yields:
        (indices int64 [b], name -> contiguous array [b, ...]).

    Raises:
        TrainingError: at the call, not at the first batch: a wrong size, or a start behind the end.
    """
    total = batch_count(arrays.size, size, drop_last)
    _check_request(arrays.streams, size, start, total)
    if size == "all":
        return iter([(np.arange(arrays.size), dict(arrays.fields))][start:])
    shuffled = shuffle and not arrays.streams
    indices = order(arrays.size, seed, epoch) if shuffled else np.arange(arrays.size)
    return _gathered(arrays, [indices[k * size : (k + 1) * size] for k in range(start, total)])


def _check_request(streams: int, size: Size, start: int, total: int) -> None:
    if not 0 <= start <= total:
        raise fault("batch", f"batch {start} of an epoch of {total} is asked for", "is the checkpoint of this data?")
    if streams and size != streams:
        cause = f"the data run in {streams} streams, the batch is {size}"
        raise fault("batch", cause, f"write batch = {streams}, or change streams")


def _gathered(arrays: Arrays, parts: list[Array]) -> Iterator[Batch]:
    for indices in parts:
        yield indices, {name: values[indices] for name, values in arrays.fields.items()}
