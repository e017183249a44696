"""What the documentation shows: every `zh` block is a whole spec that checks; links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zhdsl.lang.check import check
from zhdsl.source import Source

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SPECS = [
    pytest.param(match[1], page, id=f"{page.name}:{text[: match.start()].count(chr(10)) + 2}")
    for page in PAGES
    for text in [page.read_text("utf-8")]
    for match in re.finditer(r"^```zh\n(.*?)^```", text, re.M | re.S)
]


@pytest.mark.parametrize(("text", "page"), SPECS)
def test_a_spec_on_a_page_checks_and_its_claims_hold(text: str, page: Path) -> None:
    found = check(Source(page.name, text), page.parent)
    assert all(claim.holds is not False for claim in found.claims)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text("utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), target
