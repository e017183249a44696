"""Files are whole or untouched: every step of a write is made to fail, and writers are killed at random moments."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.errors import BackendError
from zhdsl.runtime import files
from zhdsl.runtime.files import SHARED, cache_folder, remove_leftovers, write_new, write_whole


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_new_file_holds_the_bytes_and_is_the_users_alone(tmp_path: Path) -> None:
    write_whole(tmp_path / "w.bin", b"\x00\xff\r\n")
    assert (tmp_path / "w.bin").read_bytes() == b"\x00\xff\r\n"
    assert stat.S_IMODE((tmp_path / "w.bin").stat().st_mode) == 0o600
    assert names(tmp_path) == ["w.bin"]


def test_text_is_utf_8_with_its_line_ends_as_they_are(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.zh", "# ≤\r\n\n")
    assert (tmp_path / "a.zh").read_bytes() == b"# \xe2\x89\xa4\r\n\n"


def test_a_shared_file_gets_what_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a.zh", "", mode=SHARED)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.zh").stat().st_mode) == 0o640


def test_a_file_that_exists_keeps_its_permissions_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a.zh"
    path.write_text("old")
    path.chmod(0o664)
    before = os.umask(0o077)
    try:
        write_whole(path, "new")
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_a_symbolic_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", "new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "target").read_text() == "old"
    assert stat.S_IMODE((tmp_path / "link").stat().st_mode) == 0o600


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), "x")
    assert names(tmp_path) == ["n" * 255]


def test_a_write_that_takes_few_bytes_at_a_time_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data[:3])))
    write_whole(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_step_that_fails_leaves_the_old_file_and_nothing_else(
    step: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, failing(number))
    with pytest.raises(BackendError) as caught:
        write_whole(path, b"n" * 12_345)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["weights"]
    assert str(path) in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert "12,345 bytes needed" in str(caught.value)
    assert " free)" in str(caught.value)


def test_an_fsync_that_fails_is_not_tried_again_on_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fail(file: int) -> None:
        tried.append(file)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BackendError):
        write_whole(tmp_path / "a", b"x")
    assert len(tried) == 1


def test_a_rename_that_may_not_last_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_sync_folder", failing(errno.EIO))
    with pytest.raises(BackendError, match="Input/output error"):
        write_whole(tmp_path / "a", b"x")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"cannot write .*gone.*No such file or directory.*free space unknown"):
        write_whole(tmp_path / "gone" / "a", b"x")


def test_an_interrupt_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", b"x")
    assert names(tmp_path) == []


def test_open_files_do_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "a", b"x")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        write_whole(tmp_path / "a", b"x")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    for _ in range(20):
        with pytest.raises(BackendError):
            write_whole(tmp_path / "a", b"x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".zh-0123.tmp", ".zh-4567.tmp", "a.zh", ".hidden", "zh-1.tmp"):
        (tmp_path / name).touch()
    assert [p.name for p in remove_leftovers(tmp_path)] == [".zh-0123.tmp", ".zh-4567.tmp"]
    assert names(tmp_path) == [".hidden", "a.zh", "zh-1.tmp"]


def test_a_new_file_is_written_whole(tmp_path: Path) -> None:
    write_new(tmp_path / "a.zh", "# ≤\n")
    assert (tmp_path / "a.zh").read_bytes() == b"# \xe2\x89\xa4\n"
    assert names(tmp_path) == ["a.zh"]


@pytest.mark.parametrize("kind", ["file", "folder", "link", "broken link"])
def test_a_new_file_never_replaces_what_is_there(kind: str, tmp_path: Path) -> None:
    path, target = tmp_path / "a.zh", tmp_path / "target"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("old")
    else:
        path.symlink_to(target)
    if kind == "link":
        target.write_text("old")
    before = names(tmp_path)
    with pytest.raises(FileExistsError):
        write_new(path, "new")
    assert names(tmp_path) == before
    assert all(p.read_text() == "old" for p in tmp_path.iterdir() if p.is_file())


def test_a_new_file_that_cannot_be_finished_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    with pytest.raises(BackendError, match="No space left on device"):
        write_new(tmp_path / "a.zh", "new")
    assert names(tmp_path) == []


def test_the_cache_is_where_the_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "zhdsl"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "zhdsl"
    monkeypatch.setenv("ZH_CACHE", str(tmp_path / "z"))
    assert cache_folder() == tmp_path / "z"


def test_no_home_is_an_error_that_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(BackendError, match="set ZH_CACHE"):
        cache_folder()


WRITER = """
import sys
from zhdsl.runtime.files import write_whole
for i in range(1_000_000):
    write_whole(sys.argv[1], bytes([i % 251]) * 3_000_000)
    print(i, flush=True)
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_the_last_file_it_acknowledged_or_the_next(
    tmp_path: Path, root: Path
) -> None:
    path, moments = tmp_path / "weights", random.Random(1)
    for _ in range(25):
        command = [sys.executable, "-c", WRITER, str(path)]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
            assert writer.stdout
            first = writer.stdout.readline()
            time.sleep(moments.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            acknowledged = int((first + writer.stdout.read()).split()[-1])
        data = path.read_bytes()
        assert len(data) == 3_000_000
        assert data[0] in (acknowledged % 251, (acknowledged + 1) % 251)
        assert data == data[:1] * len(data)
        remove_leftovers(tmp_path)
        assert names(tmp_path) == ["weights"]
