"""Moving digits: the labels say what the pixels do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import load
from zhdsl.data.moving import MOVES, STEPS
from zhdsl.errors import TrainingError


def test_fields_have_their_shapes_and_moves_their_names() -> None:
    data = load("moving_digits", {"samples": 5, "T": 7, "size": 12}, Path())
    assert data.fields["video"].shape == (5, 7, 1, 12, 12)
    assert data.fields["label"].shape == (5, 7)
    assert data.names["label"] == MOVES
    assert 0 <= data.fields["video"].min() < data.fields["video"].max() <= 1


def test_without_noise_each_frame_is_the_one_before_moved_as_the_label_says() -> None:
    fields = load("moving_digits", {"samples": 40, "T": 12, "noise": 0, "seed": 4}, Path()).fields
    video, label = fields["video"][:, :, 0], fields["label"]
    for frames, moves in zip(video, label, strict=True):
        for before, after, move in zip(frames, frames[1:], moves[1:], strict=False):
            assert np.array_equal(np.roll(before, STEPS[move], axis=(0, 1)), after)


def test_a_digit_stays_on_the_canvas_and_does_everything() -> None:
    fields = load("moving_digits", {"samples": 200, "size": 9, "noise": 0}, Path()).fields
    ink = (fields["video"] > 0).sum(axis=(2, 3, 4))
    assert (ink == ink[:, :1]).all()
    assert (fields["label"][:, 0] == MOVES.index("still")).all()
    counts = np.bincount(fields["label"][:, 1:].ravel()) / fields["label"][:, 1:].size
    assert counts.min() > 0.15


def test_the_parts_show_different_handwriting() -> None:
    videos = [
        load("moving_digits", {"samples": 50, "split": s, "noise": 0}, Path()).fields["video"]
        for s in ("train", "test")
    ]
    assert not np.array_equal(*videos)


@pytest.mark.parametrize("statics", [{"size": 8}, {"T": 0}, {"noise": -0.1}, {"T": 10**9}])
def test_statics_that_make_no_video_are_errors(statics: dict[str, int | float | bool | str]) -> None:
    with pytest.raises(TrainingError):
        load("moving_digits", statics, Path())
