"""The folder of a run: who writes it, and what is in it.

spec.zh             the text, exactly; uses/ holds the files it uses
run.json            seed, versions, machine, values set from outside, samples by part
metrics.jsonl       one line for each measured epoch; the same bytes whether the run was interrupted or not
timing.jsonl        seconds of the same epochs
last.safetensors    to go on from; previous.safetensors is the one before; best.safetensors the best weights
result.json         what came of it
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zhdsl import __version__
from zhdsl.errors import BackendError, TrainingError
from zhdsl.runtime.files import SHARED, remove_leftovers, write_whole

LOCK, SPEC, RUN, METRICS, TIMING, RESULT = "lock", "spec.zh", "run.json", "metrics.jsonl", "timing.jsonl", "result.json"


def new_folder(base: str | os.PathLike[str], model: str) -> Path:
    """Makes the next free `base/model-n`.

    Raises:
        BackendError: it cannot be made.
    """
    place = Path(base)
    try:
        place.mkdir(parents=True, exist_ok=True)
        taken = [re.fullmatch(rf"{re.escape(model)}-(\d{{1,9}})", p.name) for p in place.iterdir()]
        number = max([int(m[1]) for m in taken if m], default=0) + 1
        while True:
            with suppress(FileExistsError):  # another run was faster
                folder = place / f"{model}-{number}"
                folder.mkdir()
                return folder
            number += 1
    except OSError as error:
        raise BackendError(f"cannot make a folder in {place}: {error.strerror or error}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one writer; a lock ends with its process, however that ends.

    Raises:
        TrainingError: another process holds it; the message says which.
        BackendError: the lock cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise BackendError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        _acquire(descriptor, folder)
        remove_leftovers(folder)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # the file stays: removing it would let two writers hold two files of one name


def _acquire(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        raise TrainingError(
            f"{folder} is being written by {owner}\nhelp: wait until it ends, or train into another folder"
        ) from None
    except OSError as error:
        raise BackendError(f"cannot lock {folder}: {error.strerror or error}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


# ---------------------------------------------------------------- what is written once
def describe(folder: Path, texts: Mapping[str, str], root: str, about: Mapping[str, Any]) -> None:
    """Writes the spec and `run.json`."""
    write_whole(folder / SPEC, texts[root], mode=SHARED)
    for name, text in texts.items():
        if name != root:
            place = folder / "uses" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, text, mode=SHARED)
    write_json(folder / RUN, {**about, **machine()})


def machine() -> dict[str, str]:
    """What the numbers of a run may depend on."""
    import numpy

    return {
        "zhdsl": __version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "host": socket.gethostname(),
    }


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One object, readable, whole or not at all."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", mode=SHARED)


# ---------------------------------------------------------------- what grows
class Lines:
    """A file of JSON objects, one a line, that can be cut back to where a checkpoint was."""

    def __init__(self, path: Path, keep: int | None = 0):
        """Opens the file and cuts it to its first `keep` bytes (`None`: keeps all).

        Raises:
            TrainingError: it has fewer.
            BackendError: it cannot be opened.
        """
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            there = os.fstat(self._file).st_size
            keep = there if keep is None else keep
            if there < keep:
                os.close(self._file)
                raise TrainingError(f"{path} has {there} bytes, the checkpoint knows of {keep}: it was changed by hand")
            os.ftruncate(self._file, keep)
        except OSError as error:
            raise self._failure(error) from error
        self.size = keep

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a line. It survives the end of the process, and after `sync` that of the machine."""
        line = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise self._failure(error) from error
        self.size += len(line)

    def sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        os.close(self._file)

    def _failure(self, error: OSError) -> BackendError:
        return BackendError(f"cannot write {self.path}: {error.strerror or error}")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records of a file of lines; a last line that is not whole is left out."""
    whole = path.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        return [dict(json.loads(line)) for line in whole]
    except ValueError as error:
        raise TrainingError(f"{path}: this is no list of records: {error}") from None
