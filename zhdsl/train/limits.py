"""How long a run goes on, how large its batches are, how often it is measured and saved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from zhdsl import data
from zhdsl.errors import TrainingError
from zhdsl.runtime.spec import Recipe
from zhdsl.train.parts import Parts

MEASURED = 1000  # epochs that are measured at most, unless early stopping watches or `every` says otherwise


@dataclass(frozen=True)
class Options:
    """What is said about a run outside of its recipe.

    Attributes:
        epochs, steps: instead of the recipe's; at most one of them.
        every: epochs from one measurement to the next; by default each, if early stopping watches or there are few.
        save_seconds: longest time between two saves within an epoch; ends of epochs save too. 0 saves after each step.
        save_steps: save after so many steps as well.
        detect_anomaly: look at all that each step gives (the loss, new parameters and states), so that the very step
            that makes a NaN or an infinity is the last one, with the op and the line; slower, and the parameters and
            states are kept twice.
    """

    epochs: int | None = None
    steps: int | None = None
    every: int | None = None
    save_seconds: float = 60.0
    save_steps: int | None = None
    detect_anomaly: bool = False

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise TrainingError("epochs and steps are both given\nhelp: give one of them")
        least = {"epochs": 0, "steps": 0, "every": 1, "save_steps": 1, "save_seconds": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise TrainingError(f"{name} = {value}\nhelp: give {low} or more")


@dataclass(frozen=True)
class Limits:
    """What follows from recipe, options and data.

    Attributes:
        size: samples of a batch, or "all"; batches: of an epoch.
        drop_last: whether a last batch that is not full is left out: streams need full ones.
        epochs, steps: of the run, whichever comes first; counted: which of them was asked for.
        every: epochs from one measurement to the next.
    """

    size: Any
    batches: int
    drop_last: bool
    epochs: int
    steps: int
    counted: str
    every: int


def limits_of(recipe: Recipe, parts: Parts, options: Options) -> Limits:
    """The limits of a run. Raises `TrainingError` for batches that the data cannot fill."""
    epochs, steps = options.epochs, options.steps
    if epochs is None and steps is None:
        epochs, steps = recipe.epochs, recipe.steps
    size = batch_size(recipe, parts.train)
    drop_last = any(w.stream for w in recipe.model.states.values())
    batches = data.batch_count(parts.train.size, size, drop_last)
    total = epochs if epochs is not None else math.ceil((steps or 0) / batches)
    every = options.every or (1 if recipe.stop else max(1, math.ceil(total / MEASURED)))
    if steps is None:
        return Limits(size, batches, drop_last, total, total * batches, "epochs", every)
    return Limits(size, batches, drop_last, total, steps, "steps", every)


def batch_size(recipe: Recipe, part: data.Arrays) -> Any:
    """Samples of a batch, or "all". `tokens[n]` takes as many samples as have n tokens.

    The tokens of a sample are the elements of its largest integer field, or of its largest field at all.
    """
    if not isinstance(recipe.batch, tuple):
        return recipe.batch
    fields = part.fields.values()
    whole = [v for v in fields if v.dtype.kind == "i"] or list(fields)
    return max(1, recipe.batch[1] // max(v[0].size for v in whole))
