"""What the README shows is what zhdsl does: its models check, its commands exist, its test command is what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zhdsl.cli.main import COMMANDS
from zhdsl.lang.check import check
from zhdsl.source import Source

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
MODELS = [block for block in BLOCKS if re.search(r"^(model|block|fn) ", block, re.MULTILINE)]
TEST_COMMAND = "python -m pip install '.[test]' && python -m pytest"


@pytest.mark.parametrize("text", MODELS, ids=lambda text: re.search(r"(?:model|block|fn) (\w+)", text)[1])
def test_a_model_of_the_readme_checks(text: str) -> None:
    project = check(Source("README.md", text))
    assert all(claim.holds is not False for claim in project.claims)


def test_the_readme_shows_a_model() -> None:
    assert MODELS


def test_the_commands_of_the_readme_exist() -> None:
    lines = [line for block in BLOCKS for line in block.splitlines() if line.startswith("zh ")]
    assert lines
    assert {line.split()[1] for line in lines} <= set(COMMANDS)


def test_the_readme_has_the_test_command_alone_on_a_line() -> None:
    assert TEST_COMMAND in README.splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_a_link_of_a_page_leads_somewhere(page: str, root: Path) -> None:
    prose = re.sub(
        r"^```.*?^```|`[^`\n]*`", "", (root / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", prose)
    assert [link for link in links if "://" not in link and not (root / link).exists()] == []
