"""Stick figures: the points are where the lines are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import load
from zhdsl.data.figures import BONES, LIMBS, POINTS
from zhdsl.errors import TrainingError


def figures(**statics: int | float) -> tuple[np.ndarray, np.ndarray]:
    fields = load("stick_figures", {"samples": 100, "seed": 5, **statics}, Path()).fields
    return fields["image"][:, 0], fields["points"]


def test_every_figure_is_whole_and_on_the_canvas() -> None:
    image, points = figures()
    assert image.shape == (100, 32, 32)
    assert points.shape == (100, len(POINTS), 2)
    assert points.min() > 0
    assert points.max() < 1


def test_bones_are_drawn_from_point_to_point() -> None:
    image, points = figures(noise=0)
    for a, b in BONES[1:]:  # the first one ends in the middle of the head, which is empty
        for part in (0, 0.5, 1):
            y, x = np.floor(((1 - part) * points[:, a] + part * points[:, b]) * 32).astype(int).T
            assert image[np.arange(100), y, x].min() > 0.3
    assert 0.04 < (image > 0).mean() < 0.2


def test_arms_and_legs_start_to_their_own_side_of_the_trunk() -> None:
    _, points = figures()
    for sign, limbs in ((-1, LIMBS[:2]), (1, LIMBS[2:])):
        for start, middle, _ in limbs:
            assert (sign * (points[:, middle, 1] - points[:, start, 1]) > 0).all()
    assert (points[:, 0, 0] < points[:, 1, 0]).all()  # head above neck above hip
    assert (points[:, 1, 0] < points[:, 2, 0]).all()


def test_the_same_poses_are_drawn_in_another_size() -> None:
    _, small = figures()
    image, large = figures(size=64)
    assert image.shape == (100, 64, 64)
    shape = [p - p[:, 2:3] for p in (small, large)]
    assert np.allclose(*shape, atol=1e-6)


@pytest.mark.parametrize("statics", [{"size": 23}, {"noise": 1.5}, {"size": 10**5}])
def test_statics_that_make_no_picture_are_errors(statics: dict[str, int | float | bool | str]) -> None:
    with pytest.raises(TrainingError):
        load("stick_figures", statics, Path())
