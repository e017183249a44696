"""The machine's peak of float32 arithmetic: fused multiply-adds in C, or a large product where nothing compiles C."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.native import CannotCompile, library

SOURCE = Path(__file__).resolve().parent / "peak.c"
REPEATS = 60


def peak(threads: int) -> tuple[float, str]:
    """Floating-point operations per second with so many threads, the best of some tries, and how they were measured."""
    try:
        return _multiply_adds(threads), "fused multiply-adds in C"
    except CannotCompile as error:
        return _product(), f"a product of 2048 × 2048 matrices ({error})"


def _multiply_adds(threads: int) -> float:
    run = library(SOURCE).multiply_add
    run.restype, run.argtypes = ctypes.c_double, [ctypes.c_long, ctypes.c_void_p]
    outs = [np.zeros(64, np.float32) for _ in range(threads)]
    rounds = 1_000_000  # a few ms, so that some try is left alone; ctypes lets go of the interpreter's lock meanwhile

    with ThreadPoolExecutor(threads) as pool:

        def once() -> float:
            return sum(pool.map(lambda out: float(run(rounds, out.ctypes.data)), outs))

        return _best(once)


def _product() -> float:
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    out = np.empty_like(a)

    def once() -> float:
        np.matmul(a, a, out=out)
        return 2.0 * 2048**3

    return _best(once)


def _best(once: Callable[[], float]) -> float:
    """The highest rate of some tries: others on the machine only slow it down."""
    rates = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        done = once()
        rates.append(done / (time.perf_counter() - start))
    return max(rates)
