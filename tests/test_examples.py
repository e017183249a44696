"""The examples run, and print what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_gradients_of_the_linear_recurrence_scale_with_the_power(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(next(p for p in EXAMPLES if p.stem == "vanishing_gradients")), run_name="__main__")
    rows = [list(map(float, line.split())) for line in capsys.readouterr().out.splitlines()[1:]]
    for steps, small, large, gate in rows:
        for base, norm in ((0.8, small), (1.2, large), (0.99, gate)):
            assert norm == pytest.approx(base**steps, rel=1e-3)
