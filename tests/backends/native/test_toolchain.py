"""Finding a C compiler: none, one that works, and all the ways in which one does not."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.backends.native import cache, toolchain
from zhdsl.errors import BackendError

Compiler = Callable[[str], Path]


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new process knows."""
    monkeypatch.setattr(toolchain, "_found", {})


def no_process(*_: object, **__: object) -> None:
    raise AssertionError("a process was started")


def test_the_compiler_of_this_machine_works() -> None:
    assert toolchain.available(), toolchain.reason()
    found = toolchain.find()
    assert found.version and found.target
    assert "-O3" in found.flags and "-ffp-contract=fast" in found.flags
    assert found.vector_bytes in (16, 32, 64)


def test_no_flag_lets_the_compiler_assume_finite_numbers() -> None:
    flags = " ".join((*toolchain.WANTED, *toolchain.REQUIRED))
    assert not any(word in flags for word in ("fast-math", "finite", "associative", "reciprocal", "Ofast"))


def test_the_vector_width_is_that_of_the_processor() -> None:
    with open("/proc/cpuinfo") as stream:
        features = next((line.split() for line in stream if line.startswith("flags")), None)
    if features is None:
        pytest.skip("the system tells no features of an x86 processor")
    wanted = 64 if "avx512f" in features else 32 if "avx2" in features else 16
    assert toolchain.find().vector_bytes == wanted


def test_a_warm_start_runs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = toolchain.find()
    forget(monkeypatch)
    monkeypatch.setattr(subprocess, "Popen", no_process)
    assert toolchain.find() == first


def test_another_compiler_file_is_probed_anew(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compiler('exec "$REAL" "$@"')
    first = toolchain.find()
    os.utime(path, (1, 1))
    forget(monkeypatch)
    assert toolchain.find().identity != first.identity


def test_a_damaged_memory_of_the_probe_is_not_believed(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = toolchain.find()
    (told,) = fresh.glob("probe-*.json")
    told.write_bytes(told.read_bytes().replace(b"-O3", b"-O0"))
    forget(monkeypatch)
    assert toolchain.find() == first
    cache.store(told, b'{"flags": ["-fplugin=evil.so"], "version": "", "target": "", "vector_bytes": 64}')
    forget(monkeypatch)
    assert toolchain.find() == first


def test_an_empty_path_has_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert not toolchain.available()
    assert toolchain.reason() == "no C compiler: none of cc, gcc, clang is in $PATH"


def test_a_compiler_named_by_the_user_is_the_only_one_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nonexistent --fast")
    with pytest.raises(BackendError, match=r"^no C compiler: CC=/nonexistent --fast names no program$"):
        toolchain.find()


@pytest.mark.parametrize("value", ["'", "''", "\0", "."])
def test_a_senseless_cc_is_one_line_of_reason(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\0" in value:
        monkeypatch.setattr(os, "environ", {**os.environ, "CC": value})
    else:
        monkeypatch.setenv("CC", value)
    assert "\n" not in toolchain.reason()
    assert "compiler" in toolchain.reason() or "no command" in toolchain.reason()


def test_cc_may_hold_arguments(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compiler('[ "$1" = --through ] || exit 9\nshift\nexec "$REAL" "$@"')
    assert not toolchain.available()
    monkeypatch.setenv("CC", f"{path} --through")
    assert toolchain.find().command == (str(path), "--through")


BROKEN = {
    "fails": ("echo 'cc1: out of order' >&2; echo second >&2; exit 1", "fails with exit code 1:\n  cc1: out of order"),
    "dies": ("kill -9 $$", "is ended by signal 9"),
    "prints rubbish": ("head -c 3000 /dev/urandom", "reports success and writes nothing"),
    "is silent": ("exit 0", "reports success and writes nothing"),
    "fails in the end": (
        'case "$*" in *-shared*) echo "ld: no crt1.o" >&2; exit 1;; esac\nexec "$REAL" "$@"',
        "ld: no crt1.o",
    ),
    "writes rubbish": (
        'case "$*" in *-shared*) while [ "$1" != -o ]; do shift; done; echo rubbish > "$2"; exit 0;; esac\n'
        'exec "$REAL" "$@"',
        "makes objects that do not load: no ELF header",
    ),
    "cuts its object short": (
        '"$REAL" "$@" || exit 1\ncase "$*" in *-shared*) while [ "$1" != -o ]; do shift; done; '
        'head -c 9000 "$2" > "$2.x"; mv "$2.x" "$2";; esac',
        "makes objects that do not load: the file is cut short",
    ),
    "leaves things out": (
        'case "$*" in *-shared*) exec "$REAL" "$@" -Dzh_probe=other;; esac\nexec "$REAL" "$@"',
        "makes objects that do not load",
    ),
    "computes wrongly": (
        'case "$*" in *-shared*) sed "s/sum +=/sum -=/" | "$REAL" "$@"; exit;; esac\nexec "$REAL" "$@"',
        "compiles wrongly: a sum of 15 is -15.0",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_compiler_that_is_broken(how: str, compiler: Compiler) -> None:
    script, message = BROKEN[how]
    compiler(script)
    with pytest.raises(BackendError) as caught:
        toolchain.find()
    assert message in str(caught.value)
    assert not toolchain.available()
    assert "\n" not in toolchain.reason()


def test_a_compiler_that_hangs_is_stopped_with_its_children(
    compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(f"sleep 600 &\necho $! > {tmp_path}/child\nwait")
    monkeypatch.setattr(toolchain, "PROBE_SECONDS", 1.0)
    with pytest.raises(BackendError, match="did not end within 1 s"):
        toolchain.find()
    child = Path("/proc", (tmp_path / "child").read_text().strip())
    for _ in range(100):
        if not child.exists() or "Z" in (child / "stat").read_text().rpartition(")")[2].split()[0]:
            return
        time.sleep(0.02)
    pytest.fail("the compiler's child still runs")


def test_what_a_compiler_prints_cannot_steer_the_terminal(compiler: Compiler) -> None:
    compiler(r"printf '\033]0;owned\007 error\n' >&2; exit 1")
    with pytest.raises(BackendError) as caught:
        toolchain.find()
    assert "\033" not in str(caught.value) and "\007" not in str(caught.value)
    assert "error" in str(caught.value)


def test_flags_that_it_does_not_take_are_left_out(compiler: Compiler) -> None:
    compiler('case "$*" in *prefer-vector-width*) echo "unknown flag" >&2; exit 1;; esac\nexec "$REAL" "$@"')
    flags = toolchain.find().flags
    assert flags == tuple(f for f in toolchain.WANTED if "prefer-vector-width" not in f)


def test_a_compiler_that_was_mended_is_found_by_the_next_process(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler("exit 1")
    assert not toolchain.available()
    compiler('exec "$REAL" "$@"')
    forget(monkeypatch)
    assert toolchain.available(), toolchain.reason()


def test_without_a_cache_the_compiler_is_found_all_the_same(fresh: Path) -> None:
    fresh.parent.parent.write_text("a file where the folder should be")
    assert toolchain.available(), toolchain.reason()
