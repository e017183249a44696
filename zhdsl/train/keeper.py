"""`Keeper`: the files of a run while it runs: when to save, what to save, how to go on from it.

Without a folder it keeps nothing and is never due.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.errors import BackendError, TrainingError
from zhdsl.runtime import checkpoint, pipeline
from zhdsl.runtime.checkpoint import BEST, Checkpoint, Record
from zhdsl.runtime.session import Session
from zhdsl.train import run_folder
from zhdsl.train.limits import Limits, Options
from zhdsl.train.parts import Parts

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]

SHORTEST = 2.0  # seconds between two saves at the ends of epochs
SHARE = 20.0  # a save may take one part in so many of the time


@dataclass
class Position:
    """Where a run is. `batch` of `epoch` is the next; the sums are of the steps of that epoch so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best: tuple[float, int] | None = None
    waited: int = 0


class Keeper:
    """Checkpoints and logs of one run."""

    def __init__(
        self, session: Session, parts: Parts, folder: Path | None, options: Options, note: Callable[[str], None]
    ):
        self.session, self.parts, self.folder, self.options, self.note = session, parts, folder, options, note
        self.metrics: run_folder.Lines | None = None
        self.timing: run_folder.Lines | None = None
        self.history: list[dict[str, Any]] = []
        self.best: dict[Key, Array] | None = None
        self._best_saved = True
        self._saved_at = time.monotonic()
        self._took = 0.0

    # ------------------------------------------------------------ beginning
    def found(self, resume: bool) -> Checkpoint | None:
        """The checkpoint to go on from.

        Raises:
            TrainingError: there is one and `resume` is not wanted, or it is of another spec, seed, dtype or data.
        """
        if self.folder is None:
            return None
        found, warnings = checkpoint.newest(self.folder)
        for line in warnings:
            self.note(f"warning: {line}; the checkpoint before it is used")
        if found is not None and not resume:
            raise TrainingError(f"there is a run in {self.folder}\nhelp: resume it, or train into another folder")
        if found is not None:
            self._require_same_run(found.record)
        return found

    def _require_same_run(self, record: Record) -> None:
        now = self.record(Position())
        pairs = {
            "the spec": (record.spec_hash, now.spec_hash),
            "the seed": (record.seed, now.seed),
            "the dtype": (record.dtype, now.dtype),
            "the data": (record.data, now.data),
        }
        changed = " and ".join(name for name, (before, after) in pairs.items() if before != after)
        if changed:
            raise TrainingError(
                f"{self.folder}: {changed} changed since this run began\nhelp: start a new run, or undo the change"
            )

    def begin(self, limits: Limits, at: Position, logged: int | None) -> None:
        """Opens the logs; `logged` bytes of the metrics are kept (`None`: a new run, which is described first).

        The best weights of a run that goes on are read; if they are lost, the next measured ones are the best.
        """
        if self.folder is None:
            return
        if logged is None:
            self._describe(self.folder, limits)
        self.metrics = run_folder.Lines(self.folder / run_folder.METRICS, logged or 0)
        self.timing = run_folder.Lines(self.folder / run_folder.TIMING, None if logged else 0)
        self.history = run_folder.lines_of(self.folder / run_folder.METRICS)
        if at.best is not None:
            try:
                self.best = dict(checkpoint.read(self.folder / BEST).arrays)
            except TrainingError as error:
                self.note(f"warning: {str(error).partition(chr(10))[0]}; the best weights so far are lost")
                at.best, at.waited = None, 0

    def _describe(self, folder: Path, limits: Limits) -> None:
        session, spec = self.session, self.session.spec
        about = {
            "model": spec.model.name,
            "recipe": session.recipe.name,
            "set": dict(spec.overrides),
            "seed": session.seed,
            "dtype": session.dtype,
            "device": pipeline.chosen(session.device),
            "folder": str(spec.folder.resolve()),
            "samples": self.parts.counts,
            "batch": limits.size,
            "epochs": limits.epochs,
            "data": self.parts.fingerprint,
            "parameters": session.param_count,
        }
        run_folder.describe(folder, spec.texts, spec.root, about)

    # ------------------------------------------------------------ going on
    def measured(self, record: Mapping[str, Any], seconds: float) -> None:
        """Writes an epoch's line."""
        self.history.append(dict(record))
        if self.metrics is not None and self.timing is not None:
            self.metrics.append(record)
            self.timing.append({"epoch": record["epoch"], "seconds": round(seconds, 6)})

    def remember_best(self) -> None:
        """The present weights are the best; they are written with the next save."""
        self.best = {key: np.array(array, order="C") for key, array in self.session.weights().items()}
        self._best_saved = False

    def is_due(self, at: Position, end_of_epoch: bool) -> bool:
        """Whether it is time to save: saving may cost no more than a small share of the time."""
        if self.folder is None:
            return False
        longest = self.options.save_seconds
        if longest == 0 or (self.options.save_steps and at.step % self.options.save_steps == 0):
            return True
        waited = time.monotonic() - self._saved_at
        return waited >= max(min(SHORTEST, longest) if end_of_epoch else longest, SHARE * self._took)

    def save(self, at: Position, must: bool = False) -> None:
        """Writes the best weights if they are new, then the state of the run.

        A save that fails is told, and the run goes on with the old checkpoint, unless this one `must` succeed.

        Raises:
            BackendError: it must, and did not.
        """
        if self.folder is None or self.metrics is None:
            return
        started = time.monotonic()
        try:
            self.metrics.sync()
            if not self._best_saved and self.best is not None:
                checkpoint.write(self.folder / BEST, Checkpoint(self.best, self._best_record(at)))
                self._best_saved = True
            checkpoint.keep(self.folder, Checkpoint(self.session.arrays, self.record(at)))
        except BackendError as error:
            if must:
                raise
            self.note(f"warning: {error}; training goes on, the last checkpoint is kept")
        self._saved_at = time.monotonic()
        self._took = self._saved_at - started

    def record(self, at: Position) -> Record:
        """The record of the present."""
        session = self.session
        return replace(
            session.spec.record(session.dtype, session.seed),
            data=self.parts.fingerprint,
            logged=self.metrics.size if self.metrics else 0,
            **vars(at),
        )

    def _best_record(self, at: Position) -> Record:
        """The record of the best weights: it says when they were found, and nothing that still moves."""
        assert at.best is not None
        return replace(self.record(Position(epoch=at.best[1], best=at.best)), logged=0)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes what came of it."""
        if self.folder is not None:
            run_folder.write_json(self.folder / run_folder.RESULT, result)

    def close(self) -> None:
        """Closes the logs."""
        for lines in (self.metrics, self.timing):
            if lines is not None:
                lines.close()


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON can hold them: what is not finite becomes `None`."""
    return {name: _or_none(value) for name, value in values.items()}


def _or_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_or_none(v) for v in value]
    return value if math.isfinite(value) else None
