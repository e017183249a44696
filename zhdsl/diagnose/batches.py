"""The batches that a network is examined on: real ones of the recipe, or noise where the data are not at hand.

How many samples there are in one follows from the work that a graph makes of them, never from the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl import data
from zhdsl.errors import TrainingError
from zhdsl.ir.cost import flops
from zhdsl.ir.graph import Graph
from zhdsl.lang.model import Recipe
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.session import Session
from zhdsl.train.limits import batch_size
from zhdsl.train.parts import Parts, parts_of

Array: TypeAlias = npt.NDArray[Any]
FEWEST = 2  # what a batch normalisation needs
MOST = 128  # samples of a batch for statistics
WORK = 3e8  # floating-point operations of one forward pass over a batch: seconds, with its derivative, in NumPy


@dataclass(frozen=True)
class Batches:
    """Where batches come from.

    Attributes:
        parts: the data of the recipe, cut; `None` where they are not at hand.
        missing: why they are not, else empty.
    """

    session: Session
    parts: Parts | None
    missing: str = ""

    @property
    def recipe(self) -> Recipe:
        return self.session.recipe

    def full(self) -> int:
        """Samples of a batch of the recipe."""
        if self.parts is None:
            return int(self.recipe.batch) if isinstance(self.recipe.batch, int) else MOST
        size = batch_size(self.recipe, self.parts.train)
        return self.parts.train.size if size == "all" else min(int(size), self.parts.train.size)

    @property
    def streamed(self) -> bool:
        """Whether states go on from batch to batch, so that every batch must be full."""
        return any(w.stream for w in self.recipe.model.states.values())

    def affordable(self, graph: Graph, wanted: int, work: float = WORK) -> int:
        """As many samples as are wanted, or as the work of the graph allows; at least `FEWEST`."""
        if self.streamed:
            return self.full()
        return max(FEWEST, min(wanted, int(work / max(self.work(graph), 1.0))))

    def work(self, graph: Graph) -> float:
        """Floating-point operations of the graph for one sample."""
        ports = self.recipe.data.fields
        fields = self.parts.train.fields if self.parts else self._noise(1, 0)
        sizes = sizes_of(ports, [(1, *fields[p.name].shape[1:]) for p in ports])
        return float(flops(graph.nodes).evaluate(sizes)) if graph.symbols <= sizes.keys() else 0.0

    def take(self, count: int, number: int) -> list[dict[str, Array]]:
        """`number` batches of `count` samples by field, the same ones every time; fewer, if the data are few."""
        if self.parts is None:
            return [self._noise(count, i) for i in range(number)]
        count = min(self.full() if self.streamed else count, self.parts.train.size)
        found = data.batches(self.parts.train, count, self.session.seed, 0)
        order = [p.name for p in self.recipe.data.fields]
        return [{name: fields[name] for name in order} for _, fields in islice(found, number)]

    def _noise(self, count: int, number: int) -> dict[str, Array]:
        """Standard normal numbers for float fields, zeros and ones for whole ones: any table has these rows."""
        draw = np.random.default_rng([self.session.seed, number])
        found = {}
        for port in self.recipe.data.fields:
            type_ = port.node.type
            free = {s: count if s == self.recipe.batch_axis else 16 for s in type_.count().symbols}
            shape = type_.shape(free, port.order)
            whole = draw.integers(0, 2, shape).astype("bool" if type_.dtype == "bool" else np.int32)
            found[port.name] = draw.normal(size=shape).astype(self.session.dtype) if type_.is_float else whole
        return found


def batches_of(session: Session) -> Batches:
    """The batches of a session's recipe; the statistics of its `prepare` are fitted."""
    recipe = session.recipe
    try:
        parts = parts_of(recipe, session.spec.folder, session.seed, session.dtype)
    except TrainingError as error:
        found = Batches(session, None, str(error).partition("\n")[0])
        _fit(session, found.take(MOST, 1)[0])
        return found
    _fit(session, parts.train.fields)
    return Batches(session, parts)


def _fit(session: Session, fields: Mapping[str, Array]) -> None:
    fit = session.recipe.fit
    if fit is not None:
        session.prepare(**{p.name: fields[p.name] for p in fit.of_role("data")})
