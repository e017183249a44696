"""Two ways to run a command line: in this process, which is fast, and in one of its own, which is real."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from zhdsl.cli.main import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def zh(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`zh("fmt", "a.zh", stdin="…")` runs the command in this process, on a terminal 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str, stdin: str | bytes = "") -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capfdbinary.readouterr()
        code = main(args)
        out, err = capfdbinary.readouterr()
        return Result(code, out.decode(), err.decode())

    return run


@pytest.fixture
def process(root: Path) -> Callable[..., subprocess.Popen[str]]:
    """`process("fmt", "a.zh", stdout=…)` starts the command as a process; further arguments are those of `Popen`."""

    def start(*args: str, env: dict[str, str] | None = None, **how: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "zhdsl.cli.main", *args]
        environment = {**os.environ, "PYTHONPATH": str(root), **(env or {})}
        return subprocess.Popen(command, env=environment, text=True, **how)

    return start
