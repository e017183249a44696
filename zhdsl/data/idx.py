"""IDX files, the format of MNIST and of the sets made in its likeness (Fashion-MNIST, KMNIST), plain or gzipped.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database", section "File formats": two zero bytes, a type
byte, the number of axes, each size as 4 bytes big-endian, then the numbers, big-endian.
"""

from __future__ import annotations

import gzip
import io
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from zhdsl.data.arrays import Array, Arrays, to_kind
from zhdsl.data.digits import part_of
from zhdsl.data.faults import check_bytes, fault
from zhdsl.data.files import listed, read_file
from zhdsl.data.registry import dataset

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
STEMS = {"train": "train", "test": "t10k"}
MNIST = "MNIST database of handwritten digits, Y. LeCun, C. Cortes, C. J. C. Burges, CC BY-SA 3.0"
FASHION = "Fashion-MNIST, H. Xiao, K. Rasul, R. Vollgraf 2017, arXiv:1708.07747, MIT licence"
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def read_idx(data: bytes, place: str) -> Array:
    """The array in an IDX file.

    Args:
        data: the whole file, gzipped or not.
        place: its name, for errors.

    Returns:
        Array of the file's own dtype and shape.

    Raises:
        TrainingError: another format, or a size that is not the one of the numbers that follow. A gzipped file is
            unpacked only as far as its header promises.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) if data.startswith(GZIP) else io.BytesIO(data) as file:
            return _read(file, place)
    except (EOFError, OSError, zlib.error) as error:
        raise fault(place, f"this is no whole gzip file ({error})", "fetch it again") from None


def _read(file: BinaryIO | gzip.GzipFile, place: str) -> Array:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 8:
        raise fault(place, "this is not an IDX file", "it should start with 00 00 08 and the number of axes")
    sizes = file.read(4 * magic[3])
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4))
    dtype = np.dtype(TYPES[magic[2]])
    count = check_bytes(prod(shape) * dtype.itemsize, place)
    numbers = file.read(count)
    if len(sizes) != 4 * magic[3] or len(numbers) != count or file.read(1):
        raise fault(place, f"its header promises shape {list(shape)}, other bytes follow", "fetch it again")
    return np.frombuffer(numbers, dtype=dtype).reshape(shape)


@dataset("mnist")
def mnist(folder: Path, file: str = "mnist", split: str = "all") -> Arrays:
    """The 70,000 images of MNIST, from the four official files in the folder `file`.

    Args:
        folder: the folder of the spec.
        file: folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-…, each also as .gz.
        split: "all" with ready splits "train" (60,000) and "test" (10,000), or one of them.

    Returns:
        image: float32 [B, C=1, H, W], 0 to 1; label: int32 [B].
    """
    return _four_files(folder, file, split, MNIST, ())


@dataset("fashion_mnist")
def fashion_mnist(folder: Path, file: str = "fashion_mnist", split: str = "all") -> Arrays:
    """The 70,000 images of Fashion-MNIST; files and fields as for `mnist`."""
    return _four_files(folder, file, split, FASHION, CLOTHES)


@dataset("idx")
def idx(folder: Path, images: str, labels: str) -> Arrays:
    """Any pair of IDX files: `images` [B, H, W] of bytes, `labels` [B].

    Returns:
        image: float32 [B, C=1, H, W], 0 to 1; label: int32 [B].
    """
    return Arrays(_pair(folder, images, labels), f"files {images}, {labels}", labels="label")


def _four_files(folder: Path, file: str, split: str, attribution: str, classes: tuple[str, ...]) -> Arrays:
    wanted = list(STEMS) if split == "all" else [split]
    if not set(wanted) <= STEMS.keys():
        raise fault("split", f"there is no part `{split}`", 'write "all", "train" or "test"')
    pairs = [[_present(folder, file, f"{STEMS[part]}-{end}") for end in ENDS] for part in wanted]
    parts = [_pair(folder, images, labels) for images, labels in pairs]
    fields = {name: np.concatenate([part[name] for part in parts]) for name in ("image", "label")}
    sizes = np.cumsum([0, *(len(part["label"]) for part in parts)])
    splits = {name: np.arange(a, b) for name, a, b in zip(wanted, sizes[:-1], sizes[1:], strict=True)}
    names = {"label": classes} if classes else {}
    whole = Arrays(fields, attribution, splits, "label", names)
    return whole if split == "all" else part_of(whole, split)


ENDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def _present(folder: Path, file: str, name: str) -> str:
    """The path of the file under one of the names it is found by."""
    there = {entry for entry, _ in listed(folder, file)}
    names = (name, name + ".gz", name.replace("-idx", ".idx"))
    found = next((n for n in names if n in there), None)
    if found is None:
        raise fault(f"{file}/{name}", "there is no such file", f"put {name}.gz of the data set into the folder {file}")
    return f"{file}/{found}"


def _pair(folder: Path, images: str, labels: str) -> dict[str, Array]:
    pixels, classes = (read_idx(read_file(folder, name), name) for name in (images, labels))
    if pixels.ndim != 3 or pixels.dtype != np.uint8:
        raise fault(images, f"{pixels.dtype} {list(pixels.shape)} are no grey images", "name bytes of 3 axes first")
    if classes.ndim != 1 or len(classes) != len(pixels):
        cause = f"shape {list(classes.shape)} does not go with {len(pixels)} images"
        raise fault(labels, cause, "name the labels of the same part")
    check_bytes(pixels.size * 4, images)
    return {"image": pixels[:, None] / np.float32(255), "label": to_kind(classes, "i32", labels)}
