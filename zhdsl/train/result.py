"""What came of a run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Expectation:
    """One `expect` of a recipe, decided."""

    text: str
    value: float
    holds: bool
    place: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.text}: {'holds' if self.holds else f'it is {self.value:.6g}'}"


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        folder: where it is written, if anywhere.
        epochs, steps: how many were done.
        best: (value of the watched metric, epoch from 1 on) of the weights that the model has now.
        part: which part of the data `metrics` are of: test, valid or train.
        metrics: loss and metrics of the best weights on that part.
        history: one record for each measured epoch, as in `metrics.jsonl`.
        expectations: of the recipe.
        stopped: why it ended: `epochs`, `steps` or `early_stop`.
    """

    folder: Path | None
    epochs: int
    steps: int
    best: tuple[float, int] | None
    part: str
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    expectations: tuple[Expectation, ...]
    stopped: str

    @property
    def holds(self) -> bool:
        """Whether all expectations are met."""
        return all(e.holds for e in self.expectations)

    @property
    def exit_code(self) -> int:
        """For the command line: 1 if an expectation is not met."""
        return 0 if self.holds else 1

    def _repr_mimebundle_(self, **asked: object) -> dict[str, str]:
        """What a notebook shows."""
        from zhdsl.notebook.bundles import of_result

        return of_result(self)

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {text(value)}" for name, value in self.metrics.items())
        lines = [f"{self.epochs} epochs, {self.steps} steps; on the {self.part} part: {numbers}"]
        return "\n".join([*lines, *map(str, self.expectations)])


def text(value: Any) -> str:
    """A metric for a reader."""
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def decided(expect: Sequence[tuple[str, str, float, Any]], metrics: Mapping[str, Any]) -> tuple[Expectation, ...]:
    """The expectations of a recipe against measured values."""
    return tuple(
        Expectation(
            f"{name} {relation} {number:g}",
            metrics[name],
            bool(RELATIONS[relation](metrics[name], number)),
            str(span),
        )
        for name, relation, number, span in expect
    )
