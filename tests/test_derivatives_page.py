"""The page of derivatives: what stands under each spec is what `zh grad --latex` writes for it."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from zhdsl.lang.check import check
from zhdsl.runtime.derivative import grad_page
from zhdsl.source import Source

PAGE = ROOT / "docs" / "derivatives.md"
PART = re.compile(r"```zh\n(.*?)```\n\n<!-- zh grad (\S+) -->\n(.*?)<!-- end -->", re.S)


def written(name: str, spec: str) -> str:
    """The displays of a derivation; the lines of the spec stand between them as code."""
    (function,) = re.findall(r"^fn (\w+)", spec, re.M)
    page = grad_page(check(Source(name, spec)), function, wrt="*", notation="latex")
    heads = re.sub(r"^% (\S+:\d+)  (.*)$", r"`\1`: `\2`\n", page, flags=re.M)
    return re.sub(r"^%.*\n", "", heads, flags=re.M).strip("\n") + "\n"


def test_every_derivation_on_the_page_is_what_is_written_now(request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text("utf-8")
    assert len(PART.findall(text)) == 5
    now = PART.sub(
        lambda m: f"```zh\n{m[1]}```\n\n<!-- zh grad {m[2]} -->\n\n{written(m[2], m[1])}\n<!-- end -->", text
    )
    if request.config.getoption("--update-golden"):
        PAGE.write_text(now, "utf-8")
    else:
        assert text == now, "python -m pytest tests/test_derivatives_page.py --update-golden, then read the difference"
