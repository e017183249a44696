"""The library as a whole: everything is explained, has one name, and stands in a room of moderate size."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from zhdsl.lang import ast, parser
from zhdsl.source import Source

ROOMS = sorted((Path(parser.__file__).parent / "stdlib").glob("*.zh"))


def definitions(room: Path) -> list[ast.Definition | ast.Dataset]:
    items = parser.parse(Source(room.name, room.read_text("utf-8"))).items
    return [item for item in items if isinstance(item, ast.Definition | ast.Dataset)]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.stem)
def test_every_definition_has_its_formula_or_meaning_in_the_line_above(room: Path) -> None:
    lines = room.read_text("utf-8").splitlines()
    above = {d.name: lines[d.span.line - 2] for d in definitions(room)}
    assert not [name for name, line in above.items() if not line.startswith("# ") or line.startswith("# --")]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.stem)
def test_a_room_starts_by_saying_what_is_in_it_and_has_readable_lines(room: Path) -> None:
    lines = room.read_text("utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 250
    assert max(map(len, lines)) <= 140


def test_no_name_is_defined_twice() -> None:
    counts = Counter(d.name for room in ROOMS for d in definitions(room))
    assert not [name for name, n in counts.items() if n > 1]


def test_the_library_holds_definitions_only() -> None:
    for room in ROOMS:
        items = parser.parse(Source(room.name, room.read_text("utf-8"))).items
        assert all(isinstance(item, ast.Definition | ast.Dataset) for item in items)
