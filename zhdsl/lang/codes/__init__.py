"""All error codes of the language: `CODES`, and `explain` for `zh explain Z0312`.

One file for each group, each with a tuple `CODES`; a new group is a file and its name in `GROUPS`.

    Z00xx reading.py   reading a file, limits        Z05xx dtypes
    Z01xx syntax.py    the grammar                   Z06xx definitions, state, scan
    Z02xx names        names                         Z07xx recipe and data
    Z03xx axes and sizes                             Z08xx claims
    Z04xx calls and statics
"""

from __future__ import annotations

from textwrap import fill

from zhdsl.lang.codes import reading, syntax
from zhdsl.lang.codes.code import Code
from zhdsl.lang.nearest import nearest
from zhdsl.lang.picture import clean

__all__ = ["CODES", "GROUPS", "Code", "explain"]

WIDTH = 100
GROUPS: tuple[tuple[Code, ...], ...] = (reading.CODES, syntax.CODES)
CODES: dict[str, Code] = {code.code: code for group in GROUPS for code in group}


def explain(code: str) -> str:
    """What `zh explain CODE` prints: the title, the explanation, and an example that gives the error.

    Raises:
        KeyError: there is no such code; the argument is a sentence for the user.
    """
    known = CODES.get(code.strip().upper())
    if known is None:
        like = nearest(code.strip().upper(), CODES)
        raise KeyError(f"there is no error {code}" + (f"; did you mean {like}?" if like else ""))
    parts = [f"{known.code}: {known.title}", fill(known.explanation, WIDTH)]
    if known.example:
        parts.append("For example:")
        parts.append("\n".join(f"    {_short(line)}".rstrip() for line in known.example.rstrip("\n").split("\n")))
    return "\n\n".join(parts)


def _short(line: str) -> str:
    return clean(line if len(line) < WIDTH else line[: WIDTH - 1] + "…")
