"""The same arrays give the same bytes, others can read them, and no damage of any kind goes unnoticed."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from zhdsl.errors import TrainingError
from zhdsl.runtime.tensor_file import HEADER_BYTES, encode, read

ARRAYS = {
    "a.W": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.b": np.array([True, False, True]),
    "step": np.array(7, dtype=np.int32),
    "wide": np.linspace(0, 1, 5),
    "empty": np.zeros((0, 4), np.float32),
    'name with "quotes" and π': np.ones(1, np.float32),
}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "w.safetensors"
    path.write_bytes(data)
    return path


def test_arrays_and_note_come_back(tmp_path: Path) -> None:
    found, note = read(written(tmp_path, encode(ARRAYS, "a note: ≤")))
    assert note == "a note: ≤"
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        found[name][...] = 0  # they are the reader's own


def test_no_arrays_at_all_are_a_file_too(tmp_path: Path) -> None:
    assert read(written(tmp_path, encode({}, "")))[0] == {}


def test_equal_arrays_give_equal_bytes_whatever_their_order() -> None:
    turned = {name: np.array(ARRAYS[name], order="F") for name in reversed(ARRAYS)}
    assert encode(ARRAYS, "n") == encode(turned, "n")


def test_the_package_safetensors_reads_the_file(tmp_path: Path) -> None:
    found = safetensors.numpy.load_file(written(tmp_path, encode(ARRAYS, "n")))
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], array) for name, array in ARRAYS.items())


def test_a_file_of_the_package_safetensors_is_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"a": np.ones(3, np.float32)}, path)
    with pytest.raises(TrainingError, match=r"other\.safetensors: it lacks what zhdsl writes"):
        read(path)


def test_every_bit_matters(tmp_path: Path) -> None:
    data = encode({"a": np.arange(3, dtype=np.float32), "b": np.ones(2, np.bool_)}, "note")
    path = written(tmp_path, data)
    with path.open("r+b", buffering=0) as file:
        for at, bit in itertools.product(range(len(data)), range(8)):
            os.pwrite(file.fileno(), bytes([data[at] ^ 1 << bit]), at)
            with pytest.raises(TrainingError):
                read(path)
            os.pwrite(file.fileno(), data[at : at + 1], at)
    read(path)  # with all bits back in place it is whole


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    data = encode({"a": np.arange(3, dtype=np.float32)}, "note")
    path = written(tmp_path, data)
    for length in reversed(range(len(data))):
        os.truncate(path, length)
        with pytest.raises(TrainingError):
            read(path)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "extended": lambda data: data + b"\0",
    "a zero block": lambda data: data[:-64] + bytes(64),
    "two arrays swapped": lambda data: data[:-8] + data[-4:] + data[-8:-4],
    "twice": lambda data: data + data,
    "text": lambda data: b"model Line(x: [B]) -> [B] { return x }\n",
    "nothing": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_other_damage_is_noticed(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = encode({"a": np.arange(100, dtype=np.float32)}, "note")
    with pytest.raises(TrainingError, match=r"w\.safetensors: .*\nhelp: "):
        read(written(tmp_path, damage(data)))


def test_random_bytes_end_in_an_error_and_nothing_else(tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(150):
        length = draw.randrange(0, 200)
        junk = (draw.randrange(0, 200)).to_bytes(8, "little") + b"{" * draw.randrange(3) + draw.randbytes(length)
        with pytest.raises(TrainingError):
            read(written(tmp_path, junk))


# ---------------------------------------------------------------- headers made by an enemy, with valid hashes
def forged(entries: dict[str, Any], body: bytes = b"", text: str | None = None) -> bytes:
    """A file whose header is as wished, and whose hashes are right."""

    def padded(header: Any) -> bytes:
        found = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return found + b" " * (-len(found) % 8)

    digests = {}
    for name, entry in entries.items():
        start, end = (entry.get("data_offsets") or [0, 0])[:2] if isinstance(entry, dict) else (0, 0)
        digests[name] = sha256(body[start:end]).hexdigest()
    meta = {"zhdsl": "", "sha256": json.dumps(digests, sort_keys=True, separators=(",", ":")), "header": "0" * 64}
    meta["header"] = sha256(padded({"__metadata__": meta, **entries})).hexdigest()
    head = text.encode() if text is not None else padded({"__metadata__": meta, **entries})
    return len(head).to_bytes(8, "little") + head + body


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_forger_of_these_tests_can_make_a_good_file(tmp_path: Path) -> None:
    found, _ = read(written(tmp_path, forged({"a": entry()}, np.ones(2, np.float32).tobytes())))
    assert found["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"a": entry(shape=(2**62, 4))}, "does not lie where its shape says"),
        ({"a": entry(shape=(3,))}, "does not lie where its shape says"),
        ({"a": entry(shape=(-2,))}, "is not understood"),
        ({"a": entry(shape=(2.0,))}, "is not understood"),
        ({"a": entry(shape=(True, 2))}, "is not understood"),
        ({"a": entry(shape=(1,) * 40 + (2,))}, "is not understood"),
        ({"a": entry(dtype="F8_E4M3")}, "is not understood"),
        ({"a": entry(dtype=7)}, "is incomplete"),
        ({"a": entry(offsets=(0, 8, 8))}, "is not understood"),
        ({"a": entry(offsets=(4, 12))}, "does not lie"),
        ({"a": entry(offsets=(8, 0))}, "does not lie"),
        ({"a": entry(shape=(1,), offsets=(0, 4)), "b": entry(shape=(1,), offsets=(0, 4))}, "does not lie"),
        ({"a": entry(shape=(1,), offsets=(0, 4))}, "8 bytes of arrays, its header says 4"),
        ({"a": {**entry(), "extra": 1}}, "is incomplete"),
        ({"a": [1, 2]}, "is incomplete"),
        ({}, "8 bytes of arrays, its header says 0"),
    ],
)
def test_entries_that_lie_are_refused_before_memory_is_taken(entries: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=says):
        read(written(tmp_path, forged(entries, bytes(8))))


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":1}', "[" * 100_000, '{"a":' * 33 + "1" + "}" * 33, '{"a":NaN}', "[]", "7", '{"__metadata__":7}', "{"],
    ids=lambda text: text[:20],
)
def test_headers_that_are_not_ours_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"w\.safetensors: "):
        read(written(tmp_path, forged({}, text=text)))


def test_a_header_of_any_length_is_refused_without_being_read(tmp_path: Path) -> None:
    path = written(tmp_path, (HEADER_BYTES + 1).to_bytes(8, "little"))
    os.truncate(path, 100 * 2**30)  # sparse: no disk is used
    with pytest.raises(TrainingError, match="its header does not fit"):
        read(path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(TrainingError, match=r"not a regular file|cannot be read"):
            read(path)
    with pytest.raises(TrainingError, match="No such file"):
        read(tmp_path / "gone.safetensors")
