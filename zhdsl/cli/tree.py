"""The syntax tree as indented text: one line for each record, with its place and its plain fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from zhdsl.lang.ast import Module, Syntax

HIDDEN = ("span", "name_span", "source", "comments")


def tree_lines(module: Module) -> Iterator[str]:
    """The whole tree. Its depth is limited by the parser, so it may be walked by recursion."""
    yield from _record(module, "", "")


def _record(record: Syntax, name: str, margin: str) -> Iterator[str]:
    """`then: Binary 3:7 op="+"`, and below it the records it holds."""
    line, column = record.span.source.place(record.span.start)
    values = {f.name: getattr(record, f.name) for f in fields(record) if f.name not in HIDDEN}
    plain = (f"{key}={_text(value)}" for key, value in values.items() if not _holds_records(value))
    yield f"{margin}{name}{' '.join([type(record).__name__, f'{line}:{column}', *plain])}"
    for key, value in values.items():
        if _holds_records(value):
            yield from _inner(key, value, margin + "  ")


def _inner(key: str, value: Any, margin: str) -> Iterator[str]:
    if isinstance(value, Syntax):
        yield from _record(value, f"{key}: ", margin)
    else:
        yield f"{margin}{key}"
        for item in value:
            yield from _record(item, "", margin + "  ")


def _holds_records(value: Any) -> bool:
    return isinstance(value, Syntax) or (isinstance(value, tuple) and any(isinstance(v, Syntax) for v in value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
