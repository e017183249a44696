"""zhdsl's side: the step as `zh train` runs it, with weights held in place, and inference as `m(x = …)` runs it."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from benchmarks.sides import Forward
from benchmarks.workloads import Array, Arrays, Start, load
from zhdsl.runtime.arguments import arrays_of
from zhdsl.runtime.step import step_graph

SLOT = "optimizer.", ".v"


def session(start: Start, device: str, dtype: str = "float32") -> Any:
    """The net with the first weights of `start`."""
    m = load(start.work, start.sizes, device, dtype)
    for path, array in start.params.items():
        m.params[path] = array
    for path, array in start.states.items():
        m.states[path] = array
    return m


class OurStep:
    """See `Step`."""

    def __init__(self, start: Start, device: str):
        self.start = start
        self.session = session(start, device)
        self.graph = step_graph(self.session.recipe)
        self.executable = self.session.executable(self.graph.name, self.graph)
        ports, (given, self.sizes) = self.graph.of_role("data"), self.checked(start.batch)
        assert {p.name for p in ports} == set(start.batch)
        self.given = given
        self.executable.hold(self.session.held(self.graph, self.sizes))
        self.count = 0

    def checked(self, batch: Arrays) -> tuple[Any, dict[str, int]]:
        """Arrays and sizes of a batch, as the executable takes them."""
        return arrays_of(self.graph.of_role("data"), batch, "float32", False)

    def __call__(self) -> float:
        loss = float(self.executable.run({**self.given, **self.counters()})["loss", "loss"])
        self.count += 1
        return loss

    def counters(self) -> dict[Any, Array]:
        """What the trainer counts, where the graph asks for it."""
        self.session.step_count = self.count
        return self.session.counters(self.graph, self.sizes)

    def momenta(self) -> Arrays:
        before, after = SLOT
        return {path: self.session.arrays["state", f"{before}{path}{after}"] for path in self.start.params}

    def carried(self, arrays: Arrays) -> Arrays:
        return arrays

    def rest(self) -> None:
        """A whole step by another executable, which is dropped: libraries have their buffers then, as the peers' have;
        then one step with a batch of two: all is compiled and loaded, and the memory of a whole batch is not taken."""
        OurStep(self.start, self.session.device)()
        pair, sizes = self.checked({name: array[:2] for name, array in self.start.batch.items()})
        self.executable.run({**pair, **self.session.counters(self.graph, sizes)})
        gc.collect()

    @property
    def predicted(self) -> int:
        """Bytes of a step by the memory plan, weights and momenta among them."""
        return self.executable.peak(self.sizes)


def forward(start: Start, device: str) -> Forward:
    """See `Forward`."""
    m = session(start, device)
    classes = start.sizes.get("V", start.work.classes)
    return lambda: np.asarray(m(x=start.x)).reshape(-1, classes)
