"""NumPy's `.npy` and `.npz` files, read without NumPy's loader: no pickle, no evaluation, no allocation on trust.

The header of a `.npy` is a Python literal; here it is matched by one regular expression, so a header that says
anything but dtype, order and shape is refused. Sizes are compared with what is really there, in Python integers,
before anything is allocated. In a `.npz`, a zip of such files, only the arrays asked for are unpacked.

Source: NumPy enhancement proposal 1, "A simple file format for NumPy arrays".
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable
from math import prod
from typing import Any, TypeAlias
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from zhdsl.data.faults import check_bytes, fault

Array: TypeAlias = npt.NDArray[Any]

MAX_MEMBERS = 1000
MAX_HEADER = 10_000
# An honest file of mostly zeros packs well, a bomb packs 1,000 to 1: below this many bytes nobody is harmed.
HARMLESS = 256 * 2**20
MAX_RATIO = 200

_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<dtype>[^']{1,20})',\s*'fortran_order':\s*(?P<fortran>True|False),"
    r"\s*'shape':\s*\((?P<shape>(?:\d{1,18}, ?)*(?:\d{1,18})?)\),?\s*\}\s*",
    re.ASCII,
)
_DTYPE = re.compile(r"[<>|=][biuf](1|2|4|8)", re.ASCII)
_MAGIC = b"\x93NUMPY"


def read_npy(data: bytes, place: str) -> Array:
    """The array in the bytes of a `.npy` file.

    Args:
        data: the whole file.
        place: its name, for errors.

    Returns:
        The array, any real dtype, byte order and layout, read-only.

    Raises:
        TrainingError: not such a file; objects (pickles), structures, text or complex numbers; a size that is not the
            one of the bytes that follow.
    """
    header, start = _header(data, place)
    match = _HEADER.fullmatch(header)
    if match is None:
        raise fault(place, "its header is not that of a plain array", "save one with `numpy.save`, without structures")
    dtype = _dtype(match["dtype"], place)
    shape = tuple(int(n) for n in match["shape"].replace(" ", "").split(",") if n)
    count = prod(shape)
    if count * dtype.itemsize != len(data) - start or len(shape) > 16:
        cause = f"its header promises shape {list(shape)} of {dtype}, but {len(data) - start:,} bytes follow"
        raise fault(place, cause, "the file is cut off or damaged: make it again")
    flat = np.frombuffer(data, dtype=dtype, offset=start)
    return flat.reshape(shape, order="F" if match["fortran"] == "True" else "C")


def _header(data: bytes, place: str) -> tuple[str, int]:
    """The text of the header and the offset of the first number."""
    version = data[6:8]
    if not data.startswith(_MAGIC) or version not in (b"\x01\x00", b"\x02\x00"):
        raise fault(place, "this is not an .npy file of version 1 or 2", "save it with `numpy.save`")
    wide = 2 if version == b"\x01\x00" else 4
    start = 8 + wide + int.from_bytes(data[8 : 8 + wide], "little")
    if start > min(len(data), MAX_HEADER):
        raise fault(place, "its header is cut off or too long", "the file is damaged: make it again")
    return data[8 + wide : start].decode("latin-1"), start


def _dtype(text: str, place: str) -> np.dtype[Any]:
    if "O" in text:
        raise fault(place, "it holds Python objects, which only a pickle can carry", "save numbers: `x.astype('f4')`")
    if not _DTYPE.fullmatch(text) or text[1:] in ("b2", "b4", "b8", "f1"):
        raise fault(place, f"dtype {text} holds no real numbers", "save numbers; text labels belong in a .csv")
    return np.dtype(text)


def read_npz(data: bytes, names: Iterable[str], place: str) -> dict[str, Array]:
    """Those of the arrays `names` that are in the bytes of an `.npz` file; others are not unpacked.

    Returns:
        name -> array, as `read_npy` gives them. Names that the file lacks are absent; `conform` reports them.

    Raises:
        TrainingError: not a zip, damaged, packed in an unusual way, or would unpack to more than the limits.
    """
    try:
        with ZipFile(io.BytesIO(data)) as file:
            members = _members(file, len(data), place)
            wanted = [name for name in names if name in members]
            return {name: read_npy(_unpacked(file, members[name]), f"{place}, array `{name}`") for name in wanted}
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError, zlib.error) as error:
        raise fault(place, f"this is no whole .npz file ({error})", "save it with `numpy.savez`") from None


def names_in_npz(data: bytes, place: str) -> list[str]:
    """Names of the arrays in an `.npz` file, sorted. Raises as `read_npz`."""
    try:
        with ZipFile(io.BytesIO(data)) as file:
            return sorted(_members(file, len(data), place))
    except (BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise fault(place, f"this is no whole .npz file ({error})", "save it with `numpy.savez`") from None


def _members(file: ZipFile, size: int, place: str) -> dict[str, ZipInfo]:
    """Array name -> member, after all declared sizes were found harmless."""
    infos = file.infolist()
    members = {info.filename.removesuffix(".npy"): info for info in infos if info.filename.endswith(".npy")}
    total = check_bytes(sum(info.file_size for info in infos), place, "unpacked, it")
    if total > max(HARMLESS, MAX_RATIO * size):
        cause = f"{size:,} bytes would unpack to {total:,}: this looks like a zip bomb"
        raise fault(place, cause, "if it is yours, save it with `numpy.savez` instead of `savez_compressed`")
    if len(infos) > MAX_MEMBERS or len({info.filename for info in infos}) < len(infos):
        raise fault(place, f"it has {len(infos)} members, too many or with equal names", "save fewer arrays")
    for info in infos:
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or info.flag_bits & 1:
            raise fault(place, f"`{info.filename}` is encrypted or packed unusually", "save it with `numpy.savez`")
    return members


def _unpacked(file: ZipFile, info: ZipInfo) -> bytes:
    with file.open(info) as member:
        return member.read(info.file_size)
