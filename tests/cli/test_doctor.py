"""The doctor reports what is there, tells trouble from news, and changes nothing."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from zhdsl import __version__
from zhdsl.backends.native import toolchain
from zhdsl.cli import doctor
from zhdsl.cli.doctor import Finding


@pytest.fixture(autouse=True)
def a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ZH_CACHE", str(folder))
    return folder


def test_the_report_has_a_line_for_everything_looked_at(zh: Callable) -> None:
    result = zh("doctor")
    assert (result.code, result.err) == (0, "")
    names = [line.split()[1] for line in result.out.splitlines() if not line.lstrip().startswith("help:")]
    assert names == ["zhdsl", *(check.__name__ for check in doctor.CHECKS)]


def test_the_json_says_the_same(zh: Callable) -> None:
    found = json.loads(zh("doctor", "--json").out)
    assert (found["zhdsl"], found["ok"]) == (__version__, True)
    assert [set(f) for f in found["findings"]] == [{"name", "state", "text", "help"}] * (len(doctor.CHECKS) + 1)
    assert {f["state"] for f in found["findings"]} <= {"ok", "note"}


@pytest.mark.parametrize("args", [(), ("--json",)])
def test_one_bad_finding_makes_the_exit_code_1(
    args: tuple[str, ...], zh: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (lambda: Finding("leg", "bad", "broken", "rest"),))
    result = zh("doctor", *args)
    assert result.code == 1
    assert "broken" in result.out
    assert "rest" in result.out


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(zh: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def memory() -> Finding:
        raise OSError("no such thing")

    monkeypatch.setattr(doctor, "CHECKS", (memory, doctor.python))
    result = zh("doctor")
    assert result.code == 1
    assert "no such thing" in result.out
    assert "python" in result.out


def test_the_bundled_data_are_those_that_were_released() -> None:
    assert doctor.data() == Finding("data", "ok", "digits.npz, mnist_5k.npz")
    bundled = {p.name for p in (files("zhdsl.data") / "bundled").iterdir() if p.name.endswith(".npz")}
    assert bundled == set(doctor.BUNDLED)


def test_damaged_or_missing_data_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"digits.npz": sha256(b"").hexdigest(), "gone.npz": ""}
    monkeypatch.setattr(doctor, "BUNDLED", wrong)
    finding = doctor.data()
    assert (finding.state, finding.text) == ("bad", "digits.npz is damaged, gone.npz is missing")


def test_a_missing_package_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "surely-not-installed"))
    finding = doctor.packages()
    assert finding.state == "bad"
    assert "surely-not-installed missing" in finding.text
    assert finding.help == "python -m pip install surely-not-installed"


def test_every_package_that_zhdsl_needs_is_looked_at(root: Path) -> None:
    import tomllib

    needed = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {text.split(">")[0] for text in needed} == set(doctor.PACKAGES)


@pytest.fixture
def no_compiler_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not looked for one yet."""
    monkeypatch.setattr(toolchain, "_found", {})
    monkeypatch.delenv("CC", raising=False)


def test_a_compiler_that_works_is_told_with_its_version(no_compiler_known: None) -> None:
    if not toolchain.available():
        pytest.skip(toolchain.reason())
    found, finding = toolchain.find(), doctor.compiler()
    assert finding.state == "ok"
    assert finding.text.startswith(f"{found.command[0]}, {found.version}, vectors of ")


def test_no_compiler_is_news_and_no_trouble(
    no_compiler_known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = doctor.compiler()
    assert (finding.state, finding.text) == ("note", "no C compiler: none of cc, gcc, clang is in $PATH")
    assert "gcc or clang" in finding.help


def test_a_compiler_that_does_not_work_is_told_with_the_reason(
    no_compiler_known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mycc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "mycc").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "mycc"))
    finding = doctor.compiler()
    assert (finding.state, finding.text) == ("note", f"{tmp_path}/mycc fails with exit code 1")


def test_a_forced_blas_kernel_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    assert doctor.blas().state == "ok"
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert doctor.blas().state == "note"
    assert "OPENBLAS_CORETYPE=Haswell" in doctor.blas().text


def test_the_cache_is_made_for_the_user_alone_and_left_empty(a_cache_of_its_own: Path) -> None:
    assert doctor.cache() == Finding("cache", "ok", str(a_cache_of_its_own))
    assert stat.S_IMODE(a_cache_of_its_own.stat().st_mode) == 0o700
    assert list(a_cache_of_its_own.iterdir()) == []


def test_a_cache_that_others_can_write_is_bad(a_cache_of_its_own: Path) -> None:
    a_cache_of_its_own.mkdir()
    a_cache_of_its_own.chmod(0o777)
    assert doctor.cache().state == "bad"


def test_a_cache_that_cannot_be_made_is_bad(a_cache_of_its_own: Path) -> None:
    a_cache_of_its_own.write_text("a file")
    assert doctor.cache().state == "bad"


def test_memory_and_cores_are_those_of_this_process() -> None:
    assert doctor.processor().text.startswith(f"{len(os.sched_getaffinity(0))} core")
    total, free = (float(doctor.memory().text.split()[i]) for i in (0, 2))
    assert 0 < free <= total
    assert doctor.memory().text.endswith("GiB free")
