"""`fit`: trains a session by its recipe.

A run is a function of spec, data and seed: epoch e visits the samples in an order that depends on (seed, e) alone, and
random numbers depend on (seed, step). So a run that was stopped anywhere, and goes on from its last checkpoint, ends in
the same bytes as one that was not.

    for epoch:   for batch: step        measure        best? enough?        log, save
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl import data
from zhdsl.errors import BackendError, TrainingError
from zhdsl.runtime import memory
from zhdsl.runtime.arguments import sizes_of
from zhdsl.runtime.session import Session
from zhdsl.runtime.step import NORM, RATE, step_graph
from zhdsl.train import run_folder
from zhdsl.train.keeper import Keeper, Position, finite
from zhdsl.train.limits import Limits, Options, limits_of
from zhdsl.train.measure import Measure
from zhdsl.train.parts import Parts, parts_of
from zhdsl.train.record import Recorder
from zhdsl.train.report import Reporter, for_stream
from zhdsl.train.result import Result, decided
from zhdsl.train.signals import Interrupts, interrupts
from zhdsl.train.watch import Watch

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]


def fit(
    session: Session,
    folder: Path | None = None,
    resume: bool = False,
    options: Options | None = None,
    given: Mapping[str, Any] | None = None,
    reporters: Sequence[Reporter] | None = None,
    command: str = "",
    recorder: Recorder | None = None,
) -> Result:
    """Trains by the recipe. In the end the session has the best weights.

    Args:
        session: its weights are where training begins; the optimiser begins anew.
        folder: where the run is written; `None` writes nothing.
        resume: go on from the last checkpoint in `folder`, or begin if there is none.
        options: how long and how often, where the recipe does not say or shall not be followed.
        given: arrays by field, instead of the recipe's data set.
        reporters: who is told; `None` shows progress on standard output.
        command: what goes on with this run, told when it is interrupted.
        recorder: measures layers on the way; it changes no bit of the run.

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
        trainer = Trainer(session, parts, folder, options or Options(), told, heard)
        stack.callback(trainer.keeper.close)
        trainer.begin(resume)
        if recorder is not None:
            stack.callback(recorder.close)
            recorder.begin(trainer)
            trainer.recorder = recorder
        trainer.run(command or f"zh train {session.spec.root} --resume {folder}")
        return trainer.finish()


class Trainer:
    """A run in progress."""

    def __init__(
        self,
        session: Session,
        parts: Parts,
        folder: Path | None,
        options: Options,
        reporters: Sequence[Reporter],
        heard: Interrupts,
    ):
        self.session, self.parts, self.reporters, self.heard = session, parts, reporters, heard
        self.recipe = session.recipe
        self.limits: Limits = limits_of(self.recipe, parts, options)
        self.keeper = Keeper(session, parts, folder, options, self.note)
        self.watch = Watch(self) if options.detect_anomaly else None
        self.graph = step_graph(self.recipe)
        self.measure = Measure(session)
        self.at = Position()
        self.recorder: Recorder | None = None
        self.extra: dict[str, float] = {}
        self.epoch_at = time.monotonic()
        stop = self.recipe.stop or {"metric": "loss", "mode": "min", "patience": math.inf, "delta": 0.0}
        self.watched, self.sign = stop["metric"], -1.0 if stop["mode"] == "min" else 1.0
        self.patience, self.delta = stop["patience"], stop["delta"]

    def note(self, line: str) -> None:
        """Tells the user."""
        for reporter in self.reporters:
            reporter.note(line)

    # ------------------------------------------------------------ the beginning
    def begin(self, resume: bool) -> None:
        """Takes up the last checkpoint, or starts: fitted statistics, a new optimiser, counters at 0."""
        found = self.keeper.found(resume)
        for line in self.parts.notes:
            self.note(line)
        if found is None:
            self._start()
        else:
            self.session.restore(found, str(self.keeper.folder), streams=True)
            self.at = Position(**{name: getattr(found.record, name) for name in vars(self.at)})
            self.note(f"going on after {self.at.step} steps, in epoch {self.at.epoch + 1}")
        self.keeper.begin(self.limits, self.at, found.record.logged if found else None)
        self._lend()
        for reporter in self.reporters:
            reporter.begin(self.recipe.name, self.limits.epochs, self.limits.batches)
        if found is None:
            self.keeper.save(self.at, must=True)

    def _start(self) -> None:
        self.session.restart()
        if self.recipe.fit is not None:
            fields = self.parts.train.fields
            self.session.prepare(**{p.name: fields[p.name] for p in self.recipe.fit.of_role("data")})
        left = self.parts.train.size % self.limits.size if self.limits.drop_last else 0
        if self.measure.split.averaged:
            self.note("the loss mixes the samples of a batch: over a pass it is the mean over batches")
        if left:
            self.note(f"the model carries states from batch to batch: {left} samples are left out of each epoch")

    def _lend(self) -> None:
        """Compiles the step and lends it the session's arrays, which it updates where they are."""
        session, size, train = self.session, self.limits.size, self.parts.train
        ports = self.graph.of_role("data")
        count = train.size if size == "all" else min(size, train.size)
        self.names = [p.name for p in ports]
        self.sizes = sizes_of(ports, [(count, *train.fields[name].shape[1:]) for name in self.names])
        self.executable = session.executable(self.graph.name, self.graph)
        memory.require(self.executable.peak(self.sizes), f"a step with a batch of {count}", "write a smaller batch")
        self.lent = {key: np.array(array, order="C") for key, array in session.held(self.graph, self.sizes).items()}
        session.arrays.update(self.lent)
        self.executable.hold(self.lent)

    # ------------------------------------------------------------ steps
    def run(self, command: str = "") -> None:
        """Until epochs or steps are done, or nothing has become better for long enough."""
        while self._reason() is None:
            self._epoch()
            if self.heard.received is not None:
                self._interrupted(command)

    def _reason(self) -> str | None:
        """Why the run is over."""
        if self.at.waited >= self.patience:
            return "early_stop"
        done = self.at.epoch >= self.limits.epochs or self.at.step >= self.limits.steps
        return self.limits.counted if done else None

    def _epoch(self) -> None:
        """The rest of an epoch, or as much of it as is allowed."""
        at, limits = self.at, self.limits
        self.session.epoch = at.epoch
        self.epoch_at = time.monotonic()
        if at.batch == 0:
            self._reset_streams()
        seed, drop = self.session.seed, limits.drop_last
        for indices, fields in data.batches(self.parts.train, limits.size, seed, at.epoch, at.batch, drop_last=drop):
            self._step(indices, fields)
            if at.step >= limits.steps or at.batch >= limits.batches:
                break
            if self.heard.received is not None:
                return
            if self.keeper.is_due(at, end_of_epoch=False):
                self.keeper.save(at)
        self._end_epoch()

    def _reset_streams(self) -> None:
        for path, weight in self.recipe.model.states.items():
            if weight.stream and ("state", path) in self.lent:
                self.lent["state", path][...] = 0

    def _step(self, indices: Array, fields: Mapping[str, Array]) -> None:
        at = self.at
        self.session.step_count = at.step
        given = self.inputs(indices, fields)
        if self.watch is not None:
            self.watch.before()
        if self.recorder is not None:
            self.recorder.before(self, given)
        try:
            found = self.executable.run(given)
        except MemoryError:
            cause = f"step {at.step}: not enough memory for a batch of {len(indices)} samples"
            raise BackendError(f"{cause}\nhelp: write a smaller batch") from None
        loss = float(found["loss", "loss"])
        if self.watch is not None:
            self.watch.after(given, found)
        if not math.isfinite(loss):
            self._lost(loss)
        at.step += 1
        at.batch += 1
        at.loss_sum += loss * len(indices)
        at.loss_count += len(indices)
        self.extra = {name: float(found["metric", name]) for name in (NORM, RATE) if ("metric", name) in found}
        if self.recorder is not None:
            self.recorder.after(self, loss)
        for reporter in self.reporters:
            reporter.step(at.epoch, at.batch - 1, loss)

    def inputs(self, indices: Array, fields: Mapping[str, Array]) -> dict[Key, Array]:
        """What a step takes beside the arrays it holds."""
        counters = self.session.counters(self.graph, self.sizes)
        if ("counter", "sample") in counters:
            counters["counter", "sample"] = indices.astype(np.int32)
        return {("data", name): fields[name] for name in self.names} | counters

    def _lost(self, loss: float) -> None:
        """The loss is not finite: finds out where that comes from, and ends the run with the weights of before."""
        from zhdsl.train.replay import Replay

        at = self.at
        where = f"step {at.step} (epoch {at.epoch + 1}, batch {at.batch + 1})"
        self.note(f"the loss of {where} is {loss}; looking for the first value that is not finite")
        replay = Replay(self)
        text = replay.cause()
        for key, array in replay.before.items():
            if key in self.lent:
                self.lent[key][...] = array
        kept = f"\nhelp: {self.keeper.folder} has the weights of the last checkpoint" if self.keeper.folder else ""
        raise TrainingError(f"{where}: the loss is {loss}" + (f"\n  {text}" if text else "") + kept)

    # ------------------------------------------------------------ ends
    def _end_epoch(self) -> None:
        at = self.at
        mean = at.loss_sum / max(at.loss_count, 1)
        at.epoch, at.batch, at.loss_sum, at.loss_count = at.epoch + 1, 0, 0.0, 0
        last = at.epoch >= self.limits.epochs or at.step >= self.limits.steps
        if last or at.epoch % self.limits.every == 0:
            self._measured(mean, last)
        if self.keeper.is_due(at, end_of_epoch=True):
            self.keeper.save(at)

    def _measured(self, loss: float, last: bool) -> None:
        """Measures the watched part, remembers the best weights, writes the epoch's line."""
        at, (name, part) = self.at, self.parts.watched
        values = finite(self.measure.over(part, self.limits.size))
        better = self._is_better(values.get(self.watched))
        if better:
            at.best, at.waited = (float(values[self.watched]), at.epoch), 0
            self.keeper.remember_best()
        else:
            at.waited += 1
        record = {"epoch": at.epoch, "step": at.step, "loss": loss, name: values, **finite(self.extra), "best": better}
        self.keeper.measured(record, time.monotonic() - self.epoch_at)
        for reporter in self.reporters:
            reporter.epoch(record, last or at.waited >= self.patience)

    def _is_better(self, value: Any) -> bool:
        if not isinstance(value, float):
            return False
        return self.at.best is None or self.sign * (value - self.at.best[0]) > self.delta

    def _interrupted(self, command: str) -> None:
        self.keeper.save(self.at, must=True)
        if self.keeper.folder is not None:
            self.note(f"interrupted after {self.at.step} steps; saved in {self.keeper.folder}")
            self.note(f"go on with: {command}")
        self.heard.end()

    def finish(self) -> Result:
        """Gives the session the best weights and measures them on the part that nothing was decided on."""
        reason = self._reason() or "epochs"
        self.keeper.save(self.at, must=True)
        for key, array in (self.keeper.best or {}).items():
            self.session.arrays[key][...] = array
        self.session.reset()
        self.session.step_count, self.session.epoch = self.at.step, self.at.epoch
        name, part = self.parts.final
        metrics = self.measure.over(part, self.limits.size)
        result = Result(
            self.keeper.folder,
            self.at.epoch,
            self.at.step,
            self.at.best,
            name,
            metrics,
            tuple(self.keeper.history),
            decided(self.recipe.expect, metrics),
            reason,
        )
        self.keeper.finish(_told(result))
        return result


def _told(result: Result) -> dict[str, Any]:
    """A result as JSON."""
    return {
        "epochs": result.epochs,
        "steps": result.steps,
        "stopped": result.stopped,
        "best": list(result.best) if result.best else None,
        "part": result.part,
        "metrics": finite(result.metrics),
        "expectations": [{"text": e.text, **finite({"value": e.value}), "holds": e.holds} for e in result.expectations],
    }
