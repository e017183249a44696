"""Arrays in a safetensors file, written so that the same arrays give the same bytes, and read with distrust.

    8 bytes: length of the header | header: JSON, padded with spaces | the arrays' bytes, one after the other

The header's `__metadata__` holds a note, the SHA-256 of every array, and the SHA-256 of the header itself (taken with
64 zeros in its own place), so that any change of any byte is found. Nothing in the file is ever run, and everything
that the header says is compared with the size of the file before memory is taken.

Source: the safetensors format, version 1; the package of that name reads these files too.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.errors import TrainingError

Array: TypeAlias = npt.NDArray[Any]

HEADER_BYTES = 16 * 2**20
DEPTH = 32
DTYPES = {"F64": "<f8", "F32": "<f4", "I32": "<i4", "BOOL": "|b1"}
CODES = {np.dtype(text): code for code, text in DTYPES.items()}
META, NOTE, HASHES, SELF = "__metadata__", "zhdsl", "sha256", "header"
KEYS = {"dtype", "shape", "data_offsets"}


def encode(arrays: Mapping[str, Array], note: str) -> bytes:
    """The file's bytes: a function of its arguments alone.

    Args:
        arrays: by name; float32, float64, int32 or bool.
        note: any text; comes back as it is.
    """
    ordered = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # keeps every array aligned
    blobs, entries, hashes, at = [], {}, {}, 0
    for name in ordered:
        array = np.ascontiguousarray(arrays[name])
        code = CODES[array.dtype.newbyteorder("=")]
        blob = array.astype(DTYPES[code], copy=False).tobytes()
        entries[name] = {"dtype": code, "shape": list(arrays[name].shape), "data_offsets": [at, at + len(blob)]}
        hashes[name] = sha256(blob).hexdigest()
        blobs.append(blob)
        at += len(blob)
    meta = {NOTE: note, HASHES: _compact(hashes), SELF: "0" * 64}
    digest = sha256(_padded({META: meta, **entries})).hexdigest()
    head = _padded({META: {**meta, SELF: digest}, **entries})
    return b"".join([len(head).to_bytes(8, "little"), head, *blobs])


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _padded(header: Any) -> bytes:
    text = _compact(header).encode("utf-8", "surrogatepass")
    return text + b" " * (-len(text) % 8)


# ---------------------------------------------------------------- reading
def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], str]:
    """The arrays and the note of a file.

    Raises:
        TrainingError: it is no file, or not whole, or not one that `encode` made; the message names the path.
    """
    place = Path(path)
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                refuse(place, "it is not a regular file")
            return _read(file, state.st_size, place)
    except OSError as error:
        raise TrainingError(f"{place}: it cannot be read: {error.strerror or error}") from None


def _read(file: BinaryIO, size: int, place: Path) -> tuple[dict[str, Array], str]:
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > HEADER_BYTES or 8 + length > size:
        refuse(place, "its header does not fit into the file")
    head = file.read(length)
    header = _header(head, place)
    meta = header.pop(META)
    _check_entries(header, size - 8 - length, place)
    hashes = parsed(meta[HASHES], place)
    if not isinstance(hashes, dict) or hashes.keys() != header.keys():
        refuse(place, "its hashes do not belong to its arrays")
    arrays = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        arrays[name] = _array(file, name, entry, hashes[name], place)
    return arrays, meta[NOTE]


def refuse(place: Path, cause: str) -> NoReturn:
    """Raises the error for a file that is not as it should be."""
    raise TrainingError(f"{place}: {cause}\nhelp: the file is damaged, or zhdsl did not write it; use another one")


def _header(head: bytes, place: Path) -> dict[str, Any]:
    """The header as `encode` made it: its form, its own hash and the kind of its metadata are checked."""
    try:
        text = head.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        refuse(place, "its header is not text")
    header = parsed(text, place)
    meta = header.get(META) if isinstance(header, dict) else None
    if not isinstance(meta, dict) or meta.keys() != {NOTE, HASHES, SELF} or not all(map(_is_text, meta.values())):
        refuse(place, "it lacks what zhdsl writes into a header")
    if _padded(header) != head:
        refuse(place, "its header has another form than zhdsl writes")
    found = {**header, META: {**meta, SELF: "0" * 64}}
    if sha256(_padded(found)).hexdigest() != meta[SELF]:
        refuse(place, "its header has changed since it was written")
    return {**header, META: meta}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def parsed(text: str, place: Path) -> Any:
    """`json.loads` with a bounded depth, without duplicate keys and without NaN."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) < len(found):
            raise ValueError("one key twice")
        return dict(found)

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number")

    try:
        _check_depth(text)
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except ValueError as error:
        refuse(place, f"its header is not what zhdsl writes ({error})")


def _check_depth(text: str) -> None:
    depth, quoted, escaped = 0, False, False
    for c in text:
        if quoted:
            quoted, escaped = escaped or c != '"', c == "\\" and not escaped
        elif c == '"':
            quoted = True
        elif c in "[{":
            depth += 1
            if depth > DEPTH:
                raise ValueError("nested too deeply")
        elif c in "]}":
            depth -= 1


def _check_entries(entries: Mapping[str, Any], size: int, place: Path) -> None:
    """The arrays lie one after the other and fill the file; their shapes and dtypes say the same as their places."""
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: _start(item[1])):
        if not isinstance(entry, dict) or entry.keys() != KEYS or not _is_text(entry["dtype"]):
            refuse(place, f"the entry of {name!r} is incomplete")
        shape, offsets, dtype = entry["shape"], entry["data_offsets"], DTYPES.get(entry["dtype"])
        if dtype is None or not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
            refuse(place, f"the entry of {name!r} is not understood")
        if offsets != [at, at + math.prod(shape) * np.dtype(dtype).itemsize]:
            refuse(place, f"{name!r} does not lie where its shape says")
        at = offsets[1]
    if at != size:
        refuse(place, f"it holds {size:,} bytes of arrays, its header says {at:,}")


def _start(entry: Any) -> int:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    return offsets[0] if isinstance(offsets, list) and offsets and type(offsets[0]) is int else -1


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and len(values) <= DEPTH and all(type(v) is int and 0 <= v < 2**63 for v in values)


def _array(file: BinaryIO, name: str, entry: Mapping[str, Any], digest: Any, place: Path) -> Array:
    start, end = entry["data_offsets"]
    blob = file.read(end - start)
    if len(blob) != end - start or sha256(blob).hexdigest() != digest:
        refuse(place, f"{name!r} has changed since it was written")
    array = np.frombuffer(bytearray(blob), DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return array.astype(array.dtype.newbyteorder("="), copy=False)
