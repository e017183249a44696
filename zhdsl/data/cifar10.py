"""CIFAR-10 from its *binary* files (the Python version is pickles, which are never read).

Source: A. Krizhevsky 2009, "Learning multiple layers of features from tiny images": records of 1 byte label and
3 × 32 × 32 bytes, red, green, blue planes, row-major.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.faults import fault
from zhdsl.data.files import read_file
from zhdsl.data.registry import dataset

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ATTRIBUTION = "CIFAR-10, A. Krizhevsky, V. Nair, G. Hinton 2009, University of Toronto"
FILES = {"train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test": ("test_batch.bin",)}
RECORD = 1 + 3 * 32 * 32


@dataset("cifar10")
def cifar10(folder: Path, file: str = "cifar-10-batches-bin", split: str = "train") -> Arrays:
    """60,000 colour images of 32×32 pixels in 10 classes, from the official binary files in the folder `file`.

    Args:
        folder: the folder of the spec.
        file: folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin, as `cifar-10-binary.tar.gz` has it.
        split: "train" (50,000), "test" (10,000), or "all" with both as ready splits.

    Returns:
        image: float32 [B, C=3, H=32, W=32], 0 to 1; label: int32 [B].
    """
    if split not in (*FILES, "all"):
        raise fault("split", f"there is no part `{split}`", 'write "train", "test" or "all"')
    parts = {name: _records(folder, file, names) for name, names in FILES.items() if split in (name, "all")}
    records = np.concatenate(list(parts.values()))
    image: Array = records[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255)
    fields: dict[str, Array] = {"image": image, "label": records[:, 0].astype(np.int32)}
    sizes = np.cumsum([0, *map(len, parts.values())])
    ready = {name: np.arange(a, b) for name, a, b in zip(parts, sizes[:-1], sizes[1:], strict=True)}
    return Arrays(fields, ATTRIBUTION, ready if split == "all" else None, "label", {"label": CLASSES})


def _records(folder: Path, file: str, names: tuple[str, ...]) -> Array:
    """uint8 [B, RECORD] of some files."""
    return np.concatenate([_one_file(folder, f"{file}/{name}") for name in names])


def _one_file(folder: Path, path: str) -> Array:
    records = np.frombuffer(read_file(folder, path, 100_000 * RECORD), dtype=np.uint8)
    if not len(records) or len(records) % RECORD:
        cause = f"{len(records):,} bytes are not whole records of {RECORD}"
        raise fault(path, cause, "take the binary version of CIFAR-10, not the one for Python or Matlab")
    records = records.reshape(-1, RECORD)
    if records[:, 0].max() > 9:
        raise fault(path, f"label {records[:, 0].max()} is above 9", "take CIFAR-10, not CIFAR-100")
    return records
