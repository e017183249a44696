"""Files are written whole or not at all: after a crash, a kill or a full disk there is the old file or the new one.

In: a path and its whole content. Out: nothing, or a `BackendError` that names the path and the bytes needed and free.

    temporary file in the same folder → write → fsync → rename over the path → fsync the folder
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from zhdsl.errors import BackendError

PRIVATE = 0o600  # only the user reads it
SHARED = 0o666  # what the user's umask leaves of it, like any file an editor makes

_LEFTOVERS = ".zh-*.tmp"


def write_whole(path: str | os.PathLike[str], content: bytes | str, *, mode: int = PRIVATE) -> None:
    """Replaces the file at `path` by `content` in one step, durably.

    Args:
        path: the file; its folder must exist. A symbolic link is itself replaced, never followed.
        content: all of it; text is written as UTF-8, its line ends as they are.
        mode: permission bits of a new file (`PRIVATE` or `SHARED`); a file that exists keeps its own.

    Raises:
        BackendError: it could not be written; the old file is as it was, unless only the fsync of the folder failed.
    """
    target = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = target.parent / f".zh-{os.urandom(8).hex()}.tmp"
    try:
        _write_new(temporary, data, mode, keep=_mode_of(target))
        _rename(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise BackendError(_complaint(target, len(data), error)) from error


def write_new(path: str | os.PathLike[str], content: bytes | str, *, mode: int = SHARED) -> None:
    """Makes a file that was not there, whole, and never touches one that was; leaves none behind when it cannot.

    Raises:
        FileExistsError: there is something at `path`, be it a broken link.
        BackendError: it could not be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        _write_new(Path(path), data, mode, keep=None)
    except FileExistsError:
        raise
    except OSError as error:
        raise BackendError(_complaint(Path(path), len(data), error)) from error


def remove_leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Removes the temporary files that a killed `write_whole` left in `folder`; for the one who alone writes there."""
    leftovers = sorted(Path(folder).glob(_LEFTOVERS))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


def _write_new(path: Path, data: bytes, mode: int, keep: int | None) -> None:
    """Makes a file that was not there, whole and on the disk; leaves none behind when it cannot.

    Args:
        path: the file.
        data: its content.
        mode: permission bits, of which the umask takes some away.
        keep: permission bits that it has in the end, whatever the umask.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
    try:
        try:
            _write_all(file, data)
            if keep is not None:
                os.fchmod(file, keep)
            os.fsync(file)
        finally:
            os.close(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write_all(file: int, data: bytes) -> None:
    """Writes every byte: one call may take fewer than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _rename(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself last through a loss of power."""
    file = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _mode_of(target: Path) -> int | None:
    """Permission bits of the regular file that is there already; a link's own bits mean nothing."""
    try:
        found = target.lstat().st_mode
    except OSError:
        return None
    return stat.S_IMODE(found) & 0o777 if stat.S_ISREG(found) else None


def _complaint(target: Path, needed: int, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"cannot write {target}: {reason} ({needed:,} bytes needed, {_free(target.parent)})"


def _free(folder: Path) -> str:
    import shutil

    try:
        return f"{shutil.disk_usage(folder).free:,} free"
    except OSError:
        return "free space unknown"


def cache_folder() -> Path:
    """Where zhdsl keeps what it can make again, such as compiled kernels: `$ZH_CACHE`, else the user's cache folder.

    The folder need not exist yet.

    Raises:
        BackendError: the user has no home folder and neither variable is set.
    """
    if chosen := os.environ.get("ZH_CACHE"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "zhdsl"
    try:
        return Path.home() / ".cache" / "zhdsl"
    except RuntimeError as error:
        raise BackendError("no folder for the cache: set ZH_CACHE to one, or HOME") from error
