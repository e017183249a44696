"""C texts become loaded shared objects, through a cache on disk that is keyed by content.

In: texts, each a translation unit. Out: a `Library` for each, whose functions have addresses. A text that was compiled
before, by the same compiler with the same flags for the same processor, is not compiled again; those that were not
are compiled in parallel. Where the cache cannot be used, the objects live in a temporary folder until they are loaded.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path

from zhdsl.backends.native import cache, toolchain
from zhdsl.backends.native.toolchain import Toolchain
from zhdsl.errors import BackendError, CompilerError, Notice

HERE = Path(__file__).parent
COMPILE_SECONDS = 300.0  # for one text


@dataclass(frozen=True)
class Library:
    """A loaded shared object; it stays loaded until the process ends."""

    key: str
    handle: ctypes.CDLL = field(repr=False, compare=False)

    def function(self, name: str) -> int:
        """The address of a function.

        Raises:
            CompilerError: the text has none of that name.
        """
        try:
            found = getattr(self.handle, name)
        except AttributeError as error:
            raise CompilerError(f"native: the compiled text has no function {name}") from error
        return ctypes.cast(found, ctypes.c_void_p).value or 0


_loaded: dict[str, Library] = {}  # by key


def load(sources: Sequence[str]) -> list[Library]:
    """Compiles what is not in the cache, and loads all.

    Args:
        sources: C texts; `#include "vmath.h"` and the other headers of this folder are found.

    Raises:
        BackendError: there is no working compiler, or it fails on a text, with its first error lines.
    """
    found = toolchain.find()
    keys = [key_of(found, source) for source in sources]
    texts = {key: source for key, source in zip(keys, sources, strict=True) if key not in _loaded}
    if texts:
        folder = _folder()
        missing = {key: text for key, text in texts.items() if folder is None or not _recall(folder, key)}
        if missing:
            toolchain.in_temporary_folder(partial(_compile_all, found, folder, missing))
    return [_loaded[key] for key in keys]


def key_of(found: Toolchain, source: str) -> str:
    """Names what the object depends on: text, headers, flags, compiler, processor."""
    parts = (source, headers(), "\0".join(found.flags), found.version, found.target, found.identity)
    return sha256(b"".join(sha256(part.encode()).digest() for part in parts)).hexdigest()


@lru_cache(maxsize=1)
def headers() -> str:
    """The hash of all that a text can include from here."""
    return sha256(b"".join(sha256(p.read_bytes()).digest() for p in sorted(HERE.glob("*.h")))).hexdigest()


def _folder() -> Path | None:
    try:
        return cache.open_folder()
    except BackendError as error:
        _notice(str(error))
        return None


def _notice(why: str) -> None:
    warnings.warn(f"compiled kernels are not kept: {why}", Notice, stacklevel=4)


def _recall(folder: Path, key: str) -> bool:
    """Loads a stored object if it is whole; what does not load is compiled anew."""
    path = folder / f"{key}.so"
    if cache.read(path) is None:
        return False
    with suppress(BackendError):
        _open(path, key)
    return key in _loaded


def _open(path: Path, key: str) -> None:
    try:
        handle = ctypes.CDLL(os.fspath(path))
    except OSError as error:
        raise BackendError(f"a compiled object does not load: {error}") from error
    _loaded.setdefault(key, Library(key, handle))


# ---------------------------------------------------------------- compiling
def _compile_all(found: Toolchain, folder: Path | None, texts: dict[str, str], build: Path) -> None:
    """Compiles as many at once as there are cores, stores and loads.

    Loaded is what was just compiled, not what was stored: another process may already have removed that.
    """
    work = partial(_compile, found, build)
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), len(texts))) as pool:
        objects = dict(zip(texts, pool.map(work, texts, texts.values()), strict=True))
    if folder is not None:
        _store_all(folder, objects)
    for key, path in objects.items():
        _open(path, key)


def _compile(found: Toolchain, build: Path, key: str, text: str) -> Path:
    path = build / f"{key}.so"
    toolchain.run(found.compiling(path, HERE), text, COMPILE_SECONDS, build)
    toolchain.require_whole(path, found.command)
    return path


def _store_all(folder: Path, objects: dict[str, Path]) -> None:
    try:
        for key, path in objects.items():
            cache.store(folder / f"{key}.so", path.read_bytes())
        cache.evict(folder)
    except OSError as error:
        _notice(f"{folder}: {error.strerror or error}")
