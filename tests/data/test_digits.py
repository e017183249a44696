"""The bundled sets are what their sources are."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import numpy as np

from zhdsl.data import class_counts, load
from zhdsl.data.digits import bundled


def test_the_bytes_are_those_of_the_sources() -> None:
    readme = files("zhdsl.data").joinpath("bundled/README.md").read_text(encoding="utf-8")
    for name in ("digits", "mnist_5k"):
        file = files("zhdsl.data").joinpath(f"bundled/{name}.npz").read_bytes()
        found = bundled(name)
        rows = np.column_stack([found["image"].reshape(len(found["label"]), -1), found["label"]])
        assert hashlib.sha256(file).hexdigest() in readme
        assert f"{name} `{hashlib.sha256(rows.tobytes()).hexdigest()}`" in readme


def test_the_bundle_stays_under_two_megabytes() -> None:
    assert sum(file.stat().st_size for file in Path(str(files("zhdsl.data"))).glob("bundled/*")) < 2_000_000


def test_digits_has_its_known_shape_range_and_counts() -> None:
    digits = load("digits", {}, Path())
    image = digits.fields["image"]
    assert (image.shape, image.dtype, image.min(), image.max()) == ((1797, 8, 8), np.float32, 0, 16)
    assert list(class_counts(digits).values()) == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert image[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]  # the first row of scikit-learn's first image
    assert digits.fields["label"][:10].tolist() == list(range(10))
    assert "CC BY 4.0" in digits.attribution


def test_mnist_5k_has_its_known_shape_range_and_counts() -> None:
    mnist = load("mnist_5k", {}, Path())
    image = mnist.fields["image"]
    assert (image.shape, image.dtype, image.min(), image.max()) == ((5000, 1, 28, 28), np.float32, 0, 1)
    assert set(class_counts(mnist).values()) == {500}
    assert (mnist.fields["label"] == np.repeat(np.arange(10), 500)).all()


def test_the_fixed_parts_are_disjoint_and_stratified() -> None:
    parts = {name: load("mnist_5k", {"split": name}, Path()) for name in ("train", "test")}
    assert {name: set(class_counts(part).values()) for name, part in parts.items()} == {"train": {400}, "test": {100}}
    train, test = ({row.tobytes() for row in part.fields["image"]} for part in parts.values())
    assert not train & test


def test_the_digits_can_be_told_apart_by_their_nearest_neighbour() -> None:
    train, test = (load("digits", {"split": name}, Path()).fields for name in ("train", "test"))
    a, b = (part["image"].reshape(-1, 64) for part in (train, test))
    nearest = ((b[:, None] - a[None, ::3]) ** 2).sum(axis=2).argmin(axis=1)
    assert (train["label"][::3][nearest] == test["label"]).mean() > 0.95
