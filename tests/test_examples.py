"""The examples run, and print what they promise."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from zhdsl.data import load

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.py"))
LONG = ("gradient_flow",)


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=[pytest.mark.slow] * (p.stem in LONG), id=p.stem) for p in EXAMPLES]
)
def test_an_example_runs(
    path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def table(name: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The words of each line that an example prints below its first."""
    runpy.run_path(str(next(p for p in EXAMPLES if p.stem == name)), run_name="__main__")
    return [line.split() for line in capsys.readouterr().out.splitlines()[1:]]


def test_the_flow_of_gradients_is_drawn_from_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = runpy.run_path(str(next(p for p in EXAMPLES if p.stem == "gradient_flow")))
    example["main"](str(tmp_path / "flow.svg"), seeds=1, n=1)
    root = ElementTree.parse(tmp_path / "flow.svg").getroot()
    lines = [line.attrib["points"].split() for line in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points) for points in lines] == [7, 7, 100, 100]
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert float(said[2][1]) < 1e-3 < float(said[3][1])  # the simple recurrence loses it, the LSTM does not


def test_gradients_of_the_linear_recurrence_scale_with_the_power(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [list(map(float, row)) for row in table("vanishing_gradients", capsys)]
    for steps, small, large, gate in rows:
        for base, norm in ((0.8, small), (1.2, large), (0.99, gate)):
            assert norm == pytest.approx(base**steps, rel=1e-3)


def test_standardised_inputs_make_the_hessian_round_and_the_same_rate_fast(capsys: pytest.CaptureFixture[str]) -> None:
    image = load("digits", {}, Path()).fields["image"].reshape(-1, 64).astype(np.float64)
    deviation = image.std(axis=0)
    standard = (image - image.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    rows = table("input_normalisation", capsys)
    for (_, *printed), x in zip(rows, (image / 16, standard), strict=True):
        one = np.pad(x, ((0, 0), (0, 1)), constant_values=1)
        values = np.linalg.eigvalsh(2 * one.T @ one / len(one))  # the closed form of what the example differentiates
        values = values[values > 1e-9 * values.max()]
        assert len(values) == 62  # three pixels never change
        wanted = values.max(), values.min(), values.max() / values.min(), 2 / values.max()
        assert list(map(float, printed[:4])) == pytest.approx(wanted, rel=0.05)
    raw, standardised = (float(row[3]) for row in rows)
    assert raw > 7e6
    assert standardised < 150
    assert float(rows[0][5]) - 0.308 > 10 * (float(rows[1][5]) - 0.308)  # above the least error, after the same steps


def test_no_gradient_reaches_the_first_layer_of_a_deep_plain_net(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [list(map(float, row)) for row in table("gradients_by_depth", capsys)]
    assert [rows[0][0], rows[-1][0]] == [1, 56]
    assert all(plain < 1e-9 and 0.1 < skipping < 10 for _, plain, skipping in rows)
