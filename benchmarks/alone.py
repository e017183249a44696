"""One side of one net in a process of its own: the memory of a training step, or how long compiling it takes.

Started by run.py. In: what (`memory` or `compile`), net, side, threads on the command line. Out: JSON on the last line.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import sides
from benchmarks.sides import Kind
from benchmarks.workloads import Start, start_of

STEPS = 3
SELF = Path("/proc/self")


def kind_of(key: str) -> Kind:
    """The side of this name; every other name is a device of zhdsl."""
    known = {k.key: k for k in (*sides.PEERS, sides.HAND)}
    return known[key] if key in known else sides.zhdsl_on(key)


# ---------------------------------------------------------------- memory
def memory(kind: Kind, start: Start, threads: int) -> dict[str, Any]:
    """Bytes that a training step takes: the high-water mark of the resident set above what lies between steps, and
    weights, momenta and states, of which every side has the same.

    Code, libraries, thread stacks and what compilers left behind are in the resident set before and do not count.
    """
    assert kind.training is not None
    step = kind.training(start, threads)
    step.rest()
    _give_back()
    before = _status("VmRSS")
    (SELF / "clear_refs").write_text("5")  # the high-water mark begins anew
    for _ in range(STEPS):
        step()
    rise = _status("VmHWM") - before
    kept = 2 * sum(a.nbytes for a in start.params.values()) + sum(a.nbytes for a in start.states.values())
    found = {"rise": rise, "kept": kept, "bytes": rise + kept}
    predicted = getattr(step, "predicted", None)
    return found if predicted is None else {**found, "predicted": predicted}


def _give_back() -> None:
    """Lets the allocator return free memory, where it is glibc's."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    lines = (SELF / "status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


# ---------------------------------------------------------------- compiling
def compiling(kind: Kind, start: Start, threads: int) -> dict[str, Any]:
    """Seconds from the weights to the first loss, without those that a step takes; libraries are loaded before.

    For zhdsl also what another batch size and another length cost, which have to compile nothing.
    """
    assert kind.training is not None
    _load(kind)
    first, step = _clocked(lambda: kind.training(start, threads))  # type: ignore[misc]
    first += _clocked(step)[0]
    steady = min(_clocked(step)[0] for _ in range(STEPS))
    found = {"seconds": max(first - steady, 0.0), "step": steady}
    return found | _another_batch(step) if hasattr(step, "predicted") else found


def _another_batch(step: Any) -> dict[str, float]:
    """The first run with a batch of one less, and one step of time less, without what such a step takes."""
    cut = (slice(-1),) * (2 if step.start.work.time else 1)
    given, sizes = step.checked({name: array[cut] for name, array in step.start.batch.items()})
    inputs = {**given, **step.session.counters(step.graph, sizes)}
    times = [_clocked(lambda: step.executable.run(inputs))[0] for _ in range(1 + STEPS)]
    return {"another_batch": max(times[0] - min(times[1:]), 0.0)}


def _load(kind: Kind) -> None:
    """Imports, thread pools, first calls of libraries: all with the smallest net at its smallest size."""
    from benchmarks.workloads import WORKLOADS

    small = start_of("spirals", WORKLOADS["spirals"].small, batch=4)
    if kind.key not in ("compile", "hand") and kind.training is not None:
        kind.training(small, 1)()
    elif kind.key == "compile":
        import torch
        import torch._inductor.compile_fx  # a part of the library that is loaded late

        torch.ones(2, 2) @ torch.ones(2, 2)


def _clocked(call: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


PARTS = {"memory": memory, "compile": compiling}


def main() -> int:
    what, net, side, threads = sys.argv[1:]
    found = PARTS[what](kind_of(side), start_of(net), int(threads))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
