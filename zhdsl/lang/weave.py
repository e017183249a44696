"""Comments and blank lines put back between formatted lines, by their places in the source.

`format` writes a tree as `Chunk`s without comments; `weave` brings each comment where it belongs: behind the line whose
source it stood behind, else on a line of its own before the next chunk; out of the middle of a chunk before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from zhdsl.lang import ast
from zhdsl.source import Source


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines that come from one stretch of the source: a simple statement, a header up to its `{`, or a `}`."""

    lines: tuple[str, ...]
    start: int
    end: int
    indent: int
    opens: bool = False  # ends with the `{` of a body
    closes: bool = False  # begins with the `}` of one
    before: bool = False  # wants a blank line before it, or before the comments that stand right before it
    after: bool = False  # wants one after it


@dataclass(slots=True)
class _Element:
    """A chunk or a comment line on its way out."""

    lines: list[str]
    row: int  # its first line in the source
    last: int  # its last one
    chunk: Chunk | None = None
    blank: bool = False  # a blank line comes before it


def weave(source: Source, chunks: Sequence[Chunk], comments: Sequence[ast.Comment]) -> list[str]:
    """The lines of all chunks and comments in order."""
    elements: list[_Element] = []
    left = list(reversed(comments))
    for chunk in chunks:
        while left and left[-1].span.start < chunk.end:
            _add(elements, left.pop(), chunk, source)
        _append(elements, _Element(list(chunk.lines), _row(source, chunk.start), _row(source, chunk.end - 1), chunk))
    while left:
        _add(elements, left.pop(), None, source)
    _separate(elements)
    return list(_lines(elements))


def _row(source: Source, offset: int) -> int:
    return source.place(max(offset, 0))[0]


def _add(elements: list[_Element], comment: ast.Comment, chunk: Chunk | None, source: Source) -> None:
    """Put a comment behind the last element or on a line of its own; `chunk` is what comes next."""
    text, row = comment.text.rstrip(), comment.span.line
    last = elements[-1].chunk if elements else None
    outside = chunk is None or comment.span.start < chunk.start
    if outside and last is not None and elements[-1].last == row:
        elements[-1].lines[-1] += f"  {text}"
        elements[-1].chunk = replace(last, end=comment.span.end)
        return
    indent = 0 if chunk is None else chunk.indent + 2 * chunk.closes
    first = row if chunk is None else min(row, _row(source, chunk.start))
    _append(elements, _Element([" " * indent + text], first, first))


def _append(elements: list[_Element], element: _Element) -> None:
    """A blank line stays if the source has one or more, but not at the ends of a body."""
    if elements:
        before = elements[-1]
        edge = (before.chunk and before.chunk.opens) or (element.chunk and element.chunk.closes)
        element.blank = not edge and element.row - before.last > 1
    elements.append(element)


def _separate(elements: list[_Element]) -> None:
    """The blank lines that chunks ask for."""
    for place, element in enumerate(elements):
        if element.chunk and element.chunk.after and place + 1 < len(elements):
            elements[place + 1].blank = True
        if element.chunk and element.chunk.before:
            while place and elements[place - 1].chunk is None and not elements[place].blank:
                place -= 1
            elements[place].blank = place > 0


def _lines(elements: list[_Element]) -> Iterator[str]:
    for element in elements:
        if element.blank:
            yield ""
        yield from element.lines
