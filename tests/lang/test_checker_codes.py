"""Error codes of the checker: every one that is raised is explained, and its example gives it and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import zhdsl
from zhdsl.errors import SpecError
from zhdsl.lang.check import check
from zhdsl.lang.codes import CODES, explain
from zhdsl.lang.codes.code import Code
from zhdsl.source import Source

PACKAGE = Path(zhdsl.__file__).parent
CHECKED = [code for code in CODES.values() if code.code >= "Z02" and code.example]
WITHOUT_TEXT = {  # what no single text can give: files, --set, a training run, a claim that is decided by numbers
    *("Z0206", "Z0210", "Z0211", "Z0790", "Z0801", "Z0803", "Z0908"),
}


def raised() -> set[str]:
    """All codes that occur as strings in the package, but for where they are explained."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        if "codes" not in path.parts:
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            values = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
            found |= {value for value in values if re.fullmatch(r"Z\d{4}", value)}
    return found


def codes_of(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        check(Source("example.zh", text))
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


def test_every_code_that_is_raised_is_explained_and_every_explained_one_is_raised() -> None:
    assert raised() == set(CODES)


@pytest.mark.parametrize("code", CHECKED, ids=lambda code: code.code)
def test_the_example_of_a_code_gives_it_and_no_other(code: Code) -> None:
    assert codes_of(code.example) == [code.code]


@pytest.mark.parametrize("code", [code for code in CHECKED if code.mended], ids=lambda code: code.code)
def test_the_mended_example_is_right(code: Code) -> None:
    project = check(Source("mended.zh", code.mended))
    assert all(claim.holds is not False for claim in project.claims)


def test_every_code_of_the_checker_has_an_example_unless_no_text_can_give_it() -> None:
    assert {code for code, known in CODES.items() if code >= "Z02" and not known.example} == WITHOUT_TEXT


def test_an_explanation_shows_the_mended_example() -> None:
    text = explain("Z0401")
    assert "For example:\n\n    model M(x: [B, D=4]) -> y: [B, D=4] {\n      return x -> Dense(4)\n    }" in text
    assert text.endswith("Mended:\n\n    model M(x: [B, D=4]) -> y: [B, D=4] {\n      return x -> Dense[4]\n    }")
