"""What a run measures of itself while it trains, for pictures: opt in, written to `record.jsonl`, and never in the way.

For some hundred steps, evenly spread: the norm of every parameter's gradient, of the parameter, and of the change that
the step made; the share of dead units (zero for all samples of the batch) of every relu. The gradients are computed
again on the same batch by a program of their own, from copies, so the run's own numbers are the same bits with and
without it. The price is that program for each recorded step: about one step more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.runtime.files import SHARED, write_whole
from zhdsl.runtime.statistics import Graph, statistics_graph
from zhdsl.runtime.step import NORM, RATE
from zhdsl.train.run_folder import Lines, lines_of

if TYPE_CHECKING:
    from zhdsl.train.trainer import Trainer

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]

RECORD = "record.jsonl"
LAYERS = 100  # steps of a run in which layers are measured, about
LOSSES = 2000  # steps whose loss is kept, about


class Recorder:
    """Measures a trainer's steps.

    Attributes:
        told: is called with every record as it is made; see `records_of` for what is in one.
    """

    def __init__(self, told: Callable[[Mapping[str, Any]], None] | None = None):
        self.told = told
        self._lines: Lines | None = None
        self._before: dict[Key, Array] | None = None
        self._measured: dict[str, float] = {}
        self._graph: Graph | None = None

    def begin(self, trainer: Trainer) -> None:
        """Opens the file, without what a run that goes on will do again."""
        total = max(1, min(trainer.limits.steps, trainer.limits.epochs * trainer.limits.batches))
        self._every, self._each = math.ceil(total / LAYERS), math.ceil(total / LOSSES)
        self._graph = statistics_graph(trainer.recipe)
        if trainer.keeper.folder is not None:
            path = trainer.keeper.folder / RECORD
            kept = [r for r in records_of(path) if r["step"] <= trainer.at.step] if trainer.at.step else []
            write_whole(path, "", mode=SHARED)
            self._lines = Lines(path)
            for record in kept:
                self._lines.append(record)

    def before(self, trainer: Trainer, given: Mapping[Key, Array]) -> None:
        """Measures the gradients of the step that comes, if it is one of those that are recorded."""
        self._before = None
        if trainer.at.step % self._every or self._graph is None:
            return
        wanted = {(p.role, p.name) for p in self._graph.inputs}
        held = {key: array for key, array in trainer.lent.items() if key in wanted}
        held |= {key: array for key, array in trainer.session.arrays.items() if key in wanted and key not in held}
        executable = trainer.session.executable(self._graph.name, self._graph)
        found = executable.run({key: value for key, value in given.items() if key in wanted} | held)
        self._measured = {name: float(value) for (_, name), value in found.items()}
        self._before = {("param", path): trainer.lent["param", path].copy() for path in self._paths}

    @property
    def _paths(self) -> list[str]:
        return [name[5:] for name in self._measured if name.startswith("grad/")]

    def after(self, trainer: Trainer, loss: float) -> None:
        """Records the step that was made."""
        if self._before is None and (trainer.at.step - 1) % self._each:
            return
        record: dict[str, Any] = {"step": trainer.at.step, "loss": loss}
        record |= {name: trainer.extra[name] for name in (RATE, NORM) if name in trainer.extra}
        if self._before is not None:
            record["layers"] = {path: self._layer(path, trainer.lent["param", path]) for path in self._paths}
            dead = {name[5:]: _finite(value) for name, value in self._measured.items() if name.startswith("dead/")}
            record |= {"dead": dead} if dead else {}
        record = {name: _finite(value) if isinstance(value, float) else value for name, value in record.items()}
        if self._lines is not None:
            self._lines.append(record)
        if self.told is not None:
            self.told(record)

    def _layer(self, path: str, now: Array) -> list[float | None]:
        """Norms of the gradient, of the parameter before the step, and of its change."""
        assert self._before is not None
        old = self._before["param", path]
        with np.errstate(all="ignore"):
            norms = math.sqrt(self._measured[f"grad/{path}"]), _norm(old), _norm(now - old)
        return [_finite(value) for value in norms]

    def close(self) -> None:
        """Nothing more will come."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values.astype(np.float64).ravel()))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def records_of(path: Path) -> list[dict[str, Any]]:
    """What was recorded; nothing where there is no file.

    A record has `step` (steps done), `loss`, and where they exist `rate` and `grad_norm`; some have `layers`: by
    parameter [gradient norm, norm, norm of the change], and `dead`: by relu the share of dead units.
    """
    return lines_of(path) if path.is_file() else []
