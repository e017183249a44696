"""A few steps of the recipe from the first weights on, and the same steps at smaller learning rates.

Gradient descent on a quadratic goes up for a rate above 2 / λ, λ being the largest eigenvalue of the Hessian (LeCun,
Bottou, Orr, Müller 1998, Efficient BackProp, section 4.6). Where the loss is no quadratic and the optimiser is not this
one, the steps are tried: a loss that is thrown far above its first value at the recipe's rate, and is not at a part of
it, tells the same of any optimiser.

In: a recipe and batches. Out: the losses by factor of the rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.diagnose.instrument import movable
from zhdsl.diagnose.measure import DEVICE, InputStat, moved
from zhdsl.diagnose.sites import Input
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.types import FLOAT, Type
from zhdsl.runtime import pipeline, state
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.session import Session
from zhdsl.runtime.splice import open_inputs, splice
from zhdsl.runtime.step import step_graph

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]
FACTOR = "rate_factor"
FACTORS = (0.1, 0.01, 0.001)  # of the recipe's rate, tried where the rate itself is too large


@dataclass(frozen=True)
class Descent:
    """The losses of some steps at a part of the recipe's rate.

    Attributes:
        first: the largest loss of a batch at the first weights.
        losses: of every step, before its update; ends with the first that is not finite.
    """

    factor: float
    first: float
    losses: tuple[float, ...]

    @property
    def peak(self) -> float:
        """The largest loss; infinite if one was not finite."""
        return max(self.losses) if np.isfinite(self.losses).all() else float("inf")

    @property
    def last(self) -> float:
        """The mean of the last quarter."""
        return float(np.mean(self.losses[-max(1, len(self.losses) // 4) :]))


class Slope:
    """The training step of a session with a factor for its rate, compiled; nothing of the session is changed."""

    def __init__(self, session: Session, inputs: Sequence[Input]):
        forward, _ = movable(session.recipe.forward, inputs)
        recipe = replace(session.recipe, forward=forward, rate=_scaled(session.recipe.rate))
        self.session, self.graph = session, step_graph(recipe)
        self.executable = pipeline.compile_graph(self.graph, DEVICE, session.dtype)

    def down(
        self,
        batches: Sequence[Mapping[str, Array]],
        steps: int,
        factor: float = 1.0,
        moves: Mapping[int, InputStat] | None = None,
    ) -> Descent:
        """Takes `steps` steps, the batches over and over.

        Args:
            factor: of the recipe's rate.
            moves: inputs by number that are standardised.
        """
        first = self._losses(batches, len(batches), 0.0, moves or {})
        losses = self._losses(batches, steps, factor, moves or {})
        return Descent(factor, max(first), tuple(losses))

    def _losses(
        self, batches: Sequence[Mapping[str, Array]], steps: int, factor: float, moves: Mapping[int, InputStat]
    ) -> list[float]:
        graph, session, losses = self.graph, self.session, list[float]()
        held = self._first(batches[0])
        for step in range(steps):
            batch = batches[step % len(batches)]
            given = self._given(batch, factor, moves)
            counters = session.counters(graph, self._sizes(batch))
            if ("counter", "step") in counters:
                counters["counter", "step"] = np.asarray(step, np.int32)
            with np.errstate(all="ignore"):
                found = self.executable.run(given | counters | held)
            losses.append(float(found["loss", "loss"]))
            if not np.isfinite(losses[-1]):
                break
            held.update({key: array for key, array in found.items() if key in held})
        return losses

    def _first(self, batch: Mapping[str, Array]) -> dict[Key, Array]:
        """Parameters, states, and an optimiser that has not begun."""
        session = self.session
        slots = state.initial(session.recipe.slots, session.seed, session.dtype)
        fresh = {("state", path): array for path, array in slots.items()}
        kept = session.arrays
        session.arrays = {**kept, **fresh}
        try:
            return session.fresh(self.graph, self._sizes(batch))
        finally:
            session.arrays = kept

    def _sizes(self, batch: Mapping[str, Array]) -> dict[str, int]:
        ports = [p for p in self.graph.of_role("data") if p.name in batch]
        return sizes_of(ports, [batch[p.name].shape for p in ports])

    def _given(self, batch: Mapping[str, Array], factor: float, moves: Mapping[int, InputStat]) -> dict[Key, Array]:
        sizes, session = self._sizes(batch), self.session
        given: dict[Key, Array] = {}
        for port in self.graph.of_role("data"):
            if port.name in batch:
                given["data", port.name] = batch[port.name]
            elif port.name == FACTOR:
                given["data", FACTOR] = np.asarray(factor, session.dtype)
            else:
                given["data", port.name] = moved(port, sizes, moves, session.dtype)
        return given


def _scaled(rate: Graph | None) -> Graph:
    """The factor of the learning rate, times one more that is given from outside."""
    with Builder() as b:
        factor = apply("input", port=FACTOR, type=Type(FLOAT))
        port = Port(FACTOR, factor, (), "data")
        if rate is None:
            return close("rate", (port,), (Port("rate", factor, (), "result"),), b)
        b.adopt(rate.nodes, rate.origins, rate.names)
        node = splice(rate, {})["rate"] * factor
        return close("rate", (*open_inputs(rate, ()), port), (Port("rate", node, (), "result"),), b)
