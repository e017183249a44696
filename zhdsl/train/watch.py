"""`--detect-anomaly`: all that a step gives is looked at; the first step that makes a NaN or an infinity is the last.

Without it only the loss is looked at: a gradient that is not finite spoils the parameters, and is found a step later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.errors import TrainingError
from zhdsl.runtime.non_finite import first_non_finite

if TYPE_CHECKING:
    from zhdsl.train.trainer import Trainer

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]
WORDS = {"loss": "the loss", "param": "the new value of", "state": "the new state", "metric": "the value"}


class Watch:
    """Looks at every step of a trainer; keeps the arrays of before it."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.kept: dict[Key, Array] = {}

    def before(self) -> None:
        """Keeps the parameters and states that the step is about to change."""
        for key, array in self.trainer.lent.items():
            if key in self.kept:
                np.copyto(self.kept[key], array)
            else:
                self.kept[key] = array.copy()

    def after(self, given: Mapping[Key, Array], found: Mapping[Key, Array]) -> None:
        """Looks at what the step gave.

        Raises:
            TrainingError: something is not finite; the message names the first op that made it, and its line. The
                parameters and states are those of before the step.
        """
        trainer = self.trainer
        bad = [p for p in trainer.graph.outputs if not _finite((p.role, p.name), found, trainer.lent)]
        if not bad:
            return
        for key, array in self.kept.items():
            trainer.lent[key][...] = array
        inputs = {**given, **self.kept}
        cause = first_non_finite(trainer.graph, inputs, trainer.session.dtype, *(p.node for p in bad))
        at, first = trainer.at, bad[0]
        what = WORDS[first.role] + ("" if first.role == "loss" else f" {first.name}")
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        where = f"step {at.step} (epoch {at.epoch + 1}, batch {at.batch + 1})"
        told = cause or "it does not come again when it is computed op by op"
        raise TrainingError(f"{where}: {what}{more} is not finite\n  {told}")


def _finite(key: Key, found: Mapping[Key, Array], lent: Mapping[Key, Array]) -> bool:
    array = np.asarray(found[key] if key in found else lent[key])
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
