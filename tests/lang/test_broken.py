"""Broken specs and what is said of them: every file of `broken/` has its diagnostics beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.errors import SpecError
from zhdsl.lang.check import check
from zhdsl.lang.codes import CODES
from zhdsl.lang.parser import read

FOLDER = Path(__file__).parent / "broken"
SPECS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*.zh"))


def said_of(name: str) -> str:
    """All diagnostics of a spec, or the claims of it that do not hold."""
    try:
        project = check(read(name, root=FOLDER), FOLDER)
    except SpecError as error:
        return f"{error}\n"
    return "".join(f"false claim at {claim.span}: {claim.detail}\n" for claim in project.claims if not claim.holds)


@pytest.mark.parametrize("name", SPECS)
def test_a_broken_spec_gets_its_diagnostics(name: str, golden: Callable[[Path, str], None]) -> None:
    said = said_of(name)
    assert said
    golden(Path("broken") / f"{name.removesuffix('.zh')}.txt", said)


def test_every_golden_text_belongs_to_a_spec() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == [name.removesuffix(".zh") for name in SPECS]


def test_the_broken_specs_meet_the_codes_of_the_checker() -> None:
    said = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.txt"))
    met = set(re.findall(r"^error (Z\d{4})", said, re.M))
    assert met <= set(CODES)
    assert {code for code in CODES if code >= "Z02"} - met == set(NOT_BY_A_SPEC)


NOT_BY_A_SPEC = {
    "Z0210": "--set",
    "Z0211": "--set",
    "Z0615": "slow; in the examples of the codes",
    "Z0790": "training",
    "Z0801": "`zh check` says it of a false claim",
    "Z0803": "`zh check` says it of a gradient",
}
