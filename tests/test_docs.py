"""What the documentation shows: every `zh` block is a whole spec that checks, every `console` block what its commands
print; links lead somewhere."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from zhdsl.cli.main import main
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


def console(block: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A block of `$ zh …` commands with what they print now."""
    parts = []
    for line in (line for line in block.splitlines() if line.startswith("$ ")):
        whole, _, first = line[2:].partition(" | head -")  # only the first lines are shown
        command, _, file = whole.partition(" < ")
        text = (ROOT / file.strip()).read_text("utf-8") if file else ""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
        capfd.readouterr()
        assert main(shlex.split(command)[1:]) == 0, line
        out = capfd.readouterr().out.rstrip().splitlines()
        parts.append("\n".join([line, *out[: int(first) if first else None]]) + "\n")
    return "\n".join(parts)


@pytest.mark.parametrize("page", [p for p in PAGES if "```console" in p.read_text("utf-8")], ids=lambda p: p.name)
def test_commands_on_a_page_print_what_it_shows(
    page: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "120")
    text = page.read_text("utf-8")
    now = re.sub(
        r"^```console\n(.*?)^```",
        lambda m: f"```console\n{console(m[1], capfd, monkeypatch)}```",
        text,
        flags=re.M | re.S,
    )
    if request.config.getoption("--update-golden"):
        page.write_text(now, "utf-8")
    else:
        assert text == now, (
            "the page is not what the commands print: python -m pytest tests/test_docs.py --update-golden"
        )
