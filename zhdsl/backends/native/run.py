"""Running a table of compiled calls: the Python side of `runtime.c`.

In: calls and loops with the addresses of compiled functions, the memory they work on, the values of size variables.
Out: a `Table` that one foreign call runs through, on as many threads as wanted; Python's lock is free meanwhile.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from zhdsl.backends.native.library import load
from zhdsl.errors import BackendError, CompilerError

Array = np.ndarray[Any, np.dtype[Any]]

PARALLEL, UNORDERED, REVERSE = 1, 2, 4  # flags of an entry, as in runtime.c
MOST_SLOTS = 1024
ENTRY = np.dtype([(name, np.int64) for name in ("call", "buffers", "flags", "body", "slot", "rounds")])


@dataclass(frozen=True)
class Call:
    """One call of a kernel, `void kernel(void **buffers, const long *z, long part, long parts)`.

    Attributes:
        function: its address.
        buffers: addresses of what it works on (int64 or uint64, contiguous); read anew in every run. Who makes the
            call keeps that memory alive.
        parallel: every thread calls it, with its part; else one thread does, as part 0 of 1.
        unordered: it neither reads nor writes what the calls before it, back to the last meeting of all threads,
            write, nor writes what they read; so no thread waits for another before it.
    """

    function: int
    buffers: Array
    parallel: bool = True
    unordered: bool = False


@dataclass(frozen=True)
class Loop:
    """Calls in rounds.

    Attributes:
        slot: where in z the number of the round, 0 to `rounds` - 1, stands for the calls inside.
        rounds: how many.
        body: what a round does.
        reverse: from the last round to the first.
    """

    slot: int
    rounds: int
    body: Sequence[Item]
    reverse: bool = False


Item = Call | Loop


class Table:
    """Calls and loops ready to run on memory that stays where it is.

    Attributes:
        items: what it runs, in order.
        z: values of size variables, with room for the counters of loops (int64, contiguous); a run reads it and
            leaves it as it is.
    """

    def __init__(self, items: Sequence[Item], z: Array):
        self.items = tuple(items)
        self.z = z
        rows, self._starts = _rows(self.items)
        _require_sound(rows, z)
        self._entries = np.array(rows, ENTRY)
        self._zh_run: Callable[[int, int], int] = runtime().zh_run
        self._whole = self._program(0, len(rows))
        self._address = self._whole.ctypes.data

    def run(self, threads: int = 1) -> int:
        """Runs everything once; the number of threads that took part, at most `threads`."""
        return self._zh_run(self._address, threads)

    def run_items(self, first: int, last: int, threads: int = 1) -> int:
        """Runs the items from `first` up to, but not with, `last`: to look at what is in memory in between."""
        start = self._starts[first]
        program = self._program(start, self._starts[last] - start)
        return self._zh_run(program.ctypes.data, threads)

    def _program(self, start: int, count: int) -> Array:
        """`program` of `runtime.c`: some of the entries, and z."""
        table = self._entries.ctypes.data + start * ENTRY.itemsize
        return np.array([table, count, self.z.ctypes.data, self.z.size], np.int64)


@lru_cache(maxsize=1)
def runtime() -> ctypes.CDLL:
    """The compiled `runtime.c`.

    Raises:
        BackendError: there is no working compiler.
    """
    library = load([Path(__file__).with_name("runtime.c").read_text(encoding="utf-8")])[0].handle
    number, address = ctypes.c_long, ctypes.c_void_p
    library.zh_run.restype, library.zh_run.argtypes = number, (address, number)
    library.zh_workers.restype, library.zh_workers.argtypes = number, ()
    library.zh_stop.restype, library.zh_stop.argtypes = None, ()
    atexit.register(library.zh_stop)
    return library


def wanted() -> int:
    """The number of threads that a run takes where nobody says: `$ZH_THREADS`, or one for each core."""
    given = os.environ.get("ZH_THREADS", "")
    if given and not (given.isdecimal() and int(given)):
        raise BackendError(f"ZH_THREADS={given}: a number from 1 on")
    return int(given or cores())


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _rows(items: Sequence[Item]) -> tuple[list[tuple[int, ...]], list[int]]:
    """The entries of a table, and where each item begins; the last number is where they end."""
    rows: list[tuple[int, ...]] = []
    starts = []
    for item in items:
        starts.append(len(rows))
        if isinstance(item, Call):
            flags = PARALLEL * item.parallel + UNORDERED * item.unordered
            rows.append((item.function, _address(item.buffers), flags, 0, 0, 0))
        else:
            body = _rows(item.body)[0]
            rows += [(0, 0, REVERSE * item.reverse, len(body), item.slot, item.rounds), *body]
    return rows, [*starts, len(rows)]


def _address(buffers: Array) -> int:
    if buffers.dtype.itemsize != 8 or not buffers.flags.c_contiguous:
        raise CompilerError(f"native: addresses in an array of {buffers.dtype}")
    return buffers.ctypes.data


def _require_sound(rows: Sequence[tuple[int, ...]], z: Array) -> None:
    if z.dtype != np.int64 or z.ndim != 1 or not z.flags.c_contiguous:
        raise CompilerError(f"native: size variables in an array of {z.dtype} {list(z.shape)}")
    if z.size > MOST_SLOTS:
        raise BackendError(f"a program of {z.size} size variables and loops; the native backend takes {MOST_SLOTS}")
    if any(call == 0 and not 0 <= slot < z.size for call, _, _, _, slot, _ in rows):
        raise CompilerError("native: the counter of a loop has no slot")
