"""The two spirals, point by point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import load
from zhdsl.errors import TrainingError


def test_the_first_points_are_those_of_the_benchmark() -> None:
    fields = load("two_spirals", {}, Path()).fields
    assert fields["x"].shape == (194, 2)
    # The benchmark's file begins: 0 6.5, 1.25589 6.31378, … and each is followed by its negative.
    expected = [[0, 6.5], [0, -6.5], [1.25588, 6.31374], [-1.25588, -6.31374]]
    assert np.allclose(fields["x"][:4], expected, atol=1e-4)
    assert fields["y"][:4].tolist() == [[1], [0], [1], [0]]
    assert np.allclose(fields["x"][-2:], [[0, 0.5], [0, -0.5]], atol=1e-6)


def test_each_class_has_97_points_on_three_turns() -> None:
    fields = load("two_spirals", {}, Path()).fields
    assert fields["y"].sum() == 97
    radius = np.hypot(*fields["x"][::2].T)
    assert np.allclose(np.diff(radius), -6.5 / 104, atol=1e-5)


@pytest.mark.parametrize("points", [0, -1, 105, 10**18])
def test_the_spirals_end_where_they_meet(points: int) -> None:
    with pytest.raises(TrainingError, match="1 to 104 points"):
        load("two_spirals", {"points": points}, Path())
