"""How much memory a run may take: what it will need is known before any is taken."""

from __future__ import annotations

from pathlib import Path

from zhdsl.errors import BackendError

SHARE = 0.8  # of what is free; the rest is for everything that is not planned

MEMINFO, LIMIT, USED = (
    Path("/proc/meminfo"),
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory.current"),
)


def free() -> int | None:
    """Bytes that this process may still take, by the machine and by its container; `None` where nobody says."""
    limit, used = _number(LIMIT), _number(USED)
    found = [_available(), limit - used if limit is not None and used is not None else None]
    return min((n for n in found if n is not None), default=None)


def _available() -> int | None:
    try:
        lines = MEMINFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    fields = dict(line.partition(":")[::2] for line in lines)
    words = fields.get("MemAvailable", "").split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def require(needed: int, what: str, fix: str) -> None:
    """Refuses what would not fit.

    Raises:
        BackendError: `needed` bytes are more than 80 % of what is free.
    """
    there = free()
    if there is not None and needed > SHARE * there:
        raise BackendError(f"{what} needs {needed:,} bytes of memory, {there:,} are free\nhelp: {fix}")
