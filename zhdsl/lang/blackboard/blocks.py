"""The lines of a printed derivative, by the lines of the spec that they come from.

    # forward
    h = tanh(x @ W)          # net.zh:3        Statement(…, "net.zh:3", forward=True)
    # backward
    d_W = sum[B](dy * x)     # net.zh:3        Statement(…, "net.zh:3", forward=False)

A line without a place belongs to that of the line before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from zhdsl.ir.graph import Graph
from zhdsl.lang import ast

PLACE = re.compile(r"# (\S+:\d+)$")


@dataclass(frozen=True)
class Statement:
    """One line of the program. `place`: `net.zh:3`, or empty before the first one."""

    stmt: ast.Stmt
    place: str
    forward: bool


def statements(module: ast.Module) -> Iterator[Statement]:
    """The lines of the one definition of a module."""
    (definition,) = module.items
    assert isinstance(definition, ast.Definition)
    sections = {c.span.line: c.text for c in module.comments if c.text in ("# forward", "# backward")}
    places = {c.span.line: found[1] for c in module.comments if (found := PLACE.match(c.text))}
    place, before = next(iter(places.values()), ""), 0
    forward = True
    for stmt in definition.body:
        for line in range(before, stmt.span.line):
            forward = sections.get(line, "# forward" if forward else "# backward") == "# forward"
        before = stmt.span.line
        place = places.get(stmt.span.line, place)
        yield Statement(stmt, place, forward)


def source_lines(graph: Graph) -> Mapping[str, str]:
    """What stands in the spec at each place, `net.zh:3`."""
    found = {}
    for origins in graph.origins.values():
        for origin in origins:
            span = origin.span
            found[f"{PurePosixPath(span.source.name).name}:{span.line}"] = span.source.line(span.line).strip()
    return found
