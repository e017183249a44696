"""Progress of a run, for people: a bar on a terminal, lines elsewhere, or nothing. Machines read the run's folder.

A reporter is told what happens and decides what to show; one that raises ends the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from zhdsl.train.result import text

if TYPE_CHECKING:
    from rich.progress import Progress

QUIET = 0.5  # seconds: lines come no faster, but for the first and the last


class Reporter(Protocol):
    """Who is told of a run."""

    def begin(self, name: str, epochs: int, batches: int) -> None:
        """The run is `name`, of `epochs` epochs with `batches` steps each."""

    def step(self, epoch: int, batch: int, loss: float) -> None:
        """A step is done: batch `batch` (from 0 on) of epoch `epoch` (from 0 on)."""

    def epoch(self, record: Mapping[str, Any], last: bool) -> None:
        """An epoch is measured; the record is as in `metrics.jsonl`."""

    def note(self, line: str) -> None:
        """Something that the user should read."""

    def end(self) -> None:
        """Nothing more will come, for whatever reason."""


class Silent:
    """Shows nothing; a base for reporters that care for one thing."""

    def begin(self, name: str, epochs: int, batches: int) -> None: ...

    def step(self, epoch: int, batch: int, loss: float) -> None: ...

    def epoch(self, record: Mapping[str, Any], last: bool) -> None: ...

    def note(self, line: str) -> None: ...

    def end(self) -> None: ...


class Lines(Silent):
    """One line for a measured epoch."""

    def __init__(self, stream: TextIO | None = None, quiet: float = QUIET):
        self.stream = stream if stream is not None else sys.stdout
        self.quiet = quiet
        self.epochs = 0
        self.shown = float("-inf")

    def begin(self, name: str, epochs: int, batches: int) -> None:
        self.epochs = epochs

    def epoch(self, record: Mapping[str, Any], last: bool) -> None:
        now = time.monotonic()
        if last or now - self.shown >= self.quiet:
            self.shown = now
            self.note(f"epoch {record['epoch']}/{self.epochs}  {told(record)}")

    def note(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


class Bar(Lines):
    """A bar for the steps of an epoch; the lines of epochs above it."""

    def __init__(self, stream: TextIO | None = None):
        super().__init__(stream)
        self._bar: Progress | None = None
        self._batches = 0
        self._at = float("-inf")

    def begin(self, name: str, epochs: int, batches: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().begin(name, epochs, batches)
        self._batches = batches
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
        )
        self._bar = Progress(*columns, console=Console(file=self.stream), transient=True, refresh_per_second=5)
        self._bar.add_task(name.replace("[", "\\["), total=epochs * batches, loss="")
        self._bar.start()

    def step(self, epoch: int, batch: int, loss: float) -> None:
        now = time.monotonic()
        if self._bar is not None and now - self._at >= 0.1:
            self._at = now
            done = epoch * self._batches + batch + 1
            self._bar.update(self._bar.task_ids[0], completed=done, loss=f"epoch {epoch + 1}, loss {loss:.4g}")

    def note(self, line: str) -> None:
        if self._bar is None:
            super().note(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def told(record: Mapping[str, Any]) -> str:
    """`loss 0.31  valid: loss 0.33, acc 0.91  best`."""
    parts = [f"loss {text(record['loss'])}"]
    for part, values in record.items():
        if isinstance(values, dict):
            parts.append(f"{part}: " + ", ".join(f"{name} {text(value)}" for name, value in values.items()))
    return "  ".join([*parts, *(["best"] if record.get("best") else [])])


def for_stream(stream: TextIO | None = None) -> Reporter:
    """A bar where someone watches, lines where they are kept."""
    out = stream if stream is not None else sys.stdout
    return Bar(out) if out.isatty() else Lines(out)
