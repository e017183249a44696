"""What native keeps on disk: whole files with their hash, in a folder that only the user can write.

In: a name and bytes. Out: the same bytes later, or nothing. What is kept can always be made again, so whatever is
damaged, foreign or not a regular file counts as not there.

A file is its content followed by the SHA-256 of the content, so that one rename brings both. (A loader of shared
objects ignores what follows the last section.)
"""

from __future__ import annotations

import os
import stat
import time
from hashlib import sha256
from pathlib import Path

from zhdsl.errors import BackendError

LIMIT = 1 << 30  # bytes that the folder may hold; beyond it, what was used longest ago goes
LEFTOVER_SECONDS = 3600.0  # a temporary file this old belongs to nobody who still writes
HASH_BYTES = 32
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_folder() -> Path:
    """`$ZH_CACHE/native`, else `zhdsl/native` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`).

    Raises:
        BackendError: the user has no home folder and neither variable is set.
    """
    if chosen := os.environ.get("ZH_CACHE"):
        return Path(chosen) / "native"
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "zhdsl" / "native"
    try:
        return Path.home() / ".cache" / "zhdsl" / "native"
    except RuntimeError as error:
        raise BackendError("no folder for the cache: set ZH_CACHE to one, or HOME") from error


def open_folder() -> Path:
    """The folder, made if it is not there.

    Raises:
        BackendError: it cannot be made, is a link, belongs to someone else, or others may write there.
    """
    folder = cache_folder()
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the mode is that of the last one only
        folder.mkdir(mode=0o700, exist_ok=True)
        _require_private(folder.parent, folder.parent.stat())
        _require_private(folder, folder.lstat())
    except OSError as error:
        raise BackendError(f"no cache in {folder}: {error.strerror or error}") from error
    return folder


def _require_private(folder: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise BackendError(f"no cache in {folder}: it is no folder of its own")
    if found.st_uid != os.geteuid():
        raise BackendError(f"no cache in {folder}: it belongs to another user")
    if found.st_mode & OTHERS_WRITE:
        raise BackendError(f"no cache in {folder}: others may write there (chmod go-w it)")


def read(path: Path) -> bytes | None:
    """What was stored there, if it is whole; marks it as used now."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & OTHERS_WRITE:
            return None
        with open(file, "rb", closefd=False) as stream:
            data = stream.read()
        content, hash_ = data[:-HASH_BYTES], data[-HASH_BYTES:]
        if len(data) <= HASH_BYTES or sha256(content).digest() != hash_:
            return None
        os.utime(file)
        return content
    except OSError:
        return None
    finally:
        os.close(file)


def store(path: Path, content: bytes) -> None:
    """Puts it there in one step, in place of whatever was there; a link is itself replaced.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    temporary = path.parent / f".zh-{os.urandom(8).hex()}.tmp"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o700)
    try:
        try:
            write_all(file, content + sha256(content).digest())
        finally:
            os.close(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_all(file: int, data: bytes) -> None:
    """Writes every byte: one call may take fewer than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def evict(folder: Path, limit: int = LIMIT) -> None:
    """Removes old temporary files, and what was used longest ago until the rest is within `limit` bytes.

    A process that has loaded a removed object keeps it: the file lives until its last user ends.
    """
    now, kept = time.time(), []
    for path in sorted(folder.iterdir()):
        try:
            found = path.lstat()
        except OSError:
            continue
        if path.suffix == ".tmp":
            if now - found.st_mtime > LEFTOVER_SECONDS:
                _remove(path)
        else:
            kept.append((found.st_mtime_ns, found.st_size, path))
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if total <= limit:
            break
        _remove(path)
        total -= size


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # a folder that someone made there, or a file of which another process just disposes
