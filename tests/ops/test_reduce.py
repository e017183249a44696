"""Reductions and contractions where they are delicate: ties, nothing to reduce, the order of labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.ops.examples import boolean, i32, t
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.types import Type, TypeProblem
from zhdsl.ops.evaluate import evaluate


def reduced(name: str, x: object, labels: tuple[str, ...]) -> np.ndarray:
    """The reduction of an array whose axes are A, B, …."""
    array = np.asarray(x)
    axes = tuple(zip("ABC", array.shape, strict=False))
    with Builder():
        node = apply("input", port="x", type=Type("i32" if array.dtype.kind == "i" else "float", axes))
        return evaluate([apply(name, node, labels=labels)], {node: array}, {})[0]


def test_reductions_of_nothing_give_the_identity() -> None:
    empty = np.zeros((2, 0))
    assert reduced("sum", empty, ("B",)).tolist() == [0.0, 0.0]
    assert reduced("max", empty, ("B",)).tolist() == [-math.inf, -math.inf]
    assert reduced("max", empty.astype(np.int32), ("B",)).tolist() == [-(2**31)] * 2
    assert reduced("argmax", empty, ("B",)).tolist() == [0, 0]


def test_argmax_counts_in_the_order_of_its_labels_and_takes_the_first() -> None:
    x = [[0, 5, 1], [5, 0, 5]]
    assert reduced("argmax", x, ("A", "B")).item() == 1
    assert reduced("argmax", x, ("B", "A")).item() == 1  # B=0, A=1
    assert reduced("argmax", [[0, 0, 9], [0, 0, 0]], ("B", "A")).item() == 4
    assert reduced("argmax", x, ("B",)).tolist() == [1, 0]
    assert reduced("argmax", x, ()).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_nan_is_the_largest() -> None:
    x = [1.0, math.nan, 3.0]
    assert math.isnan(reduced("max", x, ("A",)).item())
    assert reduced("argmax", x, ("A",)).item() == 1


def test_ties_share_the_gradient_of_max() -> None:
    with Builder():
        x = apply("input", port="x", type=t("A=2 B=3"))
        y = apply("max", x, labels=("B",))
        (g,) = gradients([y], [apply("const", value=1.0, dtype="float")], [x])
        assert g is not None
        (found,) = evaluate([g], {x: np.array([[1.0, 3.0, 3.0], [-math.inf] * 3])}, {})
    np.testing.assert_allclose(found, [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])


def test_a_contraction_is_the_matrix_product() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    with Builder():
        left = apply("input", port="a", type=t("I=3 J=4"))
        right = apply("input", port="b", type=t("J=4 K=2"))
        (y,) = evaluate([apply("contract", left, right, labels=("J",))], {left: a, right: b}, {})
    np.testing.assert_allclose(y, a @ b)


def test_gradients_of_a_contraction_sum_batch_labels_of_one_side() -> None:
    rng = np.random.default_rng(0)
    x, w, g = rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), rng.normal(size=(5, 2))
    with Builder():
        a, b = apply("input", port="x", type=t("B=5 D=3")), apply("input", port="w", type=t("D=3 N=2"))
        seed = apply("input", port="g", type=t("B=5 N=2"))
        dx, dw = gradients([apply("contract", a, b, labels=("D",))], [seed], [a, b])
        assert dx is not None and dw is not None
        found = evaluate([dx, dw], {a: x, b: w, seed: g}, {})
    np.testing.assert_allclose(found[0], g @ w.T)
    np.testing.assert_allclose(found[1], x.T @ g)


@pytest.mark.parametrize(
    ("name", "types", "labels", "message"),
    [
        ("sum", (t("B"),), ("T",), r"sum\[T\]: no axis T in \[B\]"),
        ("sum", (t("B"),), ("B", "B"), "B is listed twice"),
        ("sum", (boolean("B"),), ("B",), "sum takes number operands, not bool"),
        ("max", (boolean("B"),), ("B",), "max takes number operands, not bool"),
        ("contract", (t("B D"), t("N")), ("D",), r"contract\[D\]: no axis D in \[N\]"),
        ("contract", (t("B D"), t("D=7")), ("D",), "axes do not agree on D: D and 7"),
        ("contract", (t("D"), t("D", "f64")), ("D",), "two floats of one dtype, not float and f64"),
        ("contract", (i32("D"), i32("D")), ("D",), "two floats of one dtype, not i32 and i32"),
    ],
)
def test_operands_that_do_not_fit_are_named(
    name: str, types: tuple[Type, ...], labels: tuple[str, ...], message: str
) -> None:
    with pytest.raises(TypeProblem, match=message):
        REGISTRY[name](labels=labels).infer(*types)
