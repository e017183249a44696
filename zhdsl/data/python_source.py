"""`python_source`: the standard library's own source text, for character models without a download."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.faults import fault
from zhdsl.data.registry import dataset
from zhdsl.data.tokens import language

NAMES = ("\N{REPLACEMENT CHARACTER}", "\n", *map(chr, range(32, 127)))
"""Id -> character: 0 any other byte, 1 the line end, 2 to 96 printable ASCII."""
ATTRIBUTION = "python_source: standard library of Python, Python Software Foundation and others, PSF licence"
_IDS = np.zeros(256, dtype=np.int32)
_IDS[[ord(c) for c in NAMES[1:]]] = np.arange(1, len(NAMES))


@dataset("python_source")
def python_source(T: int = 64, limit: int = 1_000_000, streams: int = 0) -> Arrays:
    """Windows of T characters of the modules of the standard library, with contiguous ready splits (90 : 5 : 5).

    The text is that of the Python that runs, so another version of Python gives other samples (and a checkpoint's
    fingerprint says so). Top-level modules come first, in order of their names, then those in packages.

    Args:
        T: characters per window.
        limit: characters in all; some 10 million are there without the tests.
        streams: see `tokens.windows`.

    Returns:
        x, next: int32 [B, T], 97 different ids (`NAMES`).

    Raises:
        TrainingError: this Python came without its library as source text, or a size makes no sense.
    """
    if limit < 1:
        raise fault("python_source", f"limit = {limit} leaves no text", "write limit = 1_000_000")
    return language(_IDS[_text(limit)], NAMES, T, streams, ATTRIBUTION)


def _text(limit: int) -> Array:
    """The first `limit` bytes of all modules, uint8."""
    parts, count = [], 0
    for path in _modules(Path(sysconfig.get_path("stdlib"))):
        parts.append(path.read_bytes().replace(b"\r\n", b"\n"))
        count += len(parts[-1])
        if count >= limit:
            break
    if not parts:
        raise fault("python_source", "this Python has no library as source text", "use a Python with its .py files")
    return np.frombuffer(b"".join(parts)[:limit], dtype=np.uint8)


def _modules(root: Path) -> Iterator[Path]:
    """Modules of the library, a folder's own before those of its subfolders, by name, without tests and packages."""
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith(("_", ".")))
    yield from (entry for entry in entries if entry.suffix == ".py" and entry.is_file())
    for entry in entries:
        if entry.is_dir() and entry.name not in SKIPPED:
            yield from _modules(entry)


SKIPPED = ("test", "tests", "idle_test", "site-packages", "dist-packages", "lib-dynload")
