"""All error codes of the language: `CODES`, and `explain` for `zh explain Z0312`.

One file for each group, each with a tuple `CODES`; a new group is a file and its name in `GROUPS`.

    Z00xx reading.py   reading a file, limits        Z05xx dtypes.py       dtypes
    Z01xx syntax.py    the grammar                   Z06xx definitions.py  definitions, state, scan
    Z02xx names.py     names, imports                Z07xx recipes.py      recipe and data
    Z03xx axes.py      axes and sizes                Z08xx claims.py       claims
    Z04xx calls.py     calls and statics             Z09xx bounds.py       how large things may become
"""

from __future__ import annotations

from textwrap import fill

from zhdsl.lang.codes import axes, bounds, calls, claims, definitions, dtypes, names, reading, recipes, syntax
from zhdsl.lang.codes.code import Code
from zhdsl.lang.nearest import nearest
from zhdsl.lang.picture import clean

__all__ = ["CODES", "GROUPS", "Code", "explain"]

WIDTH = 100
FILES = (reading, syntax, names, axes, calls, dtypes, definitions, recipes, claims, bounds)
GROUPS: tuple[tuple[Code, ...], ...] = tuple(file.CODES for file in FILES)
CODES: dict[str, Code] = {code.code: code for group in GROUPS for code in group}


def explain(code: str) -> str:
    """What `zh explain CODE` prints: the title, the explanation, an example that gives the error, and it mended.

    Raises:
        KeyError: there is no such code; the argument is a sentence for the user.
    """
    known = CODES.get(code.strip().upper())
    if known is None:
        like = nearest(code.strip().upper(), CODES)
        raise KeyError(f"there is no error {code}" + (f"; did you mean {like}?" if like else ""))
    parts = [f"{known.code}: {known.title}", fill(known.explanation, WIDTH)]
    for title, text in (("For example:", known.example), ("Mended:", known.mended)):
        if text:
            parts += [title, "\n".join(f"    {_short(line)}".rstrip() for line in text.rstrip("\n").split("\n"))]
    return "\n\n".join(parts)


def _short(line: str) -> str:
    return clean(line if len(line) < WIDTH else line[: WIDTH - 1] + "…")
