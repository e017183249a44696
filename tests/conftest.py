"""What every test may use: golden files, and property tests that try the same cases every time."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# What is compiled is tested as such, in tests/backends/native and tests/peers; all others need no compiler to be fast.
os.environ.setdefault("ZH_DEVICE", "numpy")

hypothesis.settings.register_profile("same_every_time", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("same_every_time")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing with them")
    parser.addoption("--native", action="store_true", help="compare all with PyTorch as compiled C too: minutes")


@pytest.fixture
def root() -> Path:
    """The folder of the checkout: `pyproject.toml` lies there."""
    return ROOT


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str | Path, str], None]:
    """`golden(path, text)`: `text` must be what the file at `path` holds; `path` is relative to the test file's folder.

    `python -m pytest --update-golden` writes the files instead: read the difference before you commit it.
    """
    update = bool(request.config.getoption("--update-golden"))

    def compare(path: str | Path, text: str) -> None:
        __tracebackhide__ = True
        file = request.path.parent / path
        if update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        else:
            _compare(file, text)

    return compare


def _compare(file: Path, text: str) -> None:
    __tracebackhide__ = True
    name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    if not file.exists():
        pytest.fail(f"{name} does not exist; write it with `python -m pytest --update-golden`")
    wanted = file.read_bytes().decode()
    if wanted != text:
        lines = difflib.unified_diff(wanted.splitlines(), text.splitlines(), f"{name} (golden)", "now", lineterm="")
        advice = "If the new text is right: `python -m pytest --update-golden`"
        pytest.fail("\n".join([*lines, "", advice]), pytrace=False)
