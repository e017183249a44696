"""IDX, CIFAR-10's binary files, folders of images."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import load, split
from zhdsl.data.cifar10 import RECORD
from zhdsl.data.idx import read_idx
from zhdsl.errors import TrainingError


def idx(array: np.ndarray, code: int = 8) -> bytes:
    return bytes((0, 0, code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_idx_of_every_type_is_read_plain_and_gzipped(code: int, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for data in (idx(array, code), gzip.compress(idx(array, code))):
        got = read_idx(data, "x")
        assert got.dtype == array.dtype
        assert np.array_equal(got, array)


GOOD = idx(np.arange(10, dtype=np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG", "not an IDX file"),
        (GOOD[:-1], "other bytes follow"),
        (GOOD + b"x", "other bytes follow"),
        (gzip.compress(GOOD)[:-9], "no whole gzip file"),
        (gzip.compress(bytes(10**7)), "not an IDX file"),
        (gzip.compress(GOOD + bytes(10**7)), "other bytes follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "would take .* bytes, the limit is"),
        (b"\0\0\x08\x03\0\0", "promises shape"),
        (b"\0\0\x08\x00", "not an IDX file"),
    ],
)
def test_idx_files_that_are_not_whole_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_idx(data, "x")


def four_files(folder: Path) -> None:
    folder.mkdir()
    for stem, count in (("train", 6), ("t10k", 3)):
        pixels = np.full((count, 4, 5), 51, np.uint8)
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8)))


def test_the_official_files_make_mnist_with_ready_splits(tmp_path: Path) -> None:
    four_files(tmp_path / "fashion")
    arrays = load("fashion_mnist", {"file": "fashion"}, tmp_path)
    assert arrays.fields["image"].shape == (9, 1, 4, 5)
    assert arrays.fields["image"].dtype == np.float32
    assert np.allclose(arrays.fields["image"], 0.2)
    assert {name: part.fields["label"].tolist() for name, part in split(arrays).items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "test": [0, 1, 2],
    }
    assert arrays.names["label"][0] == "T-shirt"
    assert load("mnist", {"file": "fashion", "split": "test"}, tmp_path).size == 3


def test_a_missing_file_is_named_with_the_place_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="mnist: there is no such file"):
        load("mnist", {}, tmp_path)
    four_files(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(TrainingError, match=r"put t10k-labels-idx1-ubyte.gz of the data set into the folder mnist"):
        load("mnist", {}, tmp_path)


def test_images_and_labels_must_go_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(idx(np.zeros((3, 2, 2), np.uint8)))
    (tmp_path / "b").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(TrainingError, match=r"b: shape \[4\] does not go with 3 images"):
        load("idx", {"images": "a", "labels": "b"}, tmp_path)
    with pytest.raises(TrainingError, match="are no grey images"):
        load("idx", {"images": "b", "labels": "b"}, tmp_path)


def cifar(folder: Path, label: int = 7) -> None:
    folder.mkdir()
    record = bytes([label]) + bytes([255]) * 1024 + bytes([51]) * 1024 + bytes(range(256)) * 4
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        (folder / f"{name}.bin").write_bytes(record * 2)


def test_cifar_records_are_label_and_three_planes(tmp_path: Path) -> None:
    cifar(tmp_path / "cifar-10-batches-bin")
    train = load("cifar10", {}, tmp_path)
    image = train.fields["image"][0]
    assert train.fields["image"].shape == (10, 3, 32, 32)
    assert image.dtype == np.float32
    assert (image[0] == 1).all()
    assert np.allclose(image[1], 0.2)
    assert np.allclose(image[2, 1] * 255, np.arange(32, 64))
    assert train.names["label"][train.fields["label"][0]] == "horse"
    whole = split(load("cifar10", {"split": "all"}, tmp_path))
    assert {name: part.size for name, part in whole.items()} == {"train": 10, "test": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [(bytes(RECORD + 1), "not whole records"), (b"", "not whole"), (b"\x0a" * RECORD, "above 9")],
)
def test_other_versions_of_cifar_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "test_batch.bin").write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        load("cifar10", {"file": "c", "split": "test"}, tmp_path)
    with pytest.raises(TrainingError, match=r"data_batch_1\.bin: there is no such file"):
        load("cifar10", {"file": "c"}, tmp_path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of PGM images, which need no encoder: `P5 width height 255` and bytes."""
    for name, value in (("dog", 255), ("cat", 51)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        (tmp_path / "pets" / name / "1.pgm").write_bytes(b"P5 6 4 255\n" + bytes([value]) * 24)
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not an image")
    return tmp_path


def test_a_folder_of_images_is_read_by_class(pets: Path) -> None:
    pytest.importorskip("PIL")
    arrays = load("image_folder", {"file": "pets", "height": 3, "width": 5}, pets)
    assert arrays.fields["image"].shape == (2, 3, 3, 5)
    assert np.allclose(arrays.fields["image"][:, 0, 0, 0], [0.2, 1])
    assert arrays.names == {"label": ("cat", "dog")}
    grey = load("image_folder", {"file": "pets", "height": 3, "width": 5, "channels": 1}, pets)
    assert grey.fields["image"].shape == (2, 1, 3, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5 6 4 255\nxx", "cannot be read"),
        (b"GIF99", "no image"),
        (b"P5 10000 10000 255\n", "10000 × 10000 pixels"),
        (b"P5 99999 99999 255\n", "no image|pixels"),
    ],
)
def test_images_that_cannot_be_read_are_named(pets: Path, content: bytes, message: str) -> None:
    pytest.importorskip("PIL")
    (pets / "pets" / "cat" / "2.png").write_bytes(content)
    with pytest.raises(TrainingError, match=f"pets/cat/2.png: .*({message})"):
        load("image_folder", {"file": "pets", "height": 3, "width": 5}, pets)


def test_without_pillow_the_error_says_how_to_get_it(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(TrainingError, match=r'pip install "zhdsl\[images\]"'):
        load("image_folder", {"file": "pets", "height": 3, "width": 5}, pets)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="there are no images"):
        load("image_folder", {"file": "empty", "height": 3, "width": 5}, tmp_path)
