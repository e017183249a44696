"""Text that knows where it may be broken, and `render`, which breaks it to fit a width.

A document is a string, a tuple of documents, or one of the records below. A `Group` is written on one line if it fits,
else every `Line` that is directly in it becomes a line end. Source: Wadler, "A prettier printer", 2003; the look-ahead
is Prettier's: what follows a group counts up to its first possible line end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

STEP = 2  # columns of one `Nest`


@dataclass(frozen=True, slots=True)
class Line:
    """A line end if the group around it is broken, else `flat`."""

    flat: str = " "


@dataclass(frozen=True, slots=True)
class Nest:
    """Lines inside are indented by `steps` more."""

    doc: Doc
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    doc: Doc


@dataclass(frozen=True, slots=True)
class IfBroken:
    """Text that stands only where the group around it is broken."""

    text: str


Doc = str | Line | Nest | Group | IfBroken | tuple["Doc", ...]
Task = tuple[int, bool, Doc]  # indent, whether it is broken, what is to be written


def join(docs: Iterable[Doc], separator: Doc) -> Doc:
    """The documents with `separator` between them."""
    parts: list[Doc] = []
    for doc in docs:
        parts += [separator, doc] if parts else [doc]
    return tuple(parts)


def bracketed(left: str, docs: Iterable[Doc], right: str) -> Doc:
    """`[a, b]` on one line, or each part on a line of its own."""
    parts = list(docs)
    if not parts:
        return left + right
    return Group((left, Nest((Line(""), join(parts, (",", Line())))), Line(""), right))


def flat(doc: Doc) -> str:
    """The document on one line."""
    return "".join(render(doc, 10**9))


def render(doc: Doc, width: int, indent: int = 0) -> list[str]:
    """The lines of a document, the first and all others indented by `indent` columns."""
    lines, column = [" " * indent], indent
    tasks: list[Task] = [(indent, True, doc)]
    while tasks:
        left, broken, doc = tasks.pop()
        if isinstance(doc, Line) and broken:
            lines.append(" " * left)
            column = left
        elif isinstance(doc, Group):
            tasks.append((left, not _fits(doc.doc, tasks, left, width - column), doc.doc))
        elif isinstance(doc, str | Line | IfBroken):
            text = _text(doc, broken)
            lines[-1] += text
            column += len(text)
        else:
            tasks += _parts(left, broken, doc)
    return [line.rstrip() for line in lines]


def _parts(left: int, broken: bool, doc: Nest | tuple[Doc, ...]) -> list[Task]:
    """What a nest or a sequence consists of, the first part last."""
    if isinstance(doc, Nest):
        return [(left + STEP * doc.steps, broken, doc.doc)]
    return [(left, broken, part) for part in reversed(doc)]


def _text(doc: str | Line | IfBroken, broken: bool) -> str:
    if isinstance(doc, Line):
        return doc.flat
    return doc if isinstance(doc, str) else doc.text if broken else ""


def _fits(doc: Doc, rest: list[Task], left: int, room: int) -> bool:
    """Whether `doc`, flat, and what follows it up to the first possible line end fit into `room` columns."""
    tasks: list[Task] = [(left, False, doc)]
    below = len(rest)
    while room >= 0:
        if not tasks:
            if not below:
                return True
            below -= 1
            tasks.append(rest[below])
        left, broken, doc = tasks.pop()
        if isinstance(doc, Line) and broken:
            return True
        if isinstance(doc, Group):
            tasks.append((left, broken, doc.doc))
        elif isinstance(doc, str | Line | IfBroken):
            room -= len(_text(doc, broken))
        else:
            tasks += _parts(left, broken, doc)
    return False
