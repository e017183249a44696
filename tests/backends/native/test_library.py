"""The compile cache: what is kept, what is refused, and that no fault of the disk changes what is computed."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.backends.native import cache, library, toolchain
from zhdsl.errors import BackendError, CompilerError

ROOT = Path(__file__).resolve().parents[3]
Compiler = Callable[[str], Path]


def text(number: int) -> str:
    return f"int number(void) {{ return {number}; }}\n"


def value(found: library.Library) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(found.function("number"))())


def loaded(*numbers: int) -> list[int]:
    return [value(found) for found in library.load([text(n) for n in numbers])]


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new process knows."""
    monkeypatch.setattr(library, "_loaded", {})


@pytest.fixture
def runs(compiler: Compiler, tmp_path: Path) -> Callable[[], int]:
    """How often the compiler made an object since the toolchain was found."""
    log = tmp_path / "log"
    compiler(f'case "$*" in *-shared*) echo run >> {log};; esac\nexec "$REAL" "$@"')
    toolchain.find()
    log.write_text("")
    return lambda: len(log.read_text().split())


def test_texts_become_functions() -> None:
    assert loaded(3, 4, 3) == [3, 4, 3]


def test_a_function_that_is_not_there_is_an_error_of_ours() -> None:
    with pytest.raises(CompilerError, match="no function other"):
        library.load([text(3)])[0].function("other")


def test_a_text_is_compiled_once(runs: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(3, 3, 4) == [3, 3, 4]
    assert runs() == 2
    assert loaded(4) == [4]
    forget(monkeypatch)
    assert loaded(4, 3, 5) == [4, 3, 5]
    assert runs() == 3


def test_a_warm_start_runs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(3)
    forget(monkeypatch)
    monkeypatch.setattr(toolchain, "_found", {})
    monkeypatch.setattr(subprocess, "Popen", None)
    assert loaded(3) == [3]


def test_headers_and_flags_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    found = toolchain.find()
    key = library.key_of(found, text(1))
    other = toolchain.Toolchain(**{**vars(found), "flags": found.flags[1:]})
    assert library.key_of(other, text(1)) != key
    monkeypatch.setattr(library, "headers", lambda: "other")
    assert library.key_of(found, text(1)) != key


def test_a_text_with_an_error_is_told_with_its_first_lines() -> None:
    with pytest.raises(BackendError, match=r"exit code 1:\n.*<stdin>.*error"):
        library.load(["int f( { return 1; }"])


def test_a_compiler_that_breaks_later_is_an_error(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    found = toolchain.find()
    monkeypatch.setattr(toolchain, "find", lambda: found)
    broken = toolchain.Toolchain(**{**vars(found), "command": (str(compiler("kill -9 $$")),)})
    monkeypatch.setattr(toolchain, "find", lambda: broken)
    with pytest.raises(BackendError, match="ended by signal 9"):
        loaded(3)


# ---------------------------------------------------------------- what lies in the cache
def test_the_folder_and_its_files_are_the_users_alone(fresh: Path) -> None:
    before = os.umask(0)
    try:
        loaded(3)
    finally:
        os.umask(before)
    assert fresh.stat().st_mode & 0o777 == 0o700
    assert fresh.parent.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o077 for p in fresh.iterdir()} == {0}
    assert not list(fresh.glob("*.tmp"))


def damaged(data: bytes) -> list[bytes]:
    size = len(data)
    flipped = [data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in (0, size // 2, size - 33, size - 32, size - 1)]
    return [b"", data[:10], data[:32], data[: size // 2], data[:-1], data[:-32], data + b"x", *flipped]


def test_a_damaged_object_is_compiled_anew_and_never_loaded(
    fresh: Path, runs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(3)
    (path,) = fresh.glob("*.so")
    whole = path.read_bytes()
    cases = damaged(whole)
    for case in cases:
        path.write_bytes(case)
        forget(monkeypatch)
        assert loaded(3) == [3]
        assert cache.read(path) == whole[:-32]
    assert runs() == 1 + len(cases)


def test_a_foreign_object_under_the_right_name_is_not_loaded(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(3)
    (path,) = fresh.glob("*.so")
    loaded(4)
    (other,) = set(fresh.glob("*.so")) - {path}
    path.write_bytes(other.read_bytes()[:-32])
    forget(monkeypatch)
    assert loaded(3) == [3]


def test_a_link_in_the_cache_is_replaced_and_not_followed(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(3)
    (path,) = fresh.glob("*.so")
    target = tmp_path / "elsewhere.so"
    path.rename(target)
    kept = target.read_bytes()
    path.symlink_to(target)
    forget(monkeypatch)
    assert loaded(3) == [3]
    assert not path.is_symlink() and target.read_bytes() == kept


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), os.mkfifo], ids=["folder", "pipe"])
def test_something_else_under_the_name_does_no_harm(
    make: Callable[[Path], None], fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(3)
    (path,) = fresh.glob("*.so")
    path.unlink()
    make(path)
    forget(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert loaded(3) == [3]


def test_an_object_that_others_can_write_is_not_loaded(
    fresh: Path, runs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(3)
    (path,) = fresh.glob("*.so")
    path.chmod(0o777)
    forget(monkeypatch)
    assert loaded(3) == [3]
    assert runs() == 2


# ---------------------------------------------------------------- a cache that cannot be used
def refused_file(folder: Path) -> None:
    folder.parent.parent.mkdir()
    folder.parent.write_text("a file where the folder should be")


def refused_link(folder: Path) -> None:
    folder.parent.mkdir(parents=True, mode=0o700)
    (folder.parent / "target").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "target")


def refused_open_to_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)


def refused_parent_open_to_all(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o777)


REFUSED = {
    "a file in its place": (refused_file, "File exists|Not a directory"),
    "a link in its place": (refused_link, "no folder of its own"),
    "others may write there": (refused_open_to_all, "others may write"),
    "others may write above": (refused_parent_open_to_all, "others may write"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_folder_that_will_not_do_is_one_line_of_notice(
    how: str, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, message = REFUSED[how]
    make(fresh)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with pytest.warns(RuntimeWarning, match=message) as caught:
        assert loaded(3) == [3]
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert not list((tmp_path / "tmp").iterdir())
    assert not fresh.is_dir() or not list(fresh.iterdir())


def test_a_folder_of_another_user_is_refused(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert loaded(3) == [3]


def test_no_home_is_one_line_of_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.warns(RuntimeWarning, match="set ZH_CACHE"):
        assert loaded(3) == [3]


@pytest.mark.parametrize("after", [0, 1, 100])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_write_that_fails_costs_only_the_cache(
    after: int, code: int, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolchain.find()
    real, left = os.write, [after]

    def write(file: int, data: bytes) -> int:
        if not os.readlink(f"/proc/self/fd/{file}").startswith(str(fresh)):
            return real(file, data)
        if not left[0]:
            raise OSError(code, os.strerror(code))
        size = real(file, data[: left[0]])
        left[0] -= size
        return size

    monkeypatch.setattr(cache.os, "write", write)
    with pytest.warns(RuntimeWarning, match=os.strerror(code)):
        assert loaded(3) == [3]
    monkeypatch.undo()
    assert not list(fresh.glob("*.so")) and not list(fresh.glob("*.tmp"))


def test_a_rename_that_fails_leaves_nothing_behind(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    toolchain.find()
    monkeypatch.setattr(cache.os, "replace", replace)
    with pytest.warns(RuntimeWarning, match="Input/output error"):
        assert loaded(3) == [3]
    assert not list(fresh.glob("*.so")) and not list(fresh.glob("*.tmp"))


def test_a_full_folder_for_temporary_files_is_replaced_by_one_in_memory(
    compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not os.path.isdir(toolchain.MEMORY_FOLDER):
        pytest.skip(f"no {toolchain.MEMORY_FOLDER} on this machine")
    (tmp_path / "full").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    compiler(
        'case "$TMPDIR" in */full/*) echo "as: error writing: No space left on device" >&2; exit 1;; esac\n'
        'exec "$REAL" "$@"'
    )
    assert loaded(3) == [3]
    assert not list((tmp_path / "full").iterdir())


def test_nowhere_to_compile_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.find()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr(toolchain, "MEMORY_FOLDER", str(tmp_path / "missing"))
    with pytest.raises(BackendError, match="no folder for temporary files"):
        loaded(3)


ON_A_FULL_DISK = """
import ctypes, warnings
from zhdsl.backends.native import library
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    (found,) = library.load(["int number(void) { return 3; }"])
print(ctypes.CFUNCTYPE(ctypes.c_int)(found.function("number"))())
for warning in caught:
    print(warning.message)
"""
MOUNT = 'mount -t tmpfs -o size=4k tmpfs "$0" && { cat /dev/zero > "$0/full" 2>&1; exec "$@"; }'


@pytest.mark.parametrize("temporary", [False, True], ids=["cache", "cache and temporary files"])
def test_a_disk_that_is_truly_full_costs_only_the_cache(temporary: bool, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    separate = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(disk)]
    if not shutil.which("unshare") or subprocess.run([*separate, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting a disk for oneself is not permitted here")
    if temporary and not os.path.isdir(toolchain.MEMORY_FOLDER):
        pytest.skip(f"no {toolchain.MEMORY_FOLDER} on this machine")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(disk)}
    environment["TMPDIR"] = str(disk if temporary else tmp_path)
    command = [*separate, sys.executable, "-c", ON_A_FULL_DISK]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    value, *notices = done.stdout.splitlines()
    assert value == "3"
    assert len(notices) == 1 and "No space left on device" in notices[0]


# ---------------------------------------------------------------- size
def test_what_was_used_longest_ago_goes_first(fresh: Path) -> None:
    fresh.mkdir(parents=True, mode=0o700)
    for age, name in enumerate("abcd"):
        cache.store(fresh / f"{name}.so", bytes(1000))
        os.utime(fresh / f"{name}.so", (10_000 - age, 10_000 - age))
    assert cache.read(fresh / "d.so") == bytes(1000)
    cache.evict(fresh, 2 * 1032)
    assert sorted(p.name for p in fresh.iterdir()) == ["a.so", "d.so"]


def test_an_evicted_object_works_on_where_it_is_loaded(
    fresh: Path, runs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(3)
    forget(monkeypatch)
    (found,) = library.load([text(3)])
    cache.evict(fresh, 0)
    assert not list(fresh.iterdir())
    assert value(found) == 3
    forget(monkeypatch)
    assert loaded(3) == [3]
    assert runs() == 2


def test_only_old_temporary_files_are_swept_up(fresh: Path) -> None:
    fresh.mkdir(parents=True, mode=0o700)
    for name, age in (("old", 2 * cache.LEFTOVER_SECONDS), ("new", 10.0)):
        (fresh / f".zh-{name}.tmp").write_bytes(b"part")
        os.utime(fresh / f".zh-{name}.tmp", (time.time() - age,) * 2)
    cache.evict(fresh)
    assert [p.name for p in fresh.iterdir()] == [".zh-new.tmp"]


# ---------------------------------------------------------------- at the same time
PROGRAM = """
import ctypes, sys
from zhdsl.backends.native import library
sys.stdin.readline()
for found in library.load([f"int number(void) {{ return {n}; }}" for n in range(4)]):
    print(ctypes.CFUNCTYPE(ctypes.c_int)(found.function("number"))())
"""


def test_processes_that_compile_the_same_at_once_all_succeed(fresh: Path) -> None:
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    racers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) for _ in range(3)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    results = [racer.communicate()[0].split() for racer in racers]
    assert results == [["0", "1", "2", "3"]] * 3
    assert len(list(fresh.glob("*.so"))) == 4 and not list(fresh.glob("*.tmp"))


def test_threads_that_compile_the_same_at_once_all_succeed() -> None:
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(loaded(1, 2))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[1, 2]] * 3
