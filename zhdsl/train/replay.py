"""Where a loss that is not finite comes from: the steps since the last checkpoint are done again, looking closely.

Every step is a function of what is in the checkpoint, so the failing one comes again; this time the weights of before it
are still there.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def cause(trainer: Trainer) -> str:
    """One line on the first value that was not finite; empty where that cannot be found out."""
    try:
        return _searched(trainer)
    except (ZhError, ValueError, MemoryError):
        return ""  # it must not hide the error that it explains


def _searched(trainer: Trainer) -> str:
    held, position = _before(trainer)
    if held is None:
        return _present(trainer)
    executable = trainer.session.executable("replay", trainer.graph)
    epoch, batch, step = position
    limits = trainer.limits
    while True:
        trainer.session.epoch = epoch
        source = data.batches(
            trainer.parts.train, limits.size, trainer.session.seed, epoch, batch, drop_last=limits.drop_last
        )
        for indices, fields in source:
            trainer.session.step_count = step
            given = trainer.inputs(indices, fields) | {key: held[key] for key in trainer.lent}
            found = executable.run(given)
            bad = _first_bad(trainer, found)
            if bad is not None or step >= trainer.at.step:
                output = next(p.node for p in trainer.graph.outputs if (p.role, p.name) == (bad or ("loss", "loss")))
                told = first_non_finite(trainer.graph, given, trainer.session.dtype, output)
                return f"step {step}: {told}" if told and step != trainer.at.step else told
            held.update({key: array for key, array in found.items() if key in held})
            step += 1
        epoch, batch = epoch + 1, 0
        for path, weight in trainer.recipe.model.states.items():
            if weight.stream and ("state", path) in held:
                held["state", path] = np.zeros_like(held["state", path])


def _before(trainer: Trainer) -> tuple[dict[Key, Array] | None, tuple[int, int, int]]:
    """The arrays of the last checkpoint and (epoch, batch, step) of its next batch."""
    if trainer.folder is None:
        return None, (0, 0, 0)
    found, _ = checkpoint.newest(trainer.folder)
    if found is None:
        return None, (0, 0, 0)
    return dict(found.arrays), (found.record.epoch, found.record.batch, found.record.step)


def _present(trainer: Trainer) -> str:
    """Without a checkpoint only the weights of now are left, which may be spoilt already."""
    for (role, name), array in trainer.lent.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            kind = "parameter" if role == "param" else "state"
            return f"{kind} {name} is not finite any more; a run with a folder can tell why"
    return ""


def _first_bad(trainer: Trainer, found: Mapping[Key, Array]) -> Key | None:
    """The first output that is not finite, the loss before all others."""
    keys = [("loss", "loss"), *(key for key in found if key != ("loss", "loss"))]
    return next((k for k in keys if found[k].dtype.kind == "f" and not np.isfinite(found[k]).all()), None)
