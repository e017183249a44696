"""Digit scenes: every field agrees with every other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zhdsl.data import decode, load
from zhdsl.errors import TrainingError

STATICS: dict[str, int | float | bool | str] = {"samples": 60, "seed": 3}


def test_labels_boxes_and_digits_agree() -> None:
    fields = load("digit_scenes", STATICS, Path()).fields
    assert {name: values.shape[1:] for name, values in fields.items()} == {
        "image": (1, 64, 64),
        "label": (64, 64),
        "box": (3, 4),
        "digit": (3,),
    }
    for label, box, digit in zip(fields["label"], fields["box"], fields["digit"], strict=True):
        assert set(np.unique(label)) - {0} == set(digit.tolist()) - {0}
        for (y, x, height, width), kind in zip(box * 64, digit, strict=True):
            inside = label[round(y - height / 2) : round(y + height / 2), round(x - width / 2) : round(x + width / 2)]
            assert (kind in inside) if kind else y == x == height == width == 0


def test_ink_is_bright_and_the_canvas_is_noise() -> None:
    fields = load("digit_scenes", STATICS, Path()).fields
    image, label = fields["image"][:, 0], fields["label"]
    assert image[label > 0].min() > 0.25
    assert 0.09 < image[label == 0].mean() < 0.11
    assert image.max() <= 1


def test_scenes_have_one_to_three_digits_of_all_kinds() -> None:
    digit = load("digit_scenes", {"samples": 300, "noise": 0}, Path()).fields["digit"]
    assert set((digit > 0).sum(axis=1)) == {1, 2, 3}
    assert set(np.unique(digit)) == set(range(11))


def test_all_four_tasks_show_the_same_scenes() -> None:
    names = ("digit_scenes", "digit_depth", "digit_captions", "digit_questions")
    images = [load(name, STATICS, Path()).fields["image"] for name in names]
    assert all(np.array_equal(images[0], image) for image in images[1:])


def test_depth_is_that_of_the_digit_in_front() -> None:
    scenes, depth = (load(name, STATICS, Path()).fields for name in ("digit_scenes", "digit_depth"))
    assert depth["depth"].dtype == np.float32
    assert ((depth["depth"] > 0) == (scenes["label"] > 0)).all()
    assert np.allclose(np.unique(depth["depth"]), [0, 1 / 3, 2 / 3, 1])


def test_in_fog_ink_fades_with_its_distance_and_the_canvas_does_not() -> None:
    clear, fog = (load("digit_depth", {**STATICS, "fog": f}, Path()).fields for f in (0, 0.6))
    assert np.array_equal(clear["depth"], fog["depth"])
    kept = (fog["image"] / clear["image"])[:, 0]
    for depth, share in ((0, 1), (1 / 3, 0.6), (2 / 3, 0.8), (1, 1)):
        assert np.allclose(kept[np.isclose(clear["depth"], depth)], share, atol=1e-6)
    with pytest.raises(TrainingError):
        load("digit_depth", {"fog": -1}, Path())


def test_captions_read_from_left_to_right() -> None:
    scenes = load("digit_scenes", {**STATICS, "digits": 2}, Path()).fields
    captions = load("digit_captions", {**STATICS, "digits": 2}, Path())
    told = 0
    for box, digit, ids in zip(scenes["box"], scenes["digit"], captions.fields["next"], strict=True):
        seen = [(x - width / 2, str(d - 1)) for (_, x, _, width), d in zip(box, digit, strict=True) if d]
        text = decode(ids, captions.names["next"])
        assert sorted(text) == sorted(d for _, d in seen) or len(seen) < len(text)  # hidden digits stay in the text
        if len(seen) == len(text) == 2 and abs(seen[0][0] - seen[1][0]) > 0.25:  # ink may start 16 pixels in
            assert text == "".join(d for _, d in sorted(seen))
            told += 1
    assert told > 5
    assert (captions.fields["tgt"][:, 0] == 1).all()
    assert (
        captions.fields["tgt"][:, 1:] == np.where(captions.fields["next"] == 2, 0, captions.fields["next"])[:, :-1]
    ).all()


def test_answers_count_the_digit_asked_for() -> None:
    scenes, fields = (load(name, STATICS, Path()).fields for name in ("digit_scenes", "digit_questions"))
    counts = (scenes["digit"] == fields["question"][:, None] + 1).sum(axis=1)
    assert (counts <= fields["answer"]).all()
    assert (counts == fields["answer"]).mean() > 0.9  # they differ only where a digit is hidden
    assert 0.3 < (fields["answer"] > 0).mean() < 0.9


@pytest.mark.parametrize("statics", [{"size": 27}, {"digits": 0}, {"digits": 101}, {"noise": 2.0}, {"size": 10**6}])
def test_statics_that_make_no_scene_are_errors(statics: dict[str, int | float | bool | str]) -> None:
    with pytest.raises(TrainingError):
        load("digit_scenes", statics, Path())
