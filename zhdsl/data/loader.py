"""`prefetch`: the next batches are made by one thread while the present one is computed with."""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Generic, TypeVar

from zhdsl.data.faults import fault

T = TypeVar("T")
TICK = 0.05
"""Seconds between two looks at whether the other side is still there."""


@dataclass(frozen=True)
class _End:
    """The last thing a worker sends: nothing more will come, because of `error` if there is one."""

    error: BaseException | None = None


@dataclass(frozen=True)
class _Line(Generic[T]):
    """What worker and reader share."""

    items: queue.Queue[T | _End]
    stop: Event = field(default_factory=Event)


def prefetch(source: Iterable[T], depth: int = 2, patience: float = 10.0) -> Generator[T, None, None]:
    """The items of `source`, in order, made ahead of time by a thread.

    Args:
        source: is consumed in the thread only.
        depth: items that wait at most; bounds memory.
        patience: seconds to wait for one item.

    Raises:
        TrainingError: nothing came within `patience`.
        BaseException: whatever `source` raised, the very same object with its traceback.

    Closing the generator (also by leaving a loop over it) ends the thread.
    """
    line: _Line[T] = _Line(queue.Queue(maxsize=max(1, depth)))
    worker = Thread(target=_fill, args=(source, line), name="zhdsl-prefetch", daemon=True)
    worker.start()
    try:
        while not isinstance(item := _next(line, patience), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        line.stop.set()


def _fill(source: Iterable[T], line: _Line[T]) -> None:
    try:
        for item in source:
            if not _sent(item, line):
                return
        _sent(_End(), line)
    except BaseException as error:  # it belongs to the reader, whatever it is
        _sent(_End(error), line)


def _sent(item: T | _End, line: _Line[T]) -> bool:
    """Waits for room; `False` once the reader has gone."""
    while not line.stop.is_set():
        try:
            line.items.put(item, timeout=TICK)
        except queue.Full:
            continue
        return True
    return False


def _next(line: _Line[T], patience: float) -> T | _End:
    try:
        return line.items.get(timeout=patience)
    except queue.Empty:
        cause = f"no batch came within {patience:g} s"
        raise fault("data", cause, "is the disk or the memory full? a slow source needs a longer `patience`") from None
