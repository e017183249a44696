"""Loss and metrics over a whole pass, exact: partial sums and maxima of batches are combined, the rest comes once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl import data
from zhdsl.data import Arrays
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.pipeline import Executable
from zhdsl.runtime.session import Session
from zhdsl.runtime.state import array_dtype
from zhdsl.runtime.whole_pass import Graph, PassSplit, bound, split_pass

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]
Size: TypeAlias = Any  # samples of a batch, or "all"
FINISH = "float64"  # a fraction of samples is then the number that one would write: 19 of 20 are 0.95
COMBINE = {"sum": np.add, "max": np.maximum}


class Measure:
    """The recipe's `evaluate` for any part of the data. Changes nothing: not the weights, not states, not counters."""

    def __init__(self, session: Session):
        recipe = session.recipe
        self.session = session
        self.split: PassSplit = split_pass(recipe.evaluate, recipe.batch_axis)
        self._finishes: dict[str, tuple[Graph, Executable]] = {}
        self.streams = {p for p, w in recipe.model.states.items() if w.stream}

    def over(self, part: Arrays, size: Size) -> dict[str, Any]:
        """Loss and metrics of one pass, by name: numbers, or lists for those that have axes.

        Args:
            part: the samples.
            size: samples of a batch, or "all"; it decides the memory that is taken, not the result.
        """
        totals, averaged, count = self._totals(part, size)
        finish, executable = self._finish(self._sizes(part, count))
        given = {("data", name): total for name, total in totals.items()}
        given |= self.session.counters(finish, {}) | self.session.held(finish, {})
        wanted = {(p.role, p.name): array_dtype(p.node.type, FINISH) for p in finish.inputs}
        found = executable.run({key: np.asarray(given[key], dtype) for key, dtype in wanted.items()})
        return averaged | {name: _plain(value) for (_, name), value in found.items()}

    def _finish(self, sizes: dict[str, int]) -> tuple[Graph, Executable]:
        """What comes once, for a pass of this size; made once."""
        key = ", ".join(f"{name} = {n}" for name, n in sorted(sizes.items()))
        if key not in self._finishes:
            graph = bound(self.split.finish, sizes)
            self._finishes[key] = graph, self.session.executable(f"{graph.name} with {key}", graph, FINISH)
        return self._finishes[key]

    def _sizes(self, part: Arrays, count: int) -> dict[str, int]:
        """Values of all symbols, the batch being the whole pass."""
        ports = self.session.recipe.data.fields
        sizes = sizes_of(ports, [part.fields[p.name].shape for p in ports])
        return {**sizes, self.split.symbol: count}

    def _totals(self, part: Arrays, size: Size) -> tuple[dict[str, Array], dict[str, float], int]:
        """The combined partial values, sums in float64 and int64; averages; and the number of samples they are of."""
        graph = self.split.per_batch
        executable = self.session.executable(graph.name, graph)
        totals: dict[str, Array] = {}
        averaged: dict[str, float] = {}
        carried: dict[Key, Array] = {}
        count = 0
        for number, (indices, given) in enumerate(self._batches(part, size)):
            found = executable.run(given | self._other(number, indices, part) | carried)
            carried = {key: value for key, value in found.items() if key[0] == "state"}
            for (role, name), value in found.items():
                if role == "metric":
                    totals[name] = _combined(self.split.combine[name], totals.get(name), value)
                elif role == "loss":
                    averaged[name] = averaged.get(name, 0.0) + float(value) * len(indices)
            count += len(indices)
        return totals, {name: total / count for name, total in averaged.items()}, count

    def _batches(self, part: Arrays, size: Size) -> Iterator[tuple[Array, dict[Key, Array]]]:
        names = [p.name for p in self.split.per_batch.of_role("data")]
        streams = bool(self.streams)
        for indices, fields in data.batches(part, size, 0, 0, drop_last=streams, shuffle=False):
            yield indices, {("data", name): fields[name] for name in names}

    def _other(self, number: int, indices: Array, part: Arrays) -> dict[Key, Array]:
        """Counters, where the step is the number of the batch; parameters; states, streams at their beginning."""
        graph = self.split.per_batch
        sizes = self._sizes(part, len(indices))
        counters = self.session.counters(graph, sizes)
        if ("counter", "step") in counters:
            counters["counter", "step"] = np.asarray(number, np.int32)
        if ("counter", "sample") in counters:
            counters["counter", "sample"] = indices.astype(np.int32)
        return counters | self.session.fresh(graph, sizes)


def _combined(how: str, total: Array | None, value: Array) -> Array:
    wide = value.astype(np.int64 if value.dtype.kind == "i" else np.float64) if how == "sum" else value
    return wide if total is None else np.asarray(COMBINE[how](total, wide))


def _plain(value: Array) -> Any:
    return float(value) if value.ndim == 0 else value.tolist()
