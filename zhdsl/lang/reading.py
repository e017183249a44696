"""`read`: a file becomes a `Source`, or an error that says why not. Never blocks, never reads more than the limit."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import limits
from zhdsl.lang.characters import require_characters, too_large
from zhdsl.source import Source, Span

MARKS = (  # longest first: the mark of UTF-32-LE begins with that of UTF-16-LE
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None, at: Span | None = None) -> Source:
    """Read a `.zh` file.

    Args:
        path: the file; relative to `root` if that is given, else to the working directory.
        root: the project's folder; a path that leaves it, through a link or `..`, is an error.
        at: the place that asked for the file (a `use`), shown when it cannot be read.

    Returns:
        The text, decoded from UTF-8, without a byte order mark. Line ends are kept. Its name is `path` as given, or
        relative to `root`.

    Raises:
        SpecError: Z0001 to Z0012.
    """
    name, place = _locate(path, root, at)
    data = _bytes(place, name, at)
    if len(data) > limits.SIZE:
        raise too_large(name, at)
    source = Source(name, _decode(data, name))
    require_characters(source)
    return source


def _locate(path: str | os.PathLike[str], root: str | os.PathLike[str] | None, at: Span | None) -> tuple[str, Path]:
    if root is None:
        return os.fspath(path), Path(path)
    try:
        folder = Path(root).resolve()
        place = (folder / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreadable(os.fspath(path), error, at) from None
    if not place.is_relative_to(folder):
        message = f"{os.fspath(path)} is outside of the project's folder"
        raise SpecError(Diagnostic("Z0004", message, at, help="copy the file into the folder of the project"))
    return place.relative_to(folder).as_posix(), place


def _bytes(place: Path, name: str, at: Span | None) -> bytes:
    """At most one byte more than the limit. Opened without blocking: a FIFO without a writer would wait for ever."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            kind = _irregular(os.fstat(handle).st_mode)
            if not kind:
                return file.read(limits.SIZE + 1)
    except IsADirectoryError:
        kind = "a folder"
    except (OSError, ValueError) as error:
        raise _unreadable(name, error, at) from None
    raise SpecError(Diagnostic("Z0002", f"{name} is {kind}, not a file", at, help="give the path of a .zh file"))


def _irregular(mode: int) -> str:
    """What a file is that cannot be read as text; empty for a regular one."""
    kinds = ((stat.S_ISREG, ""), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISCHR, "a device"))
    return next((kind for test, kind in kinds if test(mode)), "a special file")


def _unreadable(name: str, error: Exception, at: Span | None) -> SpecError:
    if isinstance(error, FileNotFoundError):
        return SpecError(Diagnostic("Z0001", f"there is no file {name}", at, help="check the name and the folder"))
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = f"{name!r} cannot be read: {reason}"
    return SpecError(Diagnostic("Z0001", message, at, help="check the name and the rights"))


def _decode(data: bytes, name: str) -> str:
    mark = next((kind for mark, kind in MARKS if data.startswith(mark)), "")
    if mark:
        span = Span(Source(name, ""), 0, 0)
        raise SpecError(Diagnostic("Z0005", f"the file is {mark}, not UTF-8", span, help="save it as UTF-8"))
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        shown = Source(name, data.decode(errors="replace"))
        start = len(data[: error.start].decode())
        message = f"byte 0x{data[error.start]:02X} is not UTF-8"
        span = Span(shown, start, start + 1)
        raise SpecError(Diagnostic("Z0005", message, span, help="save the file as UTF-8")) from None
