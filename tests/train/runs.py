"""Runs of the recipe that is made by hand, in this process or in one of its own.

python -m tests.train.runs FOLDER [--resume] [--save SECONDS] [--epochs N] [--slow SECONDS]
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.runtime import recipes
from tests.train.line_data import NAME
from zhdsl.runtime.spec import Spec
from zhdsl.train.report import Lines, Silent
from zhdsl.train.result import Result
from zhdsl.train.trainable import Trainable

# The bytes of a finished run that do not depend on how often it was interrupted.
SAME = ("last.safetensors", "best.safetensors", "metrics.jsonl", "result.json", "spec.zh")


def model(seed: int | None = None, device: str = "reference", text: str = recipes.TEXT, **changed: Any) -> Trainable:
    """A model with everything that a run can have: noise, running mean, momentum, schedule, clip."""
    clip = {path: recipes.clip(path) for path in recipes.SHAPES}
    settings = {
        "noise": True,
        "data": replace(recipes.recipe().data, name=NAME),
        "rate": recipes.schedule(),
        "clip": clip,
        **changed,
    }
    recipe = recipes.recipe(**settings)
    return Trainable(Spec(recipe.model, recipe, {"line.zh": text}, "line.zh"), device, "float32", seed)


def run(folder: Path | None, resume: bool = False, m: Trainable | None = None, **options: Any) -> Result:
    """Trains without a word."""
    return (m or model()).fit(folder, resume=resume, reporters=options.pop("reporters", []), **options)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


class Slow(Silent):
    """Makes steps long enough to be killed in."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def step(self, epoch: int, batch: int, loss: float) -> None:
        time.sleep(self.seconds)


def command(folder: Path, *more: str) -> list[str]:
    """A command that runs it in a process of its own."""
    return [sys.executable, "-m", "tests.train.runs", str(folder), *more]


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Such a process, its output to be read."""
    return subprocess.Popen(
        command(folder, *more),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def heed_signals() -> None:
    """A shell starts what runs behind it with signals ignored, and children inherit that: the tests send these."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--save", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--slow", type=float, default=0.0)
    given = parser.parse_args()
    heed_signals()
    reporters = [Lines(quiet=0), Slow(given.slow)]
    run(given.folder, given.resume, epochs=given.epochs, save_seconds=given.save, reporters=reporters)
    return 0


if __name__ == "__main__":
    sys.exit(main())
