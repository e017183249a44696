"""`fit`: trains a session by its recipe.

A run is a function of spec, data and seed: epoch e visits the samples in an order that depends on (seed, e) alone, random
numbers depend on (seed, step). So a run that was stopped anywhere, and goes on from its last checkpoint, ends in the same
bytes as one that was not.

    for epoch:   for batch: step        measure        best? enough?        log, save
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl import data
from zhdsl.errors import BackendError, TrainingError
from zhdsl.runtime import checkpoint
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.checkpoint import BEST, Checkpoint, Record
from zhdsl.runtime.session import Session
from zhdsl.runtime.step import NORM, RATE, step_graph
from zhdsl.train import run_folder
from zhdsl.train.measure import Measure, finite
from zhdsl.train.parts import Parts, parts_of
from zhdsl.train.report import Reporter, for_stream
from zhdsl.train.result import Result, decided
from zhdsl.train.signals import Interrupts, interrupts

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]

MEASURED = 1000  # epochs that are measured at most, unless early stopping watches or `every` says otherwise
SHORTEST = 2.0  # seconds between two saves at the ends of epochs
SHARE = 20.0  # a save may take one part in so many of the time


@dataclass
class Position:
    """Where a run is; the counterpart of `Record`."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best: tuple[float, int] | None = None
    waited: int = 0


def fit(
    session: Session,
    folder: Path | None = None,
    resume: bool = False,
    epochs: int | None = None,
    steps: int | None = None,
    given: Mapping[str, Any] | None = None,
    reporters: Sequence[Reporter] | None = None,
    every: int | None = None,
    save_seconds: float = 60.0,
    save_steps: int | None = None,
    command: str = "",
) -> Result:
    """Trains by the recipe. In the end the session has the best weights.

    Args:
        session: its weights are where training begins; the optimiser begins anew.
        folder: where the run is written; `None` writes nothing.
        resume: go on from the last checkpoint in `folder`, or begin if there is none.
        epochs, steps: instead of the recipe's; at most one of them.
        given: arrays by field, instead of the recipe's data set.
        reporters: who is told; `None` shows progress on standard output.
        every: epochs from one measurement to the next. By default each, if early stopping watches or there are few.
        save_seconds: longest time between two saves within an epoch; ends of epochs save too. 0 saves after each step.
        save_steps: save after so many steps as well.
        command: what goes on with this run, told when it is interrupted.

    Raises:
        TrainingError: data, checkpoint or loss are not as they must be.
        BackendError: the machine cannot do it; the last checkpoint is whole.
        KeyboardInterrupt, SystemExit: it was interrupted, after saving.
    """
    told = [for_stream()] if reporters is None else list(reporters)
    with ExitStack() as stack:
        if folder is not None:
            stack.enter_context(run_folder.locked(folder))
        heard = stack.enter_context(interrupts())
        for reporter in told:
            stack.callback(reporter.end)
        parts = parts_of(session.recipe, session.spec.folder, session.seed, session.dtype, given)
        limits = Limits.of(session, parts, epochs, steps, every, save_seconds, save_steps)
        trainer = Trainer(session, parts, limits, folder, told, heard, command)
        stack.callback(trainer.close)
        trainer.begin(resume)
        trainer.run()
        return trainer.finish()


@dataclass(frozen=True)
class Limits:
    """How long, how often.

    Attributes:
        size: samples of a batch, or "all"; batches: of an epoch.
        drop_last: whether a last batch that is not full is left out (streams need full ones).
        epochs, steps: of the run, whichever comes first.
        every: epochs from one measurement to the next.
        save_seconds, save_steps: between saves within an epoch.
    """

    size: Any
    batches: int
    drop_last: bool
    epochs: int
    steps: int
    every: int
    save_seconds: float
    save_steps: int | None

    @staticmethod
    def of(
        session: Session,
        parts: Parts,
        epochs: int | None,
        steps: int | None,
        every: int | None,
        save_seconds: float,
        save_steps: int | None,
    ) -> Limits:
        """From the recipe, and what is given instead."""
        recipe = session.recipe
        if epochs is not None and steps is not None:
            raise TrainingError("epochs and steps are both given\nhelp: give one of them")
        if min(epochs or 0, steps or 0) < 0 or (every is not None and every < 1):
            raise TrainingError("a negative number of epochs or steps\nhelp: give 0 or more")
        if epochs is None and steps is None:
            epochs, steps = recipe.epochs, recipe.steps
        size = batch_size(recipe.batch, parts)
        drop_last = any(w.stream for w in recipe.model.states.values())
        batches = data.batch_count(parts.train.size, size, drop_last)
        total = epochs if epochs is not None else math.ceil((steps or 0) / batches)
        if every is None:
            every = 1 if recipe.stop else max(1, math.ceil(total / MEASURED))
        limit = total * batches if steps is None else steps
        return Limits(size, batches, drop_last, total, limit, every, save_seconds, save_steps)


def batch_size(batch: int | str | tuple[str, int], parts: Parts) -> Any:
    """Samples of a batch, or "all". `tokens[n]` takes as many samples as have n tokens.

    The tokens of a sample are the elements of its largest integer field, or of its largest field at all.
    """
    if not isinstance(batch, tuple):
        return batch
    fields = parts.train.fields.values()
    whole = [v for v in fields if v.dtype.kind == "i"] or list(fields)
    return max(1, batch[1] // max(v[0].size for v in whole))


class Trainer:
    """A run in progress."""

    def __init__(
        self,
        session: Session,
        parts: Parts,
        limits: Limits,
        folder: Path | None,
        reporters: Sequence[Reporter],
        heard: Interrupts,
        command: str,
    ):
        self.session, self.parts, self.limits, self.folder = session, parts, limits, folder
        self.reporters, self.heard, self.command = reporters, heard, command
        self.recipe = session.recipe
        self.graph = step_graph(self.recipe)
        self.measure = Measure(session)
        self.at = Position()
        self.history: list[dict[str, Any]] = []
        self.best: dict[Key, Array] | None = None
        self.best_saved = True
        self.log: run_folder.Lines | None = None
        self.timing: run_folder.Lines | None = None
        self.extra: dict[str, float] = {}
        self.saved_at = self.epoch_at = time.monotonic()
        self.save_took = 0.0
        stop = self.recipe.stop or {"metric": "loss", "mode": "min", "patience": math.inf, "delta": 0.0}
        self.watched, self.sign = stop["metric"], -1.0 if stop["mode"] == "min" else 1.0
        self.patience, self.delta = stop["patience"], stop["delta"]

    # ------------------------------------------------------------ the beginning
    def begin(self, resume: bool) -> None:
        """Takes up the last checkpoint, or starts: fitted statistics, a new optimiser, counters at 0."""
        found = self._found(resume)
        if found is None:
            self._start()
        else:
            self._go_on(found)
        self._open_logs(found.record.logged if found else 0)
        self._prepare_steps()
        for reporter in self.reporters:
            for line in self.parts.notes:
                reporter.note(line)
            reporter.begin(self.recipe.name, self.limits.epochs, self.limits.batches)
        if self.limits.drop_last and self.parts.train.size % self.limits.size:
            self._note(f"batches are full: {self.parts.train.size % self.limits.size} samples are left out each epoch")
        if found is None:
            self._save()

    def _found(self, resume: bool) -> Checkpoint | None:
        if self.folder is None:
            return None
        found, warnings = checkpoint.newest(self.folder)
        for line in warnings:
            self._note(f"warning: {line}; the one before is used")
        if found is not None and not resume:
            raise TrainingError(f"there is a run in {self.folder}\nhelp: resume it, or train into another folder")
        return found

    def _start(self) -> None:
        session = self.session
        session.restart()
        if self.recipe.fit is not None:
            session.prepare(**{p.name: self.parts.train.fields[p.name] for p in self.recipe.fit.of_role("data")})
        if self.folder is not None:
            run_folder.describe(self.folder, session.spec.texts, session.spec.root, self._about())

    def _about(self) -> dict[str, Any]:
        spec = self.session.spec
        return {
            "model": spec.model.name,
            "recipe": self.recipe.name,
            "set": dict(spec.overrides),
            "seed": self.session.seed,
            "dtype": self.session.dtype,
            "device": self.session.device,
            "folder": str(spec.folder.resolve()),
            "samples": self.parts.counts,
            "batch": self.limits.size,
            "data": self.parts.fingerprint,
            "parameters": self.session.param_count,
        }

    def _go_on(self, found: Checkpoint) -> None:
        record, session = found.record, self.session
        self._require_same_run(record)
        session.restore(found, str(self.folder), streams=True)
        self.at = Position(
            record.epoch, record.batch, record.step, record.loss_sum, record.loss_count, record.best, record.waited
        )
        if record.best is not None:
            self.best = self._read_best()
        self._note(f"going on in epoch {record.epoch + 1}, after {record.step} steps")

    def _require_same_run(self, record: Record) -> None:
        now = self._record(0)
        pairs = {
            "the spec": (record.spec_hash, now.spec_hash),
            "the seed": (record.seed, now.seed),
            "the dtype": (record.dtype, now.dtype),
            "the data": (record.data, now.data),
        }
        changed = [name for name, (before, after) in pairs.items() if before != after]
        if changed:
            text = " and ".join(changed)
            raise TrainingError(
                f"{self.folder}: {text} changed since this run began\nhelp: start a new run, or undo the change"
            )

    def _read_best(self) -> dict[Key, Array] | None:
        """The best weights so far. If they are lost, the next measured ones are the best."""
        assert self.folder is not None
        try:
            return dict(checkpoint.read(self.folder / BEST).arrays)
        except TrainingError as error:
            self._note(f"warning: {str(error).partition(chr(10))[0]}; the best weights so far are lost")
            self.at.best, self.at.waited = None, 0
            return None

    def _open_logs(self, keep: int) -> None:
        if self.folder is None:
            return
        self.log = run_folder.Lines(self.folder / run_folder.METRICS, keep)
        timing = self.folder / run_folder.TIMING
        self.timing = run_folder.Lines(timing, timing.stat().st_size if keep and timing.exists() else 0)
        self.history = run_folder.lines_of(self.folder / run_folder.METRICS)

    def _prepare_steps(self) -> None:
        """Compiles the step and lends it the session's arrays, which it updates where they are."""
        session, size = self.session, self.limits.size
        ports = self.graph.of_role("data")
        count = self.parts.train.size if size == "all" else min(size, self.parts.train.size)
        shapes = [_with_batch(self.parts.train.fields[p.name].shape, count) for p in ports]
        self.sizes = sizes_of(ports, shapes)
        self.executable = session.executable(self.graph.name, self.graph)
        self.lent = {key: np.array(array, order="C") for key, array in session.held(self.graph, self.sizes).items()}
        session.arrays.update(self.lent)
        self.executable.hold(self.lent)
        self.names = [p.name for p in ports]

    # ------------------------------------------------------------ steps
    def run(self) -> None:
        """Until epochs or steps are done, or nothing has become better for long enough."""
        while self._reason() is None:
            self._epoch()
        self._save()

    def _reason(self) -> str | None:
        """Why the run is over."""
        if self.at.waited >= self.patience:
            return "early_stop"
        if self.at.epoch >= self.limits.epochs:
            return "epochs"
        return "steps" if self.at.step >= self.limits.steps else None

    def _epoch(self) -> None:
        at, limits = self.at, self.limits
        self.session.epoch = at.epoch
        self.epoch_at = time.monotonic()
        if at.batch == 0:
            self._reset_streams()
        source = data.batches(
            self.parts.train, limits.size, self.session.seed, at.epoch, at.batch, drop_last=limits.drop_last
        )
        for indices, fields in source:
            self._step(indices, fields)
            if self.heard.received is not None:
                self._interrupted()
            if at.step >= limits.steps:
                break
            if self._save_is_due():
                self._save()
        self._end_epoch()

    def _reset_streams(self) -> None:
        for path, weight in self.recipe.model.states.items():
            if weight.stream and ("state", path) in self.lent:
                self.lent["state", path][...] = 0

    def _step(self, indices: Array, fields: Mapping[str, Array]) -> None:
        at = self.at
        self.session.step_count = at.step
        given = self.inputs(indices, fields)
        try:
            found = self.executable.run(given)
        except MemoryError:
            size = len(indices)
            raise BackendError(f"step {at.step}: not enough memory for a batch of {size}\nhelp: halve it") from None
        loss = float(found["loss", "loss"])
        if not math.isfinite(loss):
            self._lost(loss)
        at.step += 1
        at.batch += 1
        at.loss_sum += loss * len(indices)
        at.loss_count += len(indices)
        self.extra = {name: float(found["metric", name]) for name in (NORM, RATE) if ("metric", name) in found}
        for reporter in self.reporters:
            reporter.step(at.epoch, at.batch - 1, loss)

    def inputs(self, indices: Array, fields: Mapping[str, Array]) -> dict[Key, Array]:
        """What a step takes beside the arrays it holds."""
        sizes = {**self.sizes, **self._batch_symbols(len(indices))}
        counters = self.session.counters(self.graph, sizes)
        if ("counter", "sample") in counters:
            counters["counter", "sample"] = indices.astype(np.int32)
        return {("data", name): fields[name] for name in self.names} | counters

    def _batch_symbols(self, count: int) -> dict[str, int]:
        return {self.measure.split.symbol: count}

    def _lost(self, loss: float) -> None:
        """The loss is not finite: finds out where that comes from, and ends the run."""
        from zhdsl.train.replay import cause

        at = self.at
        where = f"step {at.step} (epoch {at.epoch + 1}, batch {at.batch + 1})"
        self._note(f"the loss of {where} is {loss}; looking for the first value that is not finite")
        text = cause(self)
        kept = f"\nhelp: {self.folder} has the weights of before" if self.folder else ""
        raise TrainingError(f"{where}: the loss is {loss}" + (f"\n  {text}" if text else "") + kept)

    # ------------------------------------------------------------ ends of epochs
    def _end_epoch(self) -> None:
        at = self.at
        mean = at.loss_sum / max(at.loss_count, 1)
        at.epoch, at.batch, at.loss_sum, at.loss_count = at.epoch + 1, 0, 0.0, 0
        last = at.epoch >= self.limits.epochs or at.step >= self.limits.steps
        if last or at.epoch % self.limits.every == 0:
            self._measured(mean, last)
        if time.monotonic() - self.saved_at >= max(min(SHORTEST, self.limits.save_seconds), SHARE * self.save_took):
            self._save()

    def _measured(self, loss: float, last: bool) -> None:
        """Measures the watched part, remembers the best weights, writes the epoch's line."""
        at, (name, part) = self.at, self.parts.watched
        values = finite(self.measure.over(part, self.limits.size))
        better = self._is_better(values.get(self.watched))
        if better:
            at.best, at.waited = (float(values[self.watched]), at.epoch), 0
            self.best = {key: array.copy() for key, array in self.session.weights().items()}
            self.best_saved = False
        else:
            at.waited += 1
        record = {"epoch": at.epoch, "step": at.step, "loss": loss, name: values, **finite(self.extra), "best": better}
        self.history.append(record)
        seconds = time.monotonic() - self.epoch_at
        if self.log is not None and self.timing is not None:
            self.log.append(record)
            self.timing.append({"epoch": at.epoch, "seconds": round(seconds, 6)})
        for reporter in self.reporters:
            reporter.epoch(record, last)

    def _is_better(self, value: Any) -> bool:
        if not isinstance(value, float):
            return False
        return self.at.best is None or self.sign * (value - self.at.best[0]) > self.delta

    # ------------------------------------------------------------ saving
    def _save_is_due(self) -> bool:
        if self.folder is None:
            return False
        by_steps = self.limits.save_steps and self.at.step % self.limits.save_steps == 0
        waited = time.monotonic() - self.saved_at
        return bool(by_steps) or waited >= max(self.limits.save_seconds, SHARE * self.save_took * bool(waited))

    def _save(self, must: bool = False) -> None:
        """Writes the best weights if they are new, then the state of the run.

        A save that fails is reported, and the run goes on with the old checkpoint, unless it is the last chance.
        """
        if self.folder is None or self.log is None:
            return
        started = time.monotonic()
        try:
            self.log.sync()
            if not self.best_saved and self.best is not None:
                checkpoint.write(self.folder / BEST, Checkpoint(self.best, self._record(0, best=True)))
                self.best_saved = True
            checkpoint.keep(self.folder, Checkpoint(self.session.arrays, self._record(self.log.size)))
        except BackendError as error:
            if must:
                raise
            self._note(f"warning: {error}; training goes on")
        self.saved_at = time.monotonic()
        self.save_took = self.saved_at - started

    def _record(self, logged: int, best: bool = False) -> Record:
        """The record of the present; with `best`, that of the best weights, which no longer move."""
        session, at = self.session, self.at
        base = replace(session.spec.record(session.dtype, session.seed), data=self.parts.fingerprint)
        if best and at.best is not None:
            return replace(base, epoch=at.best[1], best=at.best)
        return replace(
            base,
            epoch=at.epoch,
            batch=at.batch,
            step=at.step,
            best=at.best,
            waited=at.waited,
            logged=logged,
            loss_sum=at.loss_sum,
            loss_count=at.loss_count,
        )

    def _interrupted(self) -> None:
        self._save(must=True)
        if self.folder is not None:
            self._note(f"interrupted after {self.at.step} steps; saved in {self.folder}")
            self._note(f"go on with: {self.command or f'zh train {self.session.spec.root} --resume {self.folder}'}")
        self.heard.end()

    # ------------------------------------------------------------ the end
    def finish(self) -> Result:
        """Gives the session the best weights and measures them on the part that nothing was decided on."""
        reason = self._reason() or "epochs"
        self._save(must=True)
        for key, array in (self.best or {}).items():
            self.session.arrays[key][...] = array
        self.session.step_count, self.session.epoch = self.at.step, self.at.epoch
        name, part = self.parts.final
        metrics = self.measure.over(part, self.limits.size)
        result = Result(
            self.folder,
            self.at.epoch,
            self.at.step,
            self.at.best,
            name,
            metrics,
            tuple(self.history),
            decided(self.recipe.expect, metrics),
            reason,
        )
        if self.folder is not None:
            run_folder.write_json(self.folder / run_folder.RESULT, _told(result))
        return result

    def close(self) -> None:
        """Closes the logs."""
        for lines in (self.log, self.timing):
            if lines is not None:
                lines.close()

    def _note(self, line: str) -> None:
        for reporter in self.reporters:
            reporter.note(line)


def _with_batch(shape: Sequence[int], count: int) -> tuple[int, ...]:
    return (count, *shape[1:])


def _told(result: Result) -> dict[str, Any]:
    """A result as JSON."""
    return {
        "epochs": result.epochs,
        "steps": result.steps,
        "stopped": result.stopped,
        "best": list(result.best) if result.best else None,
        "part": result.part,
        "metrics": finite(result.metrics),
        "expectations": [
            {"text": e.text, "value": e.value if math.isfinite(e.value) else None, "holds": e.holds}
            for e in result.expectations
        ],
    }
