"""Arrays: what is accepted, what is said about it, and its fingerprint."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest

from zhdsl.data.arrays import Arrays, class_counts, class_field, conform, describe, fingerprint, to_kind
from zhdsl.errors import TrainingError


def small() -> Arrays:
    return Arrays({"x": np.arange(6, dtype=np.float32).reshape(3, 2), "label": np.array([0, 1, 1], np.int32)}, "made")


def test_fields_are_read_only_and_the_callers_array_stays_writable() -> None:
    mine = np.zeros((2, 2), np.float32)
    arrays = Arrays({"x": mine}, "made")
    with pytest.raises(ValueError, match="read-only"):
        arrays.fields["x"][0, 0] = 1
    mine[0, 0] = 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x": np.zeros(2, np.float32), "y": np.zeros(3, np.float32)}, "x: 2, y: 3"),
        ({"x": np.zeros((0, 2), np.float32)}, "no samples"),
        ({}, "no fields"),
        ({"x": np.zeros(2, np.uint8)}, "dtype uint8"),
        ({"x": np.array([None])}, "dtype object"),
        ({"x": np.float32(1) * np.ones((), np.float32)}, "without an axis of samples"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(fields: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Arrays(fields, "made")


def test_a_fingerprint_knows_names_dtypes_shapes_and_bytes() -> None:
    x = np.arange(6, dtype=np.float32)
    variants = [{"x": x}, {"y": x}, {"x": x.view(np.int32)}, {"x": x.reshape(6, 1)}, {"x": x + 1}]
    assert len({fingerprint(Arrays(fields, "")) for fields in variants}) == len(variants)


def test_a_fingerprint_is_the_hash_that_its_description_says() -> None:
    head = b"('x', 'float32', (2,))"
    expected = hashlib.sha256(len(head).to_bytes(8, "little") + head + struct.pack("<2f", 1, 2)).hexdigest()
    assert fingerprint(Arrays({"x": np.array([1, 2], np.float32)}, "")) == expected


def test_a_fingerprint_does_not_know_field_order_layout_or_byte_order() -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2], np.int32)
    plain = fingerprint(Arrays({"x": x, "y": y}, "a"))
    other = fingerprint(Arrays({"y": y.astype(">i4").astype(np.int32), "x": np.asfortranarray(x)}, "b"))
    assert plain == other


def test_taking_samples_keeps_what_is_known_but_not_the_splits() -> None:
    arrays = Arrays(small().fields, "made", {"train": np.array([0])}, "label", {"label": ("a", "b")})
    taken = arrays.take(np.array([2, 0]))
    assert taken.fields["x"].tolist() == [[4, 5], [0, 1]]
    assert (taken.splits, taken.labels, taken.names, taken.attribution) == (None, "label", arrays.names, "made")


def test_the_class_is_the_labels_field_then_label_then_the_only_integer() -> None:
    two = {"a": np.array([0, 1, 0, 1], np.int32), "b": np.array([0, 1, 1, 1], np.int32)}
    assert class_field(small()) == "label"
    assert class_field(Arrays(two, "")) is None
    assert class_field(Arrays(two, "", labels="b")) == "b"
    assert class_field(Arrays({"b": two["b"]}, "")) == "b"
    assert class_field(Arrays({"n": np.arange(4, dtype=np.int32)}, "")) is None  # an index, not a class


def test_classes_of_truth_values_and_floats_are_counted() -> None:
    assert class_counts(Arrays({"t": np.array([True, False, True])}, "")) == {"0": 1, "1": 2}
    assert class_counts(Arrays({"y": np.array([[0.5], [1]], np.float32)}, "", labels="y")) == {"0.5": 1, "1": 1}


def test_classes_are_counted_by_name_and_described() -> None:
    named = Arrays(small().fields, "made by hand", names={"label": ("cat", "dog\x1b[2J")})
    assert class_counts(named) == {"cat": 1, "dog\x1b[2J": 2}
    assert describe(named) == [
        "3 samples",
        "  x: float32 [2]",
        "  label: int32 []",
        "classes of `label`: cat: 1, dog\N{REPLACEMENT CHARACTER}[2J: 2",
        "indices: cat = 0, dog\N{REPLACEMENT CHARACTER}[2J = 1",
        "made by hand",
    ]


def test_conform_takes_the_declared_fields_in_the_declared_kind() -> None:
    found = {"x": np.ones((2, 3), ">f8", order="F"), "y": np.array([1, 0], np.uint8), "other": np.zeros(9)}
    got = conform(found, {"x": ((3,), "float"), "y": ((), "bool")}, "file")
    assert {name: values.dtype.str for name, values in got.items()} == {"x": "<f4", "y": "|b1"}
    assert got["x"].flags.c_contiguous
    assert conform(found, {"x": ((None,), "float")}, "file")["x"].shape == (2, 3)


@pytest.mark.parametrize(
    ("shape", "message"), [((2,), r"shape \[2, 3\], \[B, 2\] is declared"), ((), r"\[B\] is declared")]
)
def test_another_shape_is_an_error_even_if_it_could_be_stretched(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        conform({"x": np.ones((2, 3))}, {"x": (shape, "float")}, "file")
    with pytest.raises(TrainingError, match="no field `z`; there are `x`"):
        conform({"x": np.ones((2, 3))}, {"z": (shape, "float")}, "file")


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([[1.0, np.nan]], "float", r"sample 0 at \[1\] is nan"),
        ([1.0, 1e39], "float", r"sample 1 is 1e\+39, which is no finite float32"),
        ([1.0, 2.5], "i32", "sample 1 is 2.5, which is no integer"),
        ([2**31], "i32", "sample 0 is 2147483648"),
        ([np.nan], "i32", "sample 0 is nan"),
        ([0, 2], "bool", "sample 1 is 2, which is no 0 or 1"),
        ([1j], "float", "no real numbers"),
        (["a"], "i32", "no real numbers"),
    ],
)
def test_values_that_a_kind_cannot_hold_are_named(values: list[object], kind: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        to_kind(np.array(values), kind, "field `x`")
