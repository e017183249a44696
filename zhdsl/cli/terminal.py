"""What goes to a terminal: streams that never crash a command, and text that cannot play tricks on the reader."""

from __future__ import annotations

import os
import sys
import warnings
from io import TextIOWrapper

from zhdsl.errors import Notice

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_CONTROL = [chr(i) for i in (*range(0x20), *range(0x7F, 0xA0)) if chr(i) not in "\n\t"]
_VISIBLE = {ord(c): c.encode("unicode_escape").decode() for c in (*_CONTROL, *_BIDI)}


def printable(text: str) -> str:
    """`text` with control and direction characters shown as escapes (`\\x1b`); lines and tabs stay."""
    return text.translate(_VISIBLE)


def complain(text: str) -> None:
    """Prints an error to standard error; silent where there is none."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        return


def show_notice(message: Warning | str, category: type[Warning], *more: object, **named: object) -> None:
    """Prints a warning as a user reads it: one line, without a place in our code."""
    complain(f"note: {message}")


def prepare_streams() -> None:
    """Makes standard output and error usable: a closed one swallows, a narrow encoding replaces; a notice is a line."""
    warnings.showwarning = show_notice
    warnings.simplefilter("always", Notice)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def settle_streams() -> None:
    """Flushes both; what cannot be written is dropped, so that the interpreter's own last flush cannot fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _nowhere() -> TextIOWrapper:
    return open(os.devnull, "w", encoding="utf-8")
