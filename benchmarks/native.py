"""C that benchmarks compile on the fly: found by `$CC`, cc, gcc, clang; the libraries lie in a temporary folder."""

from __future__ import annotations

import atexit
import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-shared", "-fPIC")


class CannotCompile(Exception):
    """There is no compiler, or it refuses; says why in one line."""


def compiler() -> list[str]:
    """The command that compiles C. Raises `CannotCompile` where there is none."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        words = shlex.split(name)
        if words and shutil.which(words[0]):
            return words
    raise CannotCompile("there is no C compiler")


@cache
def library(source: Path, *flags: str) -> ctypes.CDLL:
    """A C file as a loaded library, compiled once in a process.

    Raises:
        CannotCompile: no compiler, or its first complaint.
    """
    out = _folder() / f"{source.stem}-{len(list(_folder().iterdir()))}.so"
    command = [*compiler(), *FLAGS, *flags, str(source), "-o", str(out), "-lm"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        raise CannotCompile(
            next((line for line in lines if "error" in line), f"the compiler ends with {done.returncode}")
        )
    return ctypes.CDLL(str(out))


@cache
def _folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="zhdsl-benchmarks-"))
    atexit.register(shutil.rmtree, made, True)
    return made
