"""The C compiler of this machine: which one, which flags it takes, how wide this processor's vectors are.

In: `$CC`, else `cc`, `gcc` or `clang` from `$PATH`. Out: a `Toolchain`, or a `BackendError` that says in one line why
there is none. What was found is remembered on disk, keyed by the compiler's file and the processor, so that a warm
start runs no process.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from zhdsl.backends.native import cache
from zhdsl.errors import BackendError

NAMES = ("cc", "gcc", "clang")
# Reassociation and finite-math flags are left out on purpose: masks use -inf, and nan must be found where it arises.
WANTED = (
    "-O3",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fopenmp-simd",
    "-mprefer-vector-width=512",
)
# Whole numbers wrap around, as the ops that add them say.
REQUIRED = ("-std=gnu11", "-fwrapv", "-w", "-fPIC", "-shared", "-pthread")
LIBRARIES = ("-lm",)
PROBE_SECONDS = 30.0  # for one command of the probe
MESSAGE_LINES = 6
MEMORY_FOLDER = "/dev/shm"
# What a disk says that is full or closed to us, or from which nothing can be loaded.
UNUSABLE = (
    "No space left", "Disk quota", "File too large", "Read-only file system", "Permission denied",
    "failed to map segment",
)  # fmt: skip
WIDTHS = {"__AVX512F__": 64, "__AVX2__": 32}  # macro: bytes of a vector; without one of them 16
NARROW = 16
PROBE = """
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic long count;
double zh_probe(const double *x, long n) {
  double sum = 0;
  #pragma omp simd reduction(+:sum)
  for (long i = 0; i < n; i++) sum += sqrt(x[i] * x[i]);
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&count, 1);
  pthread_mutex_unlock(&lock);
  return sum + floor(exp(0.0) * 0.5);
}
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Toolchain:
    """A compiler that works.

    Attributes:
        command: the program and what `$CC` gives it.
        version: the first line it prints about itself.
        target: the machine it compiles for, `x86_64-linux-gnu`.
        flags: those of `WANTED` that it takes.
        vector_bytes: width of this processor's vectors as the compiler sees it: 64, 32 or 16.
        identity: changes when the compiler's file, its version or the processor changes.
    """

    command: tuple[str, ...]
    version: str
    target: str
    flags: tuple[str, ...]
    vector_bytes: int
    identity: str

    def compiling(self, output: Path, include: Path) -> list[str]:
        """The command that makes a shared object of the C text on its standard input."""
        flags = (*REQUIRED, *self.flags, f"-I{include}")
        return [*self.command, *flags, "-o", os.fspath(output), "-x", "c", "-", *LIBRARIES]


_found: dict[str, Toolchain | str] = {}  # by key: a toolchain, or why it does not work


def find() -> Toolchain:
    """The compiler to use.

    Raises:
        BackendError: there is none, or it does not work.
    """
    command = _command()
    key = _key(command)
    if key not in _found:
        _found[key] = _recalled(command, key) or _probed(command, key)
    found = _found[key]
    if isinstance(found, str):
        raise BackendError(found)
    return found


def available() -> bool:
    """Whether there is a compiler that works."""
    return not reason()


def reason() -> str:
    """Why there is no compiler that works, in one line; empty if there is one."""
    try:
        find()
    except BackendError as error:
        return str(error).partition("\n")[0]
    return ""


def _command() -> tuple[str, ...]:
    chosen = os.environ.get("CC", "").strip()
    if not chosen:
        if path := next(filter(None, map(shutil.which, NAMES)), None):
            return (path,)
        raise BackendError(f"no C compiler: none of {', '.join(NAMES)} is in $PATH")
    try:
        name, *arguments = shlex.split(chosen)
    except ValueError as error:
        raise BackendError(f"CC={_printable(chosen)} is no command: {error}") from error
    path = shutil.which(name)
    if path is None:
        raise BackendError(f"no C compiler: CC={_printable(chosen)} names no program")
    return (path, *arguments)


def _key(command: tuple[str, ...]) -> str:
    """Identifies the compiler's file and the processor without starting anything."""
    try:
        programs = [os.path.realpath(path) for path in map(shutil.which, command) if path]  # CC="ccache gcc" has two
        files = [(path, os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in programs]
    except OSError as error:
        raise BackendError(f"no C compiler: {command[0]}: {error.strerror}") from error
    facts = (command, files, processor(), REQUIRED, WANTED, LIBRARIES, PROBE)
    return sha256(repr(facts).encode()).hexdigest()


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's kind and features, as far as the system tells."""
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part", "CPU implementer")
    lines = [" ".join(os.uname()[i] for i in (0, 4))]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if not line.strip():
                    break  # the others are of the same kind
                if line.startswith(wanted):
                    lines.append(line.strip())
    except OSError:
        pass
    return "\n".join(lines)


# ---------------------------------------------------------------- what was found before
def _recalled(command: tuple[str, ...], key: str) -> Toolchain | None:
    try:
        stored = cache.read(cache.open_folder() / f"probe-{key[:32]}.json")
        told = json.loads(stored) if stored is not None else None
    except (BackendError, ValueError):
        return None
    names = {"version", "target", "flags", "vector_bytes"}
    if not isinstance(told, dict) or told.keys() != names or not set(told["flags"]) <= set(WANTED):
        return None
    return Toolchain(command, told["version"], told["target"], tuple(told["flags"]), told["vector_bytes"], key)


def _remember(toolchain: Toolchain, key: str) -> None:
    told = {k: v for k, v in asdict(toolchain).items() if k not in ("command", "identity")}
    try:
        cache.store(cache.open_folder() / f"probe-{key[:32]}.json", json.dumps(told).encode())
    except (BackendError, OSError):
        return  # the next process probes again


# ---------------------------------------------------------------- the probe
def _probed(command: tuple[str, ...], key: str) -> Toolchain | str:
    try:
        toolchain = _probe(command, key)
    except BackendError as error:
        return str(error)
    _remember(toolchain, key)
    return toolchain


def _probe(command: tuple[str, ...], key: str) -> Toolchain:
    version = run([*command, "--version"]).splitlines() or ["unknown version"]
    target = run([*command, "-dumpmachine"]).strip()
    flags = _accepted(command)
    macros = set(run([*command, *flags, "-dM", "-E", "-x", "c", "-"]).split())
    width = next((n for macro, n in WIDTHS.items() if macro in macros), NARROW)
    toolchain = Toolchain(command, _printable(version[0]), _printable(target), flags, width, key)
    in_temporary_folder(partial(_require_working, toolchain))
    return toolchain


def _accepted(command: tuple[str, ...]) -> tuple[str, ...]:
    """The wanted flags that it takes: mostly all, found by one run."""
    if _takes(command, WANTED):
        return WANTED
    return tuple(flag for flag in WANTED if _takes(command, (flag,)))


def _takes(command: tuple[str, ...], flags: Iterable[str]) -> bool:
    try:
        run([*command, "-Werror", *flags, "-fsyntax-only", "-x", "c", "-"], "int zh_empty;\n")
    except BackendError as error:
        if isinstance(error.__cause__, subprocess.TimeoutExpired):
            raise
        return False
    return True


def _require_working(toolchain: Toolchain, folder: Path) -> None:
    """Compiles a small function, loads it and compares what it computes."""
    output = folder / "probe.so"
    run(toolchain.compiling(output, folder), PROBE, temporary=folder)
    require_whole(output, toolchain.command)
    values = (ctypes.c_double * 5)(1, -2, 3, -4, 5)
    try:
        function = ctypes.CDLL(os.fspath(output)).zh_probe
    except (OSError, AttributeError) as error:
        raise BackendError(f"{toolchain.command[0]} makes objects that do not load: {error}") from error
    function.restype, function.argtypes = ctypes.c_double, (ctypes.c_void_p, ctypes.c_long)
    if (total := function(values, 5)) != 15.0:
        raise BackendError(f"{toolchain.command[0]} compiles wrongly: a sum of 15 is {total}")


def require_whole(output: Path, command: tuple[str, ...]) -> None:
    """Raises `BackendError` unless it is a whole ELF file: loading half a one would end the process."""
    try:
        data = output.read_bytes()
    except OSError as error:
        raise BackendError(f"{command[0]} reports success and writes nothing: {error.strerror}") from error
    header = data[:64]
    if len(header) < 64 or header[:4] != b"\x7fELF":
        raise BackendError(f"{command[0]} makes objects that do not load: no ELF header")
    if header[4] == 2:  # 64 bits: the table of sections comes last
        (start,), (size, count) = struct.unpack_from("=Q", header, 40), struct.unpack_from("=HH", header, 58)
        if start + size * count > len(data):
            raise BackendError(f"{command[0]} makes objects that do not load: the file is cut short")


# ---------------------------------------------------------------- running a command
def in_temporary_folder(work: Callable[[Path], T]) -> T:
    """Does the work in a private folder that is gone afterwards; in memory, where the usual place is of no use.

    Raises:
        BackendError: no place would do, or the work raised it for another reason than a full or closed disk.
    """
    places = [place for place in (tempfile.gettempdir(), MEMORY_FOLDER) if os.path.isdir(place)]
    problem = BackendError("no folder for temporary files")
    for place in places:
        try:
            with tempfile.TemporaryDirectory(prefix="zhdsl-", dir=place, ignore_cleanup_errors=True) as folder:
                return work(Path(folder))
        except OSError as error:
            problem = BackendError(f"cannot compile in {place}: {error.strerror or error}")
        except BackendError as error:
            problem = error
        if not any(words in str(problem) for words in UNUSABLE):
            break
    raise problem


def run(command: list[str], text: str = "", seconds: float | None = None, temporary: Path | None = None) -> str:
    """What a command prints, its messages in English.

    Args:
        command: program and arguments; no shell sees it.
        text: its standard input.
        seconds: after this time it is stopped with all its children; without, `PROBE_SECONDS`.
        temporary: where it keeps its own temporary files.

    Raises:
        BackendError: it cannot be started, fails, or takes too long; with its first lines.
    """
    seconds = PROBE_SECONDS if seconds is None else seconds
    environment = {**os.environ, "LC_ALL": "C", **({"TMPDIR": os.fspath(temporary)} if temporary else {})}
    pipe = subprocess.PIPE
    try:  # a session of its own: a compiler's children end with it
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise BackendError(f"{command[0]} cannot be started: {error}") from error
    with process:
        try:
            out, err = process.communicate(text.encode(), timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise BackendError(f"{command[0]} did not end within {seconds:g} s") from error
        finally:
            _end(process)
    if process.returncode:
        raise BackendError(_complaint(command, process.returncode, err or out))
    return out.decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def _complaint(command: list[str], code: int, printed: bytes) -> str:
    how = f"is ended by signal {-code}" if code < 0 else f"fails with exit code {code}"
    lines = [_printable(line) for line in printed.decode("utf-8", "replace").splitlines() if line.strip()]
    return "\n  ".join([f"{command[0]} {how}" + (":" if lines else ""), *lines[:MESSAGE_LINES]])


def _printable(text: str) -> str:
    """One line without control characters, at most 200 characters."""
    return re.sub(r"[^ -~\u00a0-\uffff]", "?", text)[:200]
