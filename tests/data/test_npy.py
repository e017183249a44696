"""The reader of .npy and .npz: agrees with NumPy on honest files, and says no to all others."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zhdsl.data import npy
from zhdsl.errors import TrainingError

DTYPES = [f"{order}{kind}" for order in "<>" for kind in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")]


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


@given(st.sampled_from([*DTYPES, "|b1", "|i1", "|u1"]), hnp.array_shapes(min_dims=0, min_side=0), st.booleans())
def test_any_plain_array_is_read_as_numpy_reads_it(dtype: str, shape: tuple[int, ...], fortran: bool) -> None:
    values = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    array = np.asfortranarray(values) if fortran else values
    for version in ((1, 0), (2, 0)):
        got = npy.read_npy(saved(array, version), "x.npy")
        assert got.dtype == array.dtype
        assert np.array_equal(got, array)
        assert got.shape == array.shape


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('a pickle ran')",)


def header(text: str, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + body


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(np.array([Evil()], dtype=object)), "Python objects"),
        (pickle.dumps(Evil()), "not an .npy file"),
        (b"", "not an .npy file"),
        (b"\x93NUMPY\x03\x00", "not an .npy file of version 1 or 2"),
        (saved(np.zeros(3))[:-1], "promises shape .3. of float64, but 23 bytes follow"),
        (saved(np.zeros(3)) + b"\0", "25 bytes follow"),
        (saved(np.zeros(3))[:20], "cut off"),
        (saved(np.zeros(2, dtype=[("a", "f4")])), "not that of a plain array"),
        (saved(np.zeros(2, dtype="c8")), "no real numbers"),
        (saved(np.array(["a"])), "no real numbers"),
        (saved(np.zeros(2, dtype="M8[s]")), "no real numbers"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000), }"), "promises shape"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "plain array"),
        (header("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }"), "plain array"),
        (header("(" * 9000), "plain array"),
        (b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b"{", "cut off or too long"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 40 + "), }", bytes(4)), "shape"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 4301 + ",), }"), "plain array|shape"),
    ],
)
def test_a_file_that_is_no_plain_array_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        npy.read_npy(data, "x.npy")


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_gives_the_arrays_asked_for_and_names_the_others(save: Any) -> None:
    file = io.BytesIO()
    save(file, x=np.arange(3), evil=np.array([Evil()], dtype=object), y=np.ones((2, 2)))
    got = npy.read_npz(file.getvalue(), ("y", "x", "z"), "a.npz")
    assert {name: values.tolist() for name, values in got.items()} == {"y": [[1, 1], [1, 1]], "x": [0, 1, 2]}
    assert npy.names_in_npz(file.getvalue(), "a.npz") == ["evil", "x", "y"]


def test_a_bomb_is_refused_by_its_declared_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npy, "HARMLESS", 2**20)
    bomb = archive({"x.npy": saved(np.zeros(2**19))})
    assert len(bomb) < 10_000
    with pytest.raises(TrainingError, match="zip bomb"):
        npy.read_npz(bomb, ("x",), "a.npz")
    with pytest.raises(TrainingError, match="zip bomb"):
        npy.read_npz(bomb, (), "a.npz")  # unread members count


def test_a_member_that_unpacks_to_more_than_it_declares_is_refused() -> None:
    data = archive({"x.npy": saved(np.zeros(2**16))})
    size = (len(saved(np.zeros(2**16)))).to_bytes(4, "little")
    assert data.count(size) == 2
    with pytest.raises(TrainingError):
        npy.read_npz(data.replace(size, (200).to_bytes(4, "little")), ("x",), "a.npz")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04", "no whole .npz file"),
        (archive({"x.npy": saved(np.zeros(9))})[:-10], "no whole .npz file"),
        (archive({"x.npy": saved(np.zeros(9))}, zipfile.ZIP_LZMA), "packed unusually"),
        (archive({f"{i}.npy": b"" for i in range(1001)}), "1001 members"),
        (archive({"x.npy": b"junk"}), "a.npz, array `x`: this is not an .npy file"),
    ],
)
def test_an_archive_that_is_not_whole_and_plain_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        npy.read_npz(data, ("x",), "a.npz")


def test_a_flipped_byte_never_passes_silently() -> None:
    array = np.arange(40.0)
    data = archive({"x.npy": saved(array)}, zipfile.ZIP_STORED)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x40
        try:
            got = npy.read_npz(bytes(broken), ("x",), "a.npz")
        except TrainingError:
            continue
        assert "x" not in got or np.array_equal(got["x"], array)
