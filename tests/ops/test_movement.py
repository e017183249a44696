"""Movement: which element goes where, and windows against their definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.examples import axes, boolean, t
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type, TypeProblem
from zhdsl.ops.evaluate import evaluate


def moved(name: str, x: Any, labels: str, /, **attributes: Any) -> np.ndarray:
    """The op on an array whose axes are the (sorted) labels."""
    array = np.asarray(x, float)
    with Builder():
        node = apply("input", port="x", type=Type("float", tuple(zip(labels.split(), array.shape, strict=True))))
        return evaluate([apply(name, node, **attributes)], {node: array}, {})[0]


GRID = np.arange(6.0).reshape(2, 3)


def test_relabel_moves_elements_with_their_labels() -> None:
    np.testing.assert_array_equal(moved("relabel", GRID, "A B", names=(("A", "Z"),)), GRID.T)
    np.testing.assert_array_equal(moved("relabel", GRID, "A B", names=(("A", "B"), ("B", "A"))), GRID.T)
    np.testing.assert_array_equal(moved("relabel", GRID, "A B", names=(("B", "Z"),)), GRID)


def test_merge_and_split_are_row_major_in_the_listed_order() -> None:
    assert moved("merge", GRID, "A B", labels=("A", "B"), label="F").tolist() == [0, 1, 2, 3, 4, 5]
    assert moved("merge", GRID, "A B", labels=("B", "A"), label="F").tolist() == [0, 3, 1, 4, 2, 5]
    split = moved("split", np.arange(6.0), "F", label="F", parts=(("Z", 2), ("B", 3)))
    np.testing.assert_array_equal(split, GRID.T)  # [B, Z]
    np.testing.assert_array_equal(moved("split", np.arange(6.0), "F", label="F", parts=(("A", 2), ("B", 3))), GRID)


def test_slice_pad_flip_and_concat_act_along_one_label() -> None:
    assert moved("slice", GRID, "A B", label="B", start=1, size=2).tolist() == [[1, 2], [4, 5]]
    assert moved("flip", GRID, "A B", label="A").tolist() == [[3, 4, 5], [0, 1, 2]]
    padded = moved("pad", GRID, "A B", label="A", low=1, high=0, fill=-math.inf)
    assert padded.tolist() == [[-math.inf] * 3, [0, 1, 2], [3, 4, 5]]
    with Builder():
        x, y = (apply("input", port=p, type=t(f"A=2 B={n}")) for p, n in (("x", 3), ("y", 1)))
        (z,) = evaluate([apply("concat", x, y, label="B")], {x: GRID, y: np.ones((2, 1))}, {})
    assert z.tolist() == [[0, 1, 2, 1], [3, 4, 5, 1]]


steps = st.integers(1, 3)
small = st.integers(0, 4)


@given(n=st.integers(0, 6), taps=small, stride=steps, dilation=steps, low=st.integers(-4, 5), count=small)
def test_a_window_is_its_definition(n: int, taps: int, stride: int, dilation: int, low: int, count: int) -> None:
    x = np.arange(1.0, 2 * n + 1).reshape(2, n)
    y = moved(
        "window", x, "A B",
        label="B", tap="C", taps=taps, stride=stride, dilation=dilation, low=low, count=count, fill=-7.0,
    )  # fmt: skip
    wanted = np.full((2, count, taps), -7.0)
    for s, tap in np.ndindex(count, taps):
        at = s * stride + tap * dilation - low
        if 0 <= at < n:
            wanted[:, s, tap] = x[:, at]
    np.testing.assert_array_equal(y, wanted)


@given(size=small, taps=small, stride=steps, dilation=steps, low=st.integers(-4, 5), count=small, seed=small)
def test_fold_is_the_adjoint_of_window(
    size: int, taps: int, stride: int, dilation: int, low: int, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=(size, 2)), rng.normal(size=(count, 2, taps))  # axes B, C and tap T
    where = {"label": "B", "tap": "T", "stride": stride, "dilation": dilation, "low": low}
    y = moved("window", x, "B C", taps=taps, count=count, **where)
    back = moved("fold", g, "B C T", size=size, **where)
    assert np.sum(y * g) == pytest.approx(np.sum(x * back), abs=1e-12)


def test_a_window_that_needs_no_fill_is_a_view() -> None:
    x = np.arange(5.0)
    op = REGISTRY["window"](label="A", tap="B", taps=3, stride=1, dilation=1, low=0, count=3)
    y = op.numpy(x, types=(t("A=5"),), out=t("A=3 B=3"))
    assert np.shares_memory(x, y)
    assert not y.flags.writeable


def test_a_slice_out_of_its_axis_is_found_when_sizes_are_known() -> None:
    with Builder():
        x = apply("input", port="x", type=t("T"))
        y = apply("slice", x, label="T", start=2, size=Size.of("K"))
        assert evaluate([y], {x: np.arange(5.0)}, {"T": 5, "K": 3})[0].tolist() == [2, 3, 4]
        with pytest.raises(TypeProblem, match=r"slice\[T=2..6\]: the axis has size 5"):
            evaluate([y], {x: np.arange(5.0)}, {"T": 5, "K": 4})


def test_a_fill_of_minus_zero_is_one_of_zero() -> None:
    pad = REGISTRY["pad"]
    ops = [pad(label="T", low=1, high=1, fill=fill) for fill in (0.0, -0.0, float("nan"), math.nan)]
    assert len(set(ops)) == 2
    assert math.copysign(1.0, ops[1].fill) == 1.0


WINDOW = {"label": "T", "tap": "K", "taps": 2, "stride": 1, "dilation": 1, "low": 0, "count": 3}


@pytest.mark.parametrize(
    ("name", "types", "attributes", "message"),
    [
        (
            "relabel",
            (t("A B"),),
            {"names": (("A", "B"),)},
            r"relabel\[A as B\] of \[A, B\]: two axes would have one name",
        ),
        ("relabel", (t("A"),), {"names": (("B", "C"),)}, "no axis B"),
        ("expand", (t("A"),), {"axes": axes("A=3")}, "there is an axis A already"),
        ("expand", (t("A"),), {"axes": (("B", -1),)}, "the size of B = -1 is less than 0"),
        ("drop", (t("A B"),), {"label": "A"}, "the axis has size A, not 1"),
        ("split", (t("A=6"),), {"label": "A", "parts": axes("B=4 C=2")}, "the parts have 8 elements, the axis 6"),
        ("split", (t("A=6 C"),), {"label": "A", "parts": axes("B=3 C=2")}, "there is an axis C already"),
        ("merge", (t("A B C"),), {"labels": ("A", "B"), "label": "C"}, "there is an axis C already"),
        ("merge", (t("A B"),), {"labels": ("A", "A"), "label": "C"}, "A is listed twice"),
        ("slice", (t("T"),), {"label": "T", "start": -1, "size": 1}, "the start = -1 is less than 0"),
        ("slice", (t("T=4"),), {"label": "T", "start": 3, "size": 2}, r"slice\[T=3..5\]: the axis has size 4"),
        ("slice", (t("T"),), {"label": "T", "start": 0, "size": Size.of("T") + 1}, "the axis has size T"),
        ("pad", (t("T"),), {"label": "T", "low": -1, "high": 0}, "low = -1 is less than 0"),
        ("concat", (), {"label": "T"}, "of nothing"),
        ("concat", (t("B T"), t("T")), {"label": "T"}, "differ in more than T"),
        ("concat", (t("B T"), boolean("B T")), {"label": "T"}, "differ in more than T"),
        ("concat", (t("B T"), t("B")), {"label": "T"}, "no axis T"),
        ("flip", (t("B"),), {"label": "T"}, "no axis T"),
        ("window", (t("K T"),), WINDOW, "there is an axis K already"),
        ("window", (t("T"),), WINDOW | {"stride": 0}, "stride = 0 is less than 1"),
        ("window", (t("T"),), WINDOW | {"count": -2}, "count = -2 is less than 0"),
        ("fold", (t("T"),), {"label": "T", "tap": "K", "stride": 1, "dilation": 1, "low": 0, "size": 3}, "no axis K"),
        (
            "fold",
            (t("T"),),
            {"label": "T", "tap": "T", "stride": 1, "dilation": 1, "low": 0, "size": 3},
            "position and tap are one axis",
        ),
    ],
)
def test_operands_that_do_not_fit_are_named(name: str, types: tuple[Type, ...], attributes: dict, message: str) -> None:
    with pytest.raises(TypeProblem, match=message):
        REGISTRY[name](**attributes).infer(*types)
