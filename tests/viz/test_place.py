"""Placed pictures: nothing overlaps, nothing leaves its frame, lines go round boxes, and the same graph is the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.viz.scenes import RESNET152, SKIP, scene_of
from zhdsl.viz.fold import everything, opened
from zhdsl.viz.layers import _inversions
from zhdsl.viz.place import Box, Picture, place, pooled
from zhdsl.viz.svg import svg

CASES = [
    (SKIP, "graph", 10),
    (SKIP, "grad", 100),
    (RESNET152, "graph", 25),
    ("two_spirals.zh", "grad", 200),
    pytest.param("transformers/transformer.zh", "graph", 200, marks=pytest.mark.slow),
    pytest.param("depth/resnet.zh ResNet20", "graph", 1000, marks=pytest.mark.slow),
    pytest.param("translation/bahdanau.zh Teach", "graph", 1000, marks=pytest.mark.slow),
]


def picture(text: str, stage: str, most: int) -> Picture:
    scene = scene_of(text, stage)
    return place(scene, opened(scene, most))


def overlap(a: Box, b: Box) -> bool:
    apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
    return not apart


@pytest.mark.parametrize(("text", "stage", "most"), CASES)
def test_boxes_do_not_overlap(text: str, stage: str, most: int) -> None:
    boxes = sorted((b for b in picture(text, stage, most).boxes if b.kind in ("item", "group")), key=lambda b: b.y)
    assert boxes
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            if b.y >= a.y + a.height:
                break
            assert not overlap(a, b), (a, b)


@pytest.mark.parametrize(("text", "stage", "most"), CASES)
def test_a_frame_holds_what_is_in_it(text: str, stage: str, most: int) -> None:
    scene, found = scene_of(text, stage), picture(text, stage, most)
    frames = {b.number: b for b in found.boxes if b.kind == "open"}
    for box in found.boxes:
        if box.kind == "item":
            around = scene.items[box.number].group
        else:
            around = scene.groups[box.number].parent if box.kind != "port" else -1
        if around in frames:
            frame = frames[around]
            assert frame.x <= box.x and box.x + box.width <= frame.x + frame.width + 0.1
            assert frame.y <= box.y and box.y + box.height <= frame.y + frame.height + 0.1


@pytest.mark.parametrize(("text", "stage", "most"), CASES)
def test_lines_pass_no_box_on_their_straight_parts(text: str, stage: str, most: int) -> None:
    found = picture(text, stage, most)
    boxes = [b for b in found.boxes if b.kind in ("item", "group")]
    for line in found.lines:
        for (x0, y0), (x1, y1) in pairwise(line.points):
            if x0 == x1 and not line.across and not line.back:
                low, high = sorted((y0, y1))
                crossed = [b for b in boxes if b.x < x0 < b.x + b.width and low < b.y and b.y + b.height < high]
                assert not crossed, (line, crossed)


@pytest.mark.parametrize("stage", ["graph", "grad"])
def test_the_same_graph_is_the_same_picture(stage: str) -> None:
    scene = scene_of(SKIP, stage)
    scene_of.cache_clear()
    assert svg(scene) == svg(scene_of(SKIP, stage))


def test_what_is_drawn_is_what_is_open() -> None:
    scene = scene_of("two_spirals.zh")
    whole = svg(scene, everything(scene))
    drawn = sum(item.value is None for item in scene.items)
    assert whole.count('data-item="') == drawn
    assert whole.count('class="open"') == len(scene.groups)
    folded = svg(scene, frozenset())
    assert folded.count('class="open"') == 0


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.1, 10)), max_size=30))
def test_pooling_gives_the_nearest_sequence_that_does_not_fall(pairs: list[tuple[float, float]]) -> None:
    wanted, weights = [w for w, _ in pairs], [h for _, h in pairs]
    found = pooled(wanted, weights)
    assert all(a <= b + 1e-9 for a, b in pairwise(found))
    cost = sum(h * (f - w) ** 2 for f, w, h in zip(found, wanted, weights, strict=True))
    for shift in (-0.1, 0.1):  # no block can move and be better
        moved = [f + shift for f in found]
        assert sum(h * (f - w) ** 2 for f, w, h in zip(moved, wanted, weights, strict=True)) >= cost - 1e-9


@given(st.lists(st.integers(0, 12), max_size=40))
def test_crossings_are_counted_as_inversions(ends: list[int]) -> None:
    slow = sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    assert _inversions(ends, 13) == slow
