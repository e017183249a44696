"""Hostile and broken paths: nothing outside the folder is read, nothing hangs, everything is explained."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from zhdsl.data import files
from zhdsl.errors import TrainingError


@pytest.fixture(params=[True, False], ids=["walking", "resolving"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file in and one outside; once for each way of opening."""
    monkeypatch.setattr(files, "WALKS", files.WALKS and request.param)
    (tmp_path / "secret").write_text("outside")
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "sub" / "a.txt").write_text("inside")
    return home


def test_a_file_inside_is_read(home: Path) -> None:
    assert files.read_file(home, "sub/a.txt") == files.read_file(home, "./sub//a.txt") == b"inside"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../secret", "leaves the folder"),
        ("sub/../../secret", "leaves the folder"),
        ("sub/../sub/a.txt", "leaves the folder"),
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("sub\\a.txt", "not a path"),
        ("a\0b", "not a path"),
        ("a\ud800b", "not a path"),
        ("", "not a path"),
        (".", "leaves the folder"),
        ("sub", "is a folder"),
        ("sub/b.txt", "did you mean `a.txt`"),
        ("none/a.txt", "no such file"),
        ("sub/a.txt/c", "a file is where a folder should be"),
        ("x" * 300, "too long"),
        ("\x1b[2J", "^\N{REPLACEMENT CHARACTER}.2J: there is no such file"),
    ],
)
def test_a_path_that_may_not_be_read_is_explained(home: Path, name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        files.read_file(home, name)
    assert "\nhelp: " in str(caught.value)


def test_links_are_not_followed_wherever_they_stand_or_lead(home: Path) -> None:
    (home / "out").symlink_to(home.parent / "secret")
    (home / "in").symlink_to(home / "sub" / "a.txt")
    (home / "up").symlink_to(home.parent)
    (home / "zero").symlink_to("/dev/zero")
    for name in ("out", "in", "up/secret", "zero"):
        with pytest.raises(TrainingError, match="symbolic link"):
            files.read_file(home, name)
    assert [name for name, _ in files.listed(home, "sub")] == ["a.txt"]


def test_a_fifo_is_refused_without_waiting_for_a_writer(home: Path) -> None:
    os.mkfifo(home / "pipe")
    with pytest.raises(TrainingError, match="is a FIFO"):
        files.read_file(home, "pipe")


def test_a_device_is_refused() -> None:
    with pytest.raises(TrainingError, match="is a character device"):
        files.read_file(Path("/dev"), "zero")


def test_a_sparse_file_of_100_gb_is_refused_by_its_size(home: Path) -> None:
    with (home / "big").open("wb") as file:
        file.truncate(100 * 10**9)
    with pytest.raises(TrainingError, match="100,000,000,000 bytes, the limit is 4,294,967,296"):
        files.read_file(home, "big")


def test_no_descriptor_is_left_open(home: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for name in ("sub", "sub/a.txt", "sub/none", "none/none", "sub/a.txt/c"):
        try:
            files.read_file(home, name)
        except TrainingError:
            continue
    assert len(os.listdir("/dev/fd")) == before


def test_an_input_error_of_the_disk_is_explained(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "injected")

    def broken(descriptor: int, mode: str) -> Broken:
        os.close(descriptor)
        return Broken()

    monkeypatch.setattr(files.os, "fdopen", broken)
    with pytest.raises(TrainingError, match=r"sub/a\.txt: Input/output error"):
        files.read_file(home, "sub/a.txt")


def test_a_file_that_grows_while_it_is_read_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_size = os.fstat

    def smaller(descriptor: int) -> os.stat_result:
        state = list(true_size(descriptor))
        state[6] -= 1
        return os.stat_result(state)

    monkeypatch.setattr(files.os, "fstat", smaller)
    with pytest.raises(TrainingError, match="had 5 bytes and then 6"):
        files.read_file(home, "sub/a.txt")
