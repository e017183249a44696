"""Where a loss that is not finite comes from: the steps since the last checkpoint are done again, looking closely.

Every step is a function of what is in the checkpoint, so the failing one comes again; this time the weights of before
it are still there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl import data
from zhdsl.errors import ZhError
from zhdsl.runtime import checkpoint
from zhdsl.runtime.non_finite import first_non_finite

if TYPE_CHECKING:
    from zhdsl.train.trainer import Trainer

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]
LOSS = ("loss", "loss")


class Replay:
    """The last checkpoint of a trainer, and the steps from there to its present.

    Attributes:
        before: the arrays of the checkpoint; empty without one.
    """

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.before: dict[Key, Array] = {}
        self.start = (0, 0, 0)
        if trainer.keeper.folder is not None:
            found, _ = checkpoint.newest(trainer.keeper.folder)
            if found is not None:
                self.before = dict(found.arrays)
                self.start = (found.record.epoch, found.record.batch, found.record.step)

    def cause(self) -> str:
        """One line on the first value that was not finite; empty where that cannot be found out."""
        try:
            return self._searched() if self.before else self._present()
        except (ZhError, ValueError, MemoryError):
            return ""  # it must not hide the error that it explains

    def _searched(self) -> str:
        trainer = self.trainer
        held = {key: self.before[key] for key in trainer.lent}
        executable = trainer.session.executable("replay", trainer.graph)
        for step, given in self._steps(held):
            given = given | held
            found = executable.run(given)
            bad = _first_bad(found)
            if bad is not None or step >= trainer.at.step:
                output = next(p.node for p in trainer.graph.outputs if (p.role, p.name) == (bad or LOSS))
                told = first_non_finite(trainer.graph, given, trainer.session.dtype, output)
                return f"step {step}: {told}" if told and step != trainer.at.step else told
            held.update({key: array for key, array in found.items() if key in held})
        return ""

    def _steps(self, held: dict[Key, Array]) -> Iterator[tuple[int, dict[Key, Array]]]:
        """Number and inputs of every step since; streams in `held` begin anew with an epoch."""
        trainer, (first, batch, step) = self.trainer, self.start
        session, limits = trainer.session, trainer.limits
        for epoch in range(first, trainer.at.epoch + 1):
            session.epoch = epoch
            if epoch > first:
                batch = 0
                held.update({key: np.zeros_like(held[key]) for key in self._streams()})
            part, drop = trainer.parts.train, limits.drop_last
            for indices, fields in data.batches(part, limits.size, session.seed, epoch, batch, drop_last=drop):
                session.step_count = step
                yield step, trainer.inputs(indices, fields)
                step += 1

    def _streams(self) -> list[Key]:
        states = self.trainer.recipe.model.states.items()
        return [("state", path) for path, w in states if w.stream and ("state", path) in self.trainer.lent]

    def _present(self) -> str:
        """Without a checkpoint only the weights of now are left, which may be spoilt already."""
        for (role, name), array in self.trainer.lent.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                kind = "parameter" if role == "param" else "state"
                return f"{kind} {name} is not finite any more; a run with a folder can tell why"
        return ""


def _first_bad(found: Mapping[Key, Array]) -> Key | None:
    """The first output that is not finite, the loss before all others."""
    keys = [LOSS, *(key for key in found if key != LOSS)]
    return next((k for k in keys if found[k].dtype.kind == "f" and not np.isfinite(found[k]).all()), None)
