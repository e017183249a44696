"""Comma-separated text (also `;` or tab) as declared fields, with the line and column of everything that is wrong.

Columns are found by header: field `x` of 2 numbers is `x0, x1` or `x1, x2` (also `x.0` and `x_0`), a field of one
number is `x`. When no header names a field at all, the columns are taken in order, and their number must fit.
A missing or non-finite value is an error, never a guess.
"""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod

import numpy as np

from zhdsl.data.arrays import DTYPES, Array, Arrays, Fields
from zhdsl.data.faults import fault
from zhdsl.errors import TrainingError

MISSING = frozenset(("", "?", "na", "n/a", "nan", "null", "none"))
MAX_FLOAT32 = 3.4028234663852886e38


@dataclass(frozen=True)
class Column:
    """One column that is read: its index in the row, its name, and how its cells become numbers."""

    index: int
    name: str
    parse: Callable[[str], float]


def read_csv(data: bytes, place: str, fields: Fields, header: bool | None = None) -> Arrays:
    """Reads a whole table.

    Args:
        data: UTF-8 text, with or without byte order mark, any line ends, cells quoted by `"` or not.
        place: name of the file, for errors.
        fields: name -> (shape of one sample, kind). An `i32` of one number may be text in the file: its classes are
            numbered in alphabetic order, and `names` of the result has them.
        header: whether the first row names columns; `None` finds out.

    Raises:
        TrainingError: with `file:line, column n`: bad text or quotes, ragged rows, missing columns or values.
    """
    rows = _rows(_text(data, place), place)
    first, second = next(rows, None), next(rows, None)
    if first is None:
        raise fault(place, "it is empty", "put a header and one row per sample in it")
    titled = header if header is not None else second is not None and _is_header(first[1], second[1], fields)
    body = [row for row in ((None if titled else first), second) if row is not None]
    if not body or (second is None and header is None and _all_text(first[1])):
        raise fault(f"{place}:{first[0]}", "it has a header and no rows", "put one row per sample below it")
    titles = [title.strip() for title in first[1]] if titled else []
    places = _places(titles, len(first[1]), fields, place)
    return _collect(chain(body, rows), places, titles, fields, place)


def _text(data: bytes, place: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fault(f"{place}:{line}", f"byte {data[error.start]:#x} is not UTF-8", "save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise fault(f"{place}:{line}", "it holds a NUL character: this is no text", "save it as UTF-8 text")
    return text


def _rows(text: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """(line from 1, cells) of every row that is not blank; all have as many cells as the first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True, skipinitialspace=True)
    width, line = 0, 1
    try:
        for cells in reader:
            if cells:  # a blank line gives none
                width = width or len(cells)
                if len(cells) != width:
                    cause = f"this row has {len(cells)} cells, the first one has {width}"
                    raise fault(f"{place}:{line}", cause, "quote cells that hold a comma, or mend the row")
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise fault(f"{place}:{line}", f"this is not CSV ({error})", 'write a quote inside a cell as ""') from None


def _delimiter(text: str) -> str:
    """Comma, unless the first line has more tabs or semicolons."""
    line = text[: text.find("\n") + 1] or text
    return max(",;\t", key=line.count)


def _is_header(first: Sequence[str], second: Sequence[str], fields: Fields) -> bool:
    """A row of names: a column is text above and a number below, or all is text and a title names a field."""
    changes = any(not _numeric(a) and not _missing(a) and _numeric(b) for a, b in zip(first, second, strict=True))
    named = any(title.strip().lower() in map(str.lower, fields) for title in first)
    return changes or (_all_text(first) and (named or not _all_text(second)))


def _all_text(cells: Sequence[str]) -> bool:
    return all(not _numeric(cell) and not _missing(cell) for cell in cells)


def _missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _numeric(cell: str) -> bool:
    """Whether it is written like a number, even one that is too large."""
    try:
        float(cell)
    except ValueError:
        return False
    return not _missing(cell) and "_" not in cell


def _real(cell: str) -> float:
    """A finite float32, as a float64; Python's `1_000` is refused."""
    value = math.nan if _missing(cell) or "_" in cell else float(cell)
    if not abs(value) <= MAX_FLOAT32:
        raise ValueError
    return value


def _integer(cell: str) -> float:
    value = _real(cell)
    if not value.is_integer() or not -(2**31) <= value < 2**31:
        raise ValueError
    return value


def _truth(cell: str) -> float:
    text = cell.strip().lower()
    if text not in TRUTHS:
        raise ValueError
    return TRUTHS[text]


TRUTHS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}
PARSERS: dict[str, Callable[[str], float]] = {"float": _real, "i32": _integer, "bool": _truth}
NOUNS: dict[Callable[[str], float], str] = {
    _real: "a finite number",
    _integer: "an integer of 32 bits",
    _truth: "true or false",
}


def _places(titles: list[str], width: int, fields: Fields, place: str) -> dict[str, list[int]]:
    """Field -> the columns its numbers come from, in row-major order."""
    sizes = {name: _size(name, fields, place) for name in fields}
    lowered = [title.lower() for title in titles]
    found = {name: _by_title(name, size, fields[name][0] == (), lowered, place) for name, size in sizes.items()}
    if all(found.values()):
        return {name: columns for name, columns in found.items() if columns is not None}
    if any(found.values()) or sum(sizes.values()) != width:
        lacking = next(name for name in fields if not found[name])
        wanted = f"`{lacking}`" if fields[lacking][0] == () else f"`{lacking}0` to `{lacking}{sizes[lacking] - 1}`"
        there = f"{width} columns" + (f" ({', '.join(titles[:20])})" if titles else " without a header")
        needs = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        cause = f"it has {there}; the declared fields need {sum(sizes.values())} ({needs})"
        raise fault(place, cause, f"name the columns of `{lacking}` {wanted}, or let the numbers of columns agree")
    starts = np.cumsum([0, *sizes.values()]).tolist()
    return {name: list(range(start, start + sizes[name])) for name, start in zip(sizes, starts, strict=False)}


def _size(name: str, fields: Fields, place: str) -> int:
    shape = fields[name][0]
    if any(n is None for n in shape):
        raise fault(place, f"field `{name}` has an axis of unknown size", "declare its size, or use an .npz file")
    return prod(n for n in shape if n is not None)


def _by_title(name: str, size: int, scalar: bool, titles: list[str], place: str) -> list[int] | None:
    """Columns of one field by their titles; `None` if they are not all there."""
    base, last = name.lower(), size
    patterns = [[f"{base}{sep}{k}" for k in range(i, i + last)] for i in (0, 1) for sep in ("", ".", "_")]
    for wanted in [[base], *([] if scalar else patterns)] if size == 1 else patterns:
        if set(wanted) <= set(titles):
            twice = next((title for title in wanted if titles.count(title) > 1), None)
            if twice is not None:
                raise fault(place, f"two columns are named `{twice}`", "rename one of them")
            return [titles.index(title) for title in wanted]
    return None


def _collect(
    rows: Iterator[tuple[int, list[str]]], places: dict[str, list[int]], titles: list[str], fields: Fields, place: str
) -> Arrays:
    """Turns rows into arrays: numbers go to one packed buffer a field, text labels are kept until all are known."""
    first = next(rows)
    plan = {k: [Column(i, _title(i, titles), PARSERS[fields[k][1]]) for i in at] for k, at in places.items()}
    texts: dict[str, list[tuple[int, str]]] = {k: [] for k in places if _is_label(k, places, fields, first[1])}
    numbers = {k: array("d") for k in places if k not in texts}
    for line, cells in chain([first], rows):
        for name, buffer in numbers.items():
            _extend(buffer, plan[name], cells, f"{place}:{line}")
        for name, labels in texts.items():
            labels.append((line, cells[places[name][0]].strip()))
    coded = {name: _coded(labels, plan[name][0], place) for name, labels in texts.items()}
    made = {name: _shaped(buffer, fields[name][0], fields[name][1]) for name, buffer in numbers.items()}
    joined = {name: coded[name][0] if name in coded else made[name] for name in fields}
    return Arrays(
        joined, f"file {place}" + _assignment(places, titles), names={name: names for name, (_, names) in coded.items()}
    )


def _assignment(places: dict[str, list[int]], titles: list[str]) -> str:
    """Says which columns became which field, where titles did not say it: the user should see a wrong guess."""
    if not titles or any(titles[at[0]].lower().startswith(name.lower()) for name, at in places.items()):
        return ""
    return "; columns in order: " + ", ".join(f"{k} = {' '.join(titles[i] for i in at)}" for k, at in places.items())


def _title(index: int, titles: list[str]) -> str:
    return f"column {index + 1}" + (f" (`{titles[index]}`)" if titles else "")


def _is_label(name: str, places: dict[str, list[int]], fields: Fields, cells: list[str]) -> bool:
    """Whether an integer field of one number is written as text in the first row."""
    shape, kind = fields[name]
    cell = cells[places[name][0]]
    return shape == () and kind == "i32" and not _numeric(cell) and not _missing(cell)


def _extend(buffer: array[float], columns: list[Column], cells: list[str], place: str) -> None:
    try:
        buffer.extend([column.parse(cells[column.index]) for column in columns])
    except ValueError:
        raise _bad_cell(columns, cells, place) from None


def _bad_cell(columns: list[Column], cells: list[str], place: str) -> TrainingError:
    for column in columns:
        cell = cells[column.index]
        try:
            column.parse(cell)
        except ValueError:
            cause = "the value is missing" if _missing(cell) else f"`{cell[:40]}` is not {NOUNS[column.parse]}"
            return fault(f"{place}, {column.name}", cause, "mend the cell or drop the row: nothing is guessed")
    raise AssertionError("a row that failed has no bad cell")


def _coded(labels: list[tuple[int, str]], column: Column, place: str) -> tuple[Array, tuple[str, ...]]:
    """Text labels as indices into their sorted names."""
    for line, label in labels:
        if _missing(label) or _numeric(label):
            cause = "the label is missing" if _missing(label) else f"`{label[:40]}` is a number among text labels"
            raise fault(f"{place}:{line}, {column.name}", cause, "write every label as text, or every one as a number")
    names = tuple(sorted({label for _, label in labels}))
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[label] for _, label in labels], dtype=np.int32), names


def _shaped(buffer: array[float], shape: tuple[int | None, ...], kind: str) -> Array:
    sizes = tuple(n for n in shape if n is not None)
    return np.frombuffer(buffer, dtype=np.float64).astype(DTYPES[kind]).reshape(-1, *sizes)
