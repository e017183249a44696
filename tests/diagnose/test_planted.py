"""Planted sicknesses are named with their lines, and healthy networks are left alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

import zhdsl as zh
from tests.conftest import ROOT
from tests.diagnose import held_out, planted
from tests.diagnose.planted import Case
from zhdsl.diagnose import Diagnosis, diagnose
from zhdsl.diagnose.rules import KINDS

RIGHT = 0.95


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    planted.table(tmp_path)
    return tmp_path


def diagnosed(case: Case, folder: Path) -> Diagnosis:
    path = folder / "net.zh"
    path.write_text(case.text, encoding="utf-8")
    return diagnose(zh.load(path, dtype="float64"))


def is_right(case: Case, found: Diagnosis) -> bool:
    """The first finding is the planted one and begins with a guilty line; a healthy network has none."""
    if not case.kind or not found.findings:
        return not case.kind and not found.findings
    first = found.findings[0]
    return first.kind == case.kind and first.places[0].line in case.lines


def missed(cases: Iterable[Case], folder: Path) -> list[str]:
    return [case.name for case in cases if not is_right(case, diagnosed(case, folder))]


# one of each kind, quick ones
QUICK = (
    "sigmoid, 8 layers of 64",
    "relu, weights of 0.01",
    "a layer of one's own, weights of 0.01",
    "relu, weights of 0.6",
    "tanh, weights of 1",
    "relu, a bias of -8",
    "raw digits",
    "one column of thousands",
    "sgd, rate 5",
    "recurrent orthogonal of gain 0.6",
    "recurrent identity of gain 1.3, relu",
    "shut gates",
    "tanh, 8 layers, glorot",
    "spirals",
    "lstm, 50 steps",
)


@pytest.mark.parametrize("name", QUICK)
def test_a_case_of_each_kind_is_named_with_its_line(name: str, folder: Path) -> None:
    (case,) = (c for c in (*planted.sick(), *planted.healthy()) if c.name == name)
    found = diagnosed(case, folder)
    assert is_right(case, found), found.findings
    for finding in found.findings:
        assert all((finding.measured, finding.threshold, finding.source, finding.remedy))


def test_the_planted_cases_are_many_and_of_every_kind() -> None:
    assert len(planted.sick()) >= 40
    assert len(planted.healthy()) + len(planted.CURRICULUM) >= 20
    for cases in (planted.sick(), held_out.sick()):
        assert {case.kind for case in cases} == set(KINDS)
        assert all(case.lines for case in cases)
        assert len({case.text for case in cases}) == len(cases)


@pytest.mark.slow
@pytest.mark.parametrize("group", [planted, held_out], ids=["planted", "held_out"])
def test_nineteen_of_twenty_sick_networks_are_named_rightly(group: ModuleType, folder: Path) -> None:
    cases = group.sick()
    wrong = missed(cases, folder)
    assert len(wrong) <= (1 - RIGHT) * len(cases), wrong


@pytest.mark.slow
@pytest.mark.parametrize("group", [planted, held_out], ids=["planted", "held_out"])
def test_no_healthy_network_is_called_sick(group: ModuleType, folder: Path) -> None:
    assert missed(group.healthy(), folder) == []


@pytest.mark.slow
@pytest.mark.parametrize(("file", "recipe"), planted.CURRICULUM, ids=lambda v: v or "-")
def test_no_network_of_the_curriculum_that_learns_is_called_sick(file: str, recipe: str) -> None:
    found = diagnose(zh.load(ROOT / "specs" / file, recipe or None, dtype="float64"))
    assert found.findings == ()
    assert found.measured is not None


@pytest.mark.slow
def test_the_plain_net_of_56_layers_is_named_by_both_its_lines() -> None:
    found = diagnose(zh.load(ROOT / "specs/depth/plain56.zh", dtype="float64"))
    (finding,) = found.findings
    assert finding.kind == "exploding gradient"
    assert {place.line for place in finding.places} == {3, 4}
    assert "depth itself" in finding.measured
