"""Whether a training step gives the same bits every time: a digest of loss, weights, momenta, states after two steps.

run.py compares the digests of all numbers of threads.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from benchmarks.sides.ours import OurStep
from benchmarks.workloads import Start

RUNS, STEPS = 20, 2


def digests(start: Start, device: str, runs: int = RUNS) -> list[str]:
    """The different digests of so many runs from the same weights: one, if all is well."""
    step = OurStep(start, device)
    first = {key: array.copy() for key, array in step.session.arrays.items()}
    return sorted({_digest(step, first) for _ in range(runs)})


def _digest(step: OurStep, first: dict[Any, Any]) -> str:
    for key, array in first.items():
        np.copyto(step.session.arrays[key], array)
    step.count = 0
    losses = [step() for _ in range(STEPS)]
    found = hashlib.sha256(np.array(losses).tobytes())
    for key in sorted(first):
        found.update(step.session.arrays[key].tobytes())
    return found.hexdigest()[:16]
