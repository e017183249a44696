"""Help: one golden text for each command, and it costs nothing to show."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl import __version__
from zhdsl.cli.main import COMMANDS, cli, load

HEAVY = {"numpy", "networkx", "lark", "rich", "safetensors", "hypothesis", "ctypes", "asyncio", "importlib.metadata"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_is_its_golden_text(command: str, zh: Callable, golden: Callable) -> None:
    result = zh(command, "--help")
    assert (result.code, result.err) == (0, "")
    golden(f"help/{command}.txt", result.out)


def test_the_help_of_all_commands_is_its_golden_text(zh: Callable, golden: Callable) -> None:
    result = zh("--help")
    assert (result.code, result.err) == (0, "")
    golden("help/zh.txt", result.out)
    assert zh("-h") == result


@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_of_commands_says_what_the_command_says_of_itself(command: str) -> None:
    loaded = load(COMMANDS[command])
    assert loaded.name == command
    assert loaded.get_short_help_str(limit=200) == COMMANDS[command].help


def test_each_golden_text_belongs_to_a_command() -> None:
    texts = {path.stem for path in (Path(__file__).parent / "help").glob("*.txt")}
    assert texts <= {"zh", *COMMANDS}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["chekc"]])
def test_a_start_that_does_nothing_imports_nothing_heavy(args: list[str], root: Path) -> None:
    code = (
        "import sys, json; from zhdsl.cli.main import main; main(sys.argv[1:]);"
        "print(json.dumps(sorted(sys.modules)), file=sys.__stderr__)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *args], cwd=root, capture_output=True, text=True, check=True)
    loaded = set(json.loads(ran.stderr.splitlines()[-1]))
    assert "zhdsl.cli.main" in loaded
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("zhdsl.cli.")} - {"zhdsl.cli.main", "zhdsl.cli.terminal"}


def test_the_version_is_printed(zh: Callable) -> None:
    assert zh("--version") == (0, f"zh {__version__}\n", "")


def test_commands_are_listed_in_the_order_of_the_table() -> None:
    import click

    assert cli.list_commands(click.Context(cli)) == list(COMMANDS)
