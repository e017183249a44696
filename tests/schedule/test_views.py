"""Views: what a movement op does to elements, its view does to places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zhdsl.ir.sizes import Size
from zhdsl.schedule.views import (
    View,
    arranged,
    by_stride,
    dense,
    drop,
    expand,
    flip,
    merge,
    merged_stride,
    narrow,
    relabel,
    split,
    window,
)

SIZES = {"B": 3, "T": 5}
B, T = Size.of("B"), Size.of("T")
X = np.arange(30.0).reshape(3, 5, 2)
VIEW = dense("x", (("B", B), ("T", T), ("D", Size.of(2))))


def elements(view: View) -> np.ndarray:
    """What a view of X shows, axes in the view's order."""
    shape = [size.evaluate(SIZES) for _, size, _ in view.dims]
    index = np.zeros(shape, int) + view.offset.evaluate(SIZES)
    for axis, (_, size, stride) in enumerate(view.dims):
        steps = np.arange(size.evaluate(SIZES)) * stride.evaluate(SIZES)
        index += steps.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return X.reshape(-1)[index]


def test_a_dense_view_shows_everything_in_order() -> None:
    np.testing.assert_array_equal(elements(VIEW), X)
    assert VIEW.count == B * T * 2


def test_slices_flips_and_drops_move_the_offset() -> None:
    np.testing.assert_array_equal(elements(narrow(VIEW, "T", 1, T - 2)), X[:, 1:4])
    np.testing.assert_array_equal(elements(flip(VIEW, "T")), X[:, ::-1])
    np.testing.assert_array_equal(elements(drop(VIEW, "B", 2)), X[2])
    np.testing.assert_array_equal(elements(narrow(flip(VIEW, "T"), "T", 1, Size.of(2))), X[:, 3:1:-1])


def test_expanding_repeats_with_a_stride_of_zero() -> None:
    view = expand(VIEW, (("K", Size.of(4)),))
    np.testing.assert_array_equal(elements(view), np.repeat(X[..., None], 4, -1))
    assert view.varying == ("B", "T", "D")


def test_relabelling_may_swap() -> None:
    view = relabel(VIEW, {"B": "D", "D": "B"})
    np.testing.assert_array_equal(elements(arranged(view, ("B", "T", "D"))), X.transpose(2, 1, 0))


def test_merging_what_is_one_run_and_splitting_it_again() -> None:
    one = merge(VIEW, ("B", "T"), "M")
    assert one is not None
    np.testing.assert_array_equal(elements(one), X.reshape(15, 2))
    again = split(one, "M", (("B", B), ("T", T)))
    assert (again.offset, again.dims) == (VIEW.offset, VIEW.dims)


@pytest.mark.parametrize("labels", [("T", "B"), ("B", "D")])
def test_labels_that_are_no_run_in_this_order_cannot_merge(labels: tuple[str, ...]) -> None:
    assert merge(VIEW, labels, "M") is None


def test_a_part_of_an_axis_does_not_merge_with_the_axis_around_it() -> None:
    part = narrow(VIEW, "T", 0, T - 1)
    assert merged_stride(part, ("B", "T")) is None
    assert merged_stride(part, ("T", "D")) == 1


def test_a_size_of_one_and_no_label_at_all_merge_with_anything() -> None:
    view = narrow(VIEW, "T", 2, Size.of(1))
    one = merge(view, ("D", "T"), "M")
    assert one is not None
    np.testing.assert_array_equal(elements(one), X[:, 2])
    new = merge(VIEW, (), "N")
    assert new is not None
    assert new.sizes["N"] == 1


def test_a_window_overlaps_without_a_copy() -> None:
    view = window(VIEW, "T", "K", (Size.of(2), Size.of(1), Size.of(1)), (Size.of(2), Size.of(2)))
    wanted = np.lib.stride_tricks.sliding_window_view(X, 2, axis=1)[:, 1::2].transpose(0, 1, 3, 2)
    np.testing.assert_array_equal(elements(view), wanted)


def test_labels_sort_by_how_far_they_jump() -> None:
    assert by_stride(VIEW) == ("B", "T", "D")
    assert by_stride(arranged(flip(VIEW, "B"), ("D", "B", "T"))) == ("B", "T", "D")
    assert math.prod(VIEW.sizes[n].evaluate(SIZES) for n in VIEW.labels) == X.size
