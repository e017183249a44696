"""Interleaved timing in one process: medians, quartiles, and ratios round by round.

    for each round:  for each side:  sleep, one discarded call, then a sample: the median of a few calls

A ratio is taken within a round, so it holds while the speed of a shared machine drifts.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PAUSE = 0.02  # seconds before a sample, in which threads of the side before stop spinning
SAMPLE = 0.03  # seconds that the calls of a sample take, about
CALLS = 40  # at most in a sample

Clock = Callable[[], float]
Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float


def interleaved(
    sides: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 2, clock: Clock = time.perf_counter
) -> Samples:
    """Seconds per call of each side, one sample for each round.

    Args:
        sides: what is called, by name; each is called `warm` times first.
        rounds: how many samples of each.
        warm: calls that are not timed; the last one decides how many calls a sample has.
        clock: seconds.
    """
    calls = {name: _calls(call, warm, clock) for name, call in sides.items()}
    samples: Samples = {name: [] for name in sides}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in sides.items():
                time.sleep(PAUSE)
                call()
                samples[name].append(statistics.median(_timed(call, clock) for _ in range(calls[name])))
    finally:
        gc.enable()
    return samples


def _calls(call: Callable[[], Any], warm: int, clock: Clock) -> int:
    last = [_timed(call, clock) for _ in range(max(warm, 1))][-1]
    return max(1, min(CALLS, math.ceil(SAMPLE / max(last, 1e-9))))


def _timed(call: Callable[[], Any], clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; of a single value, that value three times."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(samples: Samples, ours: str, theirs: str) -> Spread:
    """Their time / ours, round by round: above 1 ours is faster."""
    return spread([peer / our for our, peer in zip(samples[ours], samples[theirs], strict=True)])


def best(samples: Samples, names: Sequence[str]) -> str:
    """The side of these with the smallest median."""
    return min(names, key=lambda name: statistics.median(samples[name]))
