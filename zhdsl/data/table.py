"""The file behind a data set that a spec declares itself: `read_table` finds the declared fields in it.

    dataset wine[file = "wine.csv"] -> (x: [B, F=13], label: i32[B])

`.npz` gives arrays by name, `.npy` one array, `.csv` and `.tsv` columns by header or in order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from zhdsl.data.arrays import Array, Arrays, Fields, conform
from zhdsl.data.csv_table import read_csv
from zhdsl.data.faults import fault
from zhdsl.data.files import read_file
from zhdsl.data.npy import names_in_npz, read_npy, read_npz

MAX_TEXT_BYTES = 512 * 2**20


def read_table(path: str, fields: Fields, folder: Path) -> Arrays:
    """Reads the declared fields from a file of the user.

    Args:
        path: relative to `folder`, inside it, ending in .npz, .npy, .csv or .tsv.
        fields: name -> (shape of one sample, kind "float", "i32" or "bool"), as declared.
        folder: the folder of the spec.

    Returns:
        Arrays of float32, int32 and bool; for text labels `names[field]` says which index stands for which text.

    Raises:
        TrainingError: the path is not allowed, or the file is not what was declared; names file, line and column.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in READERS:
        raise fault(path, f"files that end in `{suffix}` are not tables", f"use one of {', '.join(READERS)}")
    return READERS[suffix](path, fields, folder)


def _csv(path: str, fields: Fields, folder: Path) -> Arrays:
    return read_csv(read_file(folder, path, MAX_TEXT_BYTES), path, fields)


def _npz(path: str, fields: Fields, folder: Path) -> Arrays:
    data = read_file(folder, path)
    found = read_npz(data, fields, path)
    missing = [name for name in fields if name not in found]
    if missing:
        there = ", ".join(f"`{name}`" for name in names_in_npz(data, path)[:20]) or "none"
        raise fault(path, f"there is no array `{missing[0]}`; there are {there}", "name the arrays like the fields")
    return _arrays(found, fields, path)


def _npy(path: str, fields: Fields, folder: Path) -> Arrays:
    if len(fields) != 1:
        raise fault(path, f"an .npy file holds one array, {len(fields)} fields are declared", "use an .npz file")
    return _arrays({next(iter(fields)): read_npy(read_file(folder, path), path)}, fields, path)


def _arrays(found: dict[str, Array], fields: Fields, path: str) -> Arrays:
    return Arrays(conform(found, fields, path), f"file {path}")


READERS: dict[str, Callable[[str, Fields, Path], Arrays]] = {".npz": _npz, ".npy": _npy, ".csv": _csv, ".tsv": _csv}
