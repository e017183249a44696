"""Error codes: each is explained, and its example gives it."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from zhdsl.errors import SpecError
from zhdsl.lang.codes import CODES, GROUPS, explain, reading, syntax
from zhdsl.lang.parser import parse
from zhdsl.source import Source

ROOT = Path(__file__).parents[2]
SYNTAX = [code for code in (*reading.CODES, *syntax.CODES) if code.example]


def test_codes_are_distinct_and_in_order() -> None:
    assert len(CODES) == sum(map(len, GROUPS))
    for group in GROUPS:
        assert [code.code for code in group] == sorted(code.code for code in group)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_a_code_is_well_formed(code: object) -> None:
    known = CODES[str(getattr(code, "code", ""))]
    assert re.fullmatch(r"Z\d{4}", known.code)
    assert known.title[0].islower() or not known.title[0].isalpha()
    assert not known.title.endswith(".")
    assert known.explanation.endswith(".")
    assert known.example == "" or known.example.endswith("\n")


@pytest.mark.parametrize("code", SYNTAX, ids=lambda code: code.code)
def test_the_example_of_a_code_gives_this_error_and_no_other(code: object) -> None:
    known = CODES[str(getattr(code, "code", ""))]
    with pytest.raises(SpecError) as caught:
        parse(Source("example.zh", known.example))
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == [known.code]


def test_every_code_that_the_front_end_uses_is_explained_and_every_explained_one_is_used() -> None:
    used: set[str] = set()
    for name in ("build", "characters", "foreign", "layout", "mistakes", "parser", "reading"):
        used |= set(re.findall(r'"(Z0[01]\d\d)"', (ROOT / "zhdsl" / "lang" / f"{name}.py").read_text(encoding="utf-8")))
    assert used == {code.code for code in (*reading.CODES, *syntax.CODES)}


def test_every_syntax_error_has_an_example() -> None:
    assert [code.code for code in syntax.CODES if not code.example] == []


def test_an_explanation_has_title_text_and_example() -> None:
    text = explain(" z0108 ")
    assert text.startswith("Z0108: the pipe binds last\n\n`a + b -> f` is `f(a + b)`")
    assert text.endswith("\n\nFor example:\n\n" + indent(CODES["Z0108"].example.rstrip(), "    "))


@pytest.mark.parametrize("code", CODES)
def test_an_explanation_can_be_printed(code: str) -> None:
    for line in explain(code).split("\n"):
        assert len(line) <= 110
        assert line.isprintable()
    assert explain(code).encode()


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="there is no error Z010B; did you mean Z010"):
        explain("Z010B")
    with pytest.raises(KeyError, match="there is no error hello"):
        explain("hello")
