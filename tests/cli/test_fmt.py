"""`zh fmt` changes the layout of the files it is given and nothing else, whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

UGLY = "const   N=4,M = 2 # two\n\n\n\ncheck N==4\n"
WRONG = "const = 4\n"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def nice(zh: Callable) -> str:
    """`UGLY` as the formatter has it (its layout is tested where it lives)."""
    text = zh("fmt", "-", stdin=UGLY).out
    assert text not in ("", UGLY)
    return text


def test_a_file_is_formatted_in_place_and_named(zh: Callable, nice: str) -> None:
    Path("a.zh").write_text(UGLY)
    assert zh("fmt", "a.zh") == (0, "formatted a.zh\n", "")
    assert Path("a.zh").read_text() == nice


def test_a_formatted_file_is_not_touched(zh: Callable, nice: str) -> None:
    Path("a.zh").write_text(nice)
    before = Path("a.zh").stat()
    assert zh("fmt", "a.zh") == (0, "", "")
    assert (Path("a.zh").stat().st_ino, Path("a.zh").stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_formatting_keeps_permissions_and_leaves_no_other_file(zh: Callable) -> None:
    Path("a.zh").write_text(UGLY)
    Path("a.zh").chmod(0o640)
    zh("fmt", "a.zh")
    assert stat.S_IMODE(Path("a.zh").stat().st_mode) == 0o640
    assert [p.name for p in Path().iterdir()] == ["a.zh"]


def test_a_link_stays_a_link(zh: Callable, nice: str) -> None:
    Path("real.zh").write_text(UGLY)
    Path("a.zh").symlink_to("real.zh")
    assert zh("fmt", "a.zh").code == 0
    assert Path("a.zh").is_symlink()
    assert Path("real.zh").read_text() == nice


def test_a_folder_stands_for_its_zh_files_at_any_depth(zh: Callable, nice: str) -> None:
    Path("d/e").mkdir(parents=True)
    for name in ("d/b.zh", "d/e/a.zh", "d/a.txt"):
        Path(name).write_text(UGLY)
    assert zh("fmt", "d") == (0, "formatted d/b.zh\nformatted d/e/a.zh\n", "")
    assert Path("d/a.txt").read_text() == UGLY


def test_a_folder_without_zh_files_is_wrong_use(zh: Callable) -> None:
    Path("d").mkdir()
    result = zh("fmt", "d")
    assert result.code == 2
    assert "there is no .zh file in d" in result.err


def test_standard_input_goes_to_standard_output(zh: Callable, nice: str) -> None:
    assert zh("fmt", "-", stdin=nice) == (0, nice, "")
    assert zh("fmt", "-", stdin=UGLY) == (0, nice, "")


def test_check_writes_nothing_and_tells_by_its_exit_code(zh: Callable, nice: str) -> None:
    Path("ugly.zh").write_text(UGLY)
    Path("nice.zh").write_text(nice)
    assert zh("fmt", "--check", "nice.zh") == (0, "", "")
    assert zh("fmt", "--check", "nice.zh", "ugly.zh") == (1, "", "ugly.zh is not formatted\n")
    assert zh("fmt", "--check", "-", stdin=UGLY) == (1, "", "<stdin> is not formatted\n")
    assert Path("ugly.zh").read_text() == UGLY


def test_diff_writes_nothing_and_shows_what_would_change(zh: Callable, nice: str) -> None:
    Path("a.zh").write_text(UGLY)
    result = zh("fmt", "--diff", "a.zh")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[:2] == ["--- a.zh", "+++ a.zh (formatted)"]
    assert "-" + UGLY.splitlines()[0] in lines
    assert "+" + nice.splitlines()[0] in lines
    assert Path("a.zh").read_text() == UGLY
    assert zh("fmt", "--diff", "--check", "a.zh").code == 1
    assert zh("fmt", "--diff", "-", stdin=nice) == (0, "", "")


def test_a_diff_says_that_the_last_line_has_no_end(zh: Callable) -> None:
    Path("a.zh").write_text("const N = 4")
    assert "-const N = 4\n\\ No newline at end of file\n+const N = 4\n" in zh("fmt", "--diff", "a.zh").out


def test_a_file_with_errors_is_left_and_the_others_are_formatted(zh: Callable, nice: str) -> None:
    for name, text in (("a.zh", WRONG), ("b.zh", UGLY), ("c.zh", WRONG)):
        Path(name).write_text(text)
    result = zh("fmt", "a.zh", "b.zh", "c.zh", "gone.zh")
    assert (result.code, result.out) == (1, "formatted b.zh\n")
    assert all(name in result.err for name in ("a.zh:1:", "c.zh:1:", "gone.zh"))
    assert [Path(name).read_text() for name in ("a.zh", "b.zh", "c.zh")] == [WRONG, nice, WRONG]


def test_standard_input_that_is_not_utf_8_is_a_spec_error(zh: Callable) -> None:
    result = zh("fmt", "-", stdin=b"const N = 4 # \xff\n")
    assert (result.code, result.out) == (1, "")
    assert "Z0005" in result.err
    assert "byte 14" in result.err


@pytest.mark.parametrize("character", ["#", "é"])
def test_standard_input_over_the_limit_is_a_spec_error(character: str, zh: Callable) -> None:
    result = zh("fmt", "-", stdin="# " + character * 1_000_000)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error Z00")


def test_a_byte_order_mark_on_standard_input_is_dropped(zh: Callable, nice: str) -> None:
    assert zh("fmt", "-", stdin="\ufeff" + UGLY) == (0, nice, "")


def test_a_write_that_fails_leaves_the_file_and_is_the_machines_fault(
    zh: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.zh").write_text(UGLY)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    result = zh("fmt", "a.zh")
    assert result.code == 3
    assert "No space left on device" in result.err
    assert [p.name for p in tmp_path.iterdir()] == ["a.zh"]
    assert Path("a.zh").read_text() == UGLY
