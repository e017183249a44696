"""Prefetching: same items, errors with their traceback, no thread left behind."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator

import pytest

from zhdsl.data import prefetch
from zhdsl.errors import TrainingError


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(prefetch(range(100))) == list(range(100))
    assert list(prefetch([])) == []
    assert gone()


def gone() -> bool:
    """Whether no prefetching thread is left within a second."""
    for _ in range(100):
        if not any(thread.name == "zhdsl-prefetch" for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


def broken() -> Iterator[int]:
    yield 1
    raise ZeroDivisionError("in the worker")


def test_an_error_of_the_worker_surfaces_with_its_traceback_after_the_good_items() -> None:
    seen = []
    with pytest.raises(ZeroDivisionError, match="in the worker") as caught:
        for item in prefetch(broken()):
            seen.append(item)
    assert seen == [1]
    assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert gone()


def test_leaving_early_ends_the_worker() -> None:
    ahead = prefetch(iter(int, 1))  # never ends
    assert next(ahead) == 0
    ahead.close()
    assert gone()


def test_no_more_than_depth_items_are_made_ahead() -> None:
    made: list[int] = []

    def counting() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    ahead = prefetch(counting(), depth=2)
    next(ahead)
    time.sleep(0.2)
    assert len(made) <= 4  # one used, two waiting, one in hand
    ahead.close()


def test_a_worker_that_hangs_is_an_error_in_time() -> None:
    release = threading.Event()

    def hanging() -> Iterator[int]:
        release.wait(20)
        yield 1

    start = time.monotonic()
    with pytest.raises(TrainingError, match=r"no batch came within 0\.2 s"):
        next(prefetch(hanging(), patience=0.2))
    assert time.monotonic() - start < 5
    release.set()
    assert gone()
