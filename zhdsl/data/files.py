"""The only door to the user's files: paths stay inside the folder of the spec, and only regular files are read.

A spec, and the paths in it, may come from a stranger. The path is walked one name at a time, each opened relative to
the one before and never through a symbolic link, so nothing can be swapped for a link between a check and its use.
A hard link is a regular file and is read as such.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

from zhdsl.data.faults import MAX_BYTES, fault
from zhdsl.errors import TrainingError

WALKS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
# Without O_NONBLOCK the open of a FIFO would wait for a writer for ever.
_FLAGS |= getattr(os, "O_NONBLOCK", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)

_CAUSES = {
    errno.ELOOP: ("a symbolic link is on the way", "put the file itself there, not a link to it"),
    errno.ENOTDIR: ("a symbolic link or a file is where a folder should be", "put the files themselves there"),
    errno.EACCES: ("it may not be read", "change its permissions"),
    errno.ENAMETOOLONG: ("the name is too long", "rename the file"),
}


def read_file(folder: Path, name: str, limit: int = MAX_BYTES) -> bytes:
    """All bytes of the regular file `name` below `folder`.

    Args:
        folder: the folder of the spec.
        name: relative path with `/`, as written in the spec.
        limit: largest size, in bytes; compared before reading.

    Raises:
        TrainingError: the path leaves the folder, a link is on the way, there is no such file, it is no regular file
            (folder, FIFO, device), it is larger than `limit`, or it changed while it was read.
    """
    with opened(folder, name) as (file, size):
        if size > limit:
            raise fault(name, f"it has {size:,} bytes, the limit is {limit:,}", "split the file, or take a part of it")
        try:
            data = file.read(size + 1)
        except OSError as error:
            raise _refusal(folder, name, error) from None
    if len(data) != size:
        raise fault(name, f"it had {size:,} bytes and then {len(data):,}", "wait until nobody writes to it")
    return data


@contextmanager
def opened(folder: Path, name: str) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a regular file inside `folder`; gives the file and its size in bytes. Raises as `read_file` does."""
    descriptor = _descriptor(folder, name)
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise fault(name, f"it is {_kind(state.st_mode)}, not a regular file", "name a regular file")
    with os.fdopen(descriptor, "rb") as file:
        yield file, state.st_size


def listed(folder: Path, name: str) -> list[tuple[str, bool]]:
    """What is in the folder `name` below `folder`: (name, is it a folder), sorted; links and hidden names are left out.

    Raises:
        TrainingError: as `read_file`, or it is no folder.
    """
    try:
        if not WALKS:
            return _entries(_resolved(folder, _parts(name)))
        descriptor = _walk(folder, _parts(name), _DIRECTORY)
        try:
            return _entries(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _refusal(folder, name, error) from None


def _entries(place: int | Path) -> list[tuple[str, bool]]:
    with os.scandir(place) as found:
        kept = [e for e in found if not e.is_symlink() and not e.name.startswith(".")]
        return sorted((e.name, e.is_dir(follow_symlinks=False)) for e in kept)


def _descriptor(folder: Path, name: str) -> int:
    parts = _parts(name)
    try:
        return _walk(folder, parts, 0) if WALKS else os.open(_resolved(folder, parts), _FLAGS)
    except OSError as error:
        raise _refusal(folder, name, error) from None


def _parts(name: str) -> list[str]:
    """The names along a path; refuses everything that could mean another place than inside the folder."""
    fix = "write a path relative to the spec, inside its folder, with `/` between names"
    if not name or "\0" in name or "\\" in name or any(0xD800 <= ord(c) < 0xE000 for c in name):
        raise fault(name or "file", "this is not a path", fix)
    if name.startswith("/") or ":" in name.partition("/")[0]:
        raise fault(name, "the path is absolute", fix)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise fault(name, "the path leaves the folder of the spec", fix)
    return parts


def _walk(folder: Path, parts: list[str], last: int) -> int:
    at = os.open(folder, os.O_RDONLY | _DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, _FLAGS | _DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return os.open(parts[-1], _FLAGS | last, dir_fd=at)
    finally:
        os.close(at)


def _resolved(folder: Path, parts: list[str]) -> Path:
    """Where the system cannot walk by descriptors (Windows): every name must be no link, checked beforehand."""
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
            raise OSError(errno.ELOOP, "link")
    return path


def _refusal(folder: Path, name: str, error: OSError) -> TrainingError:
    if error.errno == errno.ENOENT:
        return fault(name, "there is no such file", _suggestion(folder, name))
    cause, fix = _CAUSES.get(error.errno or 0, (os.strerror(error.errno or 0), "check the file and its disk"))
    return fault(name, cause, fix)


def _suggestion(folder: Path, name: str) -> str:
    parent, _, last = name.rpartition("/")
    try:
        there = [entry for entry, _ in (listed(folder, parent) if parent else _entries(folder))]
    except (OSError, TrainingError):
        there = []
    near = get_close_matches(last, there, 1)
    return f"did you mean `{near[0]}`?" if near else "put it there; paths start at the folder of the spec"


def _kind(mode: int) -> str:
    tests = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    )
    return next((text for test, text in tests if test(mode)), "a socket or the like")
