"""How the data room speaks of trouble: `fault` makes the one kind of error it raises, `check_bytes` keeps sizes sane.

Every message has the shape `place: cause`, then a line `help: fix`, as the diagnostics of specs have.
"""

from __future__ import annotations

from zhdsl.errors import TrainingError

MAX_BYTES = 4 * 2**30
"""Largest array or file that is taken, in bytes. Sizes are compared with it before anything is allocated."""


def fault(place: str, cause: str, fix: str) -> TrainingError:
    """An error that says where (`place`), what is wrong (`cause`) and what to do (`fix`); the caller raises it."""
    return TrainingError(f"{printable(place)}: {printable(cause)}\nhelp: {printable(fix)}")


def printable(text: str) -> str:
    """`text` without control characters: a hostile name must not steer the terminal that shows the error."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def check_bytes(count: int, place: str, what: str = "the data") -> int:
    """`count` itself if so many bytes are allowed.

    Raises:
        TrainingError: more than `MAX_BYTES`.
    """
    if count > MAX_BYTES:
        raise fault(place, f"{what} would take {count:,} bytes, the limit is {MAX_BYTES:,}", "use fewer samples")
    return count
