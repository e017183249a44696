"""The nearest known name: what a reader would have guessed, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhdsl.lang.nearest import nearest

NAMES = ["BatchNorm", "Conv", "ConvTranspose", "Dense", "LayerNorm", "dropout", "relu", "softmax", "x", "y"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Batchnorm", "BatchNorm"), ("batchnorm", "BatchNorm"), ("Dens", "Dense"), ("Densee", "Dense"),
        ("rleu", "relu"),
        ("sotfmax", "softmax"), ("dorpuot", "dropout"), ("Relu", "relu"), ("conv", "Conv"), ("X", "x"),
        ("attention", None), ("z", None), ("", None), ("relu", None), ("normalise", None),
    ],
)  # fmt: skip
def test_slips(name: str, found: str | None) -> None:
    assert nearest(name, NAMES) == found
    assert nearest(name, reversed(NAMES)) == found


def test_ties_go_to_the_first_of_the_alphabet() -> None:
    assert nearest("heat", ["neat", "beat", "seat"]) == "beat"


def test_no_candidates() -> None:
    assert nearest("relu", []) is None


def test_long_names_take_little_time() -> None:
    assert nearest("a" * 100_000, ["b" * 100_000] * 100) is None


@given(st.text("abcXY", min_size=4, max_size=12), st.integers(0, 11), st.sampled_from("abcXY"))
def test_one_slip_is_always_found(name: str, place: int, letter: str) -> None:
    place %= len(name)
    for slip in (name[:place] + letter + name[place:], name[:place] + name[place + 1 :]):
        assert nearest(slip, [name]) == (None if slip == name else name)
