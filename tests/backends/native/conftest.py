"""What the tests of native share: a cache of their own, compilers that misbehave, C for small kernels."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.backends.native import library, toolchain


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in a new folder, nothing found or loaded yet; the folder that the cache will be."""
    if not any(map(shutil.which, toolchain.NAMES)):
        pytest.skip("no C compiler on this machine")
    for variable in ("CC", "ZH_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(toolchain, "_found", {})
    monkeypatch.setattr(library, "_loaded", {})
    return tmp_path / "cache" / "zhdsl" / "native"


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """`compiler(script)`: from now on `$CC` is this shell script; `$REAL` in it is the true compiler."""
    real = next(filter(None, map(shutil.which, toolchain.NAMES)))

    def make(script: str) -> Path:
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))
        return path

    return make
