"""What does not fit is refused before memory is taken; where nobody says how much there is, nothing is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from zhdsl.errors import BackendError
from zhdsl.runtime import memory

SAYS = {"MEMINFO": "MemTotal: 9000 kB\nMemAvailable:  1000 kB\n", "LIMIT": "600000\n", "USED": "100000\n"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1,000 kB free, whose container may take 600,000 bytes and has 100,000."""
    for name, text in SAYS.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(memory, name, tmp_path / name)
    return tmp_path


def test_the_tighter_limit_counts(machine: Path) -> None:
    assert memory.free() == 500_000
    (machine / "LIMIT").write_text("max\n")
    assert memory.free() == 1_024_000


def test_more_than_most_of_it_is_refused(machine: Path) -> None:
    memory.require(400_000, "a step", "write a smaller batch")
    with pytest.raises(BackendError, match=r"a step needs 400,001 bytes of memory, 500,000 are free\nhelp: write a"):
        memory.require(400_001, "a step", "write a smaller batch")


def test_where_nobody_says_nothing_is_refused(machine: Path) -> None:
    for name in SAYS:
        (machine / name).unlink()
    assert memory.free() is None
    memory.require(10**18, "a step", "")


def test_this_machine_has_some() -> None:
    there = memory.free()
    assert there is None or there > 2**20
