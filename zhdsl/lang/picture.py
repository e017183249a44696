"""`draw`: a diagnostic as plain text, with the lines it is about and marks under the places.

    error Z0312: axes do not agree                                             resnet.zh:6:15
    6 |   return relu(main + skip)
      |               ~~~~   ~~~~ skip: [B, C=16, H=32, W=32]
      |               main: [B, C=16, H=16, W=16]
    help: the shortcut must also stride: test `N == C and stride == 1`

The text is the user's, so nothing of it reaches the terminal that could move the cursor or hide what is there.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from itertools import accumulate

from zhdsl.errors import Diagnostic
from zhdsl.source import Source, Span

HEADER = 89  # columns; the place ends here
WIDTH = 120  # columns of a picture, except where a note is longer
CONTEXT = 30  # columns shown before the first mark of a line that is cut
LONGEST = 600  # characters of a message, a help or a note
TAB = 4


def draw(diagnostic: Diagnostic) -> str:
    """The picture of one diagnostic; lines without trailing spaces, no newline at the end."""
    notes = [note for note in diagnostic.notes if note[0] is not None]
    marks = [mark for span, text in [(diagnostic.span, ""), *notes] if span for mark in _marks(span, text)]
    groups = _grouped(marks)
    gutter = max((len(str(group[0].line)) for group in groups), default=1)
    lines = [_header(diagnostic)]
    shown = diagnostic.span.source.name if diagnostic.span else ""
    for group in groups:
        if group[0].source.name != shown:
            shown = group[0].source.name
            lines.append(f"{' ' * gutter}in {clean(shown)}:{group[0].line}")
        lines += _block(group, gutter)
    lines += [f"note: {clean(text)}" for span, text in diagnostic.notes if span is None]
    if diagnostic.help:
        lines.append(f"help: {clean(diagnostic.help)}")
    return "\n".join(line.rstrip() for line in lines)


def clean(text: str) -> str:
    """Text for one line of a terminal: no control, reordering or invisible characters, not endlessly long."""
    shown = "".join(map(_visible, text.replace("\n", " ").replace("\t", " ")))
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _header(diagnostic: Diagnostic) -> str:
    title = f"error {diagnostic.code}: {clean(diagnostic.message)}"
    place = clean(str(diagnostic.span)) if diagnostic.span else ""
    return f"{title}  {place.rjust(HEADER - len(title) - 2)}" if place else title


# ---------------------------------------------------------------- marks
@dataclass(frozen=True)
class _Mark:
    """A part of one line, as character indices into it, and the text to write beside it."""

    source: Source
    line: int
    start: int
    end: int
    text: str


def _marks(span: Span, text: str) -> list[_Mark]:
    """One mark; for a span of several lines one on its first and one, with the text, on its last line."""
    source, size = span.source, len(span.source.text)
    start = min(max(span.start, 0), size)
    end = min(max(span.end, start), size)
    while end > start and source.text[end - 1] in "\r\n":
        end -= 1
    first, column = source.place(start)
    last, stop = source.place(end)
    if first == last:
        return [_Mark(source, first, column - 1, max(stop - 1, column), text)]
    begin = source.line(first)
    indent = len(source.line(last)) - len(source.line(last).lstrip())
    return [
        _Mark(source, first, column - 1, max(len(begin), column), ""),
        _Mark(source, last, min(indent, stop - 1), max(stop - 1, indent + 1), text),
    ]


def _grouped(marks: list[_Mark]) -> list[list[_Mark]]:
    """Marks of one line that fit into one picture of it stand together, in the order of the first of them."""
    groups: list[list[_Mark]] = []
    for mark in marks:
        for group in groups:
            same = group[0].source is mark.source and group[0].line == mark.line
            if same and _spread([*group, mark]) <= WIDTH - 2 * CONTEXT:
                group.append(mark)
                break
        else:
            groups.append([mark])
    return groups


def _spread(marks: list[_Mark]) -> int:
    return max(mark.end for mark in marks) - min(mark.start for mark in marks)


# ---------------------------------------------------------------- blocks
def _block(marks: list[_Mark], gutter: int) -> list[str]:
    """The line, the marks under it with the text of the rightmost, then the other texts."""
    line, places = _line(marks, WIDTH - gutter - 3)
    merged = _merged(places)
    under = ""
    for mark in merged:
        under = under.ljust(mark.start) + "~" * (mark.end - max(mark.start, len(under)))
    texts = [mark for mark in reversed(merged) if mark.text]
    if texts and texts[0] is merged[-1]:
        under += " " + clean(texts.pop(0).text)
    rows = [under, *(" " * mark.start + clean(mark.text) for mark in texts)]
    number = str(marks[0].line).rjust(gutter)
    return [f"{number} | {line}", *(f"{' ' * gutter} | {row}" for row in rows)]


def _merged(marks: list[_Mark]) -> list[_Mark]:
    """In order of place; marks of the same place become one, with the texts joined."""
    found: dict[tuple[int, int], _Mark] = {}
    for mark in marks:
        known = found.get((mark.start, mark.end), replace(mark, text=""))
        text = "; ".join(filter(None, (known.text, mark.text)))
        found[mark.start, mark.end] = replace(known, text=text)
    return [found[key] for key in sorted(found)]


def _line(marks: list[_Mark], width: int) -> tuple[str, list[_Mark]]:
    """The line as shown, cut to `width` columns around the marks, and the marks in columns of what is shown."""
    cells = _cells(marks[0].source.line(marks[0].line))
    columns = [0, *accumulate(_width(cell) for cell in cells)]
    places = [replace(m, start=_column(columns, m.start), end=_column(columns, m.end)) for m in marks]
    if columns[-1] <= width:
        return "".join(cells), places
    return _cut(cells, columns, places, width)


def _cut(cells: list[str], columns: list[int], marks: list[_Mark], width: int) -> tuple[str, list[_Mark]]:
    left = max(min(mark.start for mark in marks) - CONTEXT, 0)
    left = max(min(left, columns[-1] - width + 4), 0)
    kept = [i for i in range(len(cells)) if left <= columns[i] and columns[i + 1] <= left + width - 4]
    first, last = kept[0], kept[-1]
    before, after = "… " if first else "", " …" if last + 1 < len(cells) else ""
    shift = len(before) - columns[first]
    end = columns[last + 1] + shift
    text = before + "".join(cells[first : last + 1]) + after
    return text, [replace(m, start=min(m.start + shift, end), end=min(m.end + shift, end + 1)) for m in marks]


def _column(columns: list[int], index: int) -> int:
    """Column of a character; past the end of the line the columns go on."""
    return columns[index] if index < len(columns) else columns[-1] + index - len(columns) + 1


def _cells(line: str) -> list[str]:
    """What is shown for each character of a line: itself, the spaces of a tab, or a stand-in."""
    cells: list[str] = []
    column = 0
    for character in line:
        cell = " " * (TAB - column % TAB) if character == "\t" else _visible(character)
        cells.append(cell)
        column += _width(cell)
    return cells


def _visible(character: str) -> str:
    """The character, or a stand-in of one column if it is not for printing."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return character if character == " " or character.isprintable() else "\ufffd"


def _width(cell: str) -> int:
    """Columns of a terminal: two for wide characters, none for combining ones."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in cell)
