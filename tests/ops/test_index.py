"""Gather, scatter and topk against loops over elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.examples import boolean, i32, t
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.types import Type, TypeProblem
from zhdsl.ops.evaluate import evaluate


def test_an_embedding_reads_rows_and_zeros_out_of_range() -> None:
    with Builder():
        w, ids = apply("input", port="w", type=t("D=2 V=3")), apply("input", port="ids", type=i32("T=4"))
        table = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
        y = apply("gather", w, ids, labels=("V",))
        (found,) = evaluate([y], {w: table, ids: np.array([2, 0, -1, 3], np.int32)}, {})
    assert found.tolist() == [[3, 1, 0, 0], [30, 10, 0, 0]]


@given(seed=st.integers(0, 30), n=st.integers(0, 4))
def test_gather_is_its_definition_and_scatter_its_adjoint(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, i, j = rng.normal(size=(3, n, 2)), rng.integers(-2, 6, (3, 4)), rng.integers(-1, 3, (4,))
    type_ = t(f"B=3 P={n} Q=2")
    with Builder():
        nodes = [apply("input", port=p, type=s) for p, s in (("x", type_), ("i", i32("B=3 T=4")), ("j", i32("T=4")))]
        y = apply("gather", *nodes, labels=("P", "Q"))
        g = apply("input", port="g", type=y.type)
        back = apply("scatter", g, *nodes[1:], labels=("P", "Q"), type=type_)
        seed_ = rng.normal(size=(3, 4))
        values = dict(zip([*nodes, g], [x, i, j, seed_], strict=True))
        found, adjoint = evaluate([y, back], values, {})
    for b, step in np.ndindex(3, 4):
        inside = 0 <= i[b, step] < n and 0 <= j[step] < 2
        assert found[b, step] == (x[b, i[b, step], j[step]] if inside else 0.0)
    assert np.sum(found * seed_) == pytest.approx(np.sum(x * adjoint), abs=1e-12)


def test_scatter_adds_duplicates() -> None:
    with Builder():
        g, ids = apply("input", port="g", type=t("T=4")), apply("input", port="ids", type=i32("T=4"))
        y = apply("scatter", g, ids, labels=("V",), type=t("V=3"))
        (found,) = evaluate([y], {g: np.array([1.0, 2.0, 4.0, 8.0]), ids: np.array([1, 1, 5, 0], np.int32)}, {})
    assert found.tolist() == [8, 3, 0]


def test_topk_is_descending_and_takes_the_first_of_equal_ones() -> None:
    with Builder():
        x = apply("input", port="x", type=t("B=2 T=5"))
        y = apply("topk", x, label="T", k=3, new="K")
        (found,) = evaluate([y], {x: np.array([[1.0, 3.0, 3.0, 0.0, 3.0], [np.nan, 1.0, np.inf, 1.0, 1.0]])}, {})
    assert found.tolist() == [[1, 2, 4], [0, 2, 1]]


def test_topk_of_all_whole_numbers_sorts_even_the_least() -> None:
    with Builder():
        x = apply("input", port="x", type=i32("T=3"))
        (found,) = evaluate([apply("topk", x, label="T", k=3, new="A")], {x: np.int32([-(2**31), 5, 2**31 - 1])}, {})
    assert found.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("name", "types", "attributes", "message"),
    [
        ("gather", (t("V D"), t("T")), {"labels": ["V"]}, r"an index must be i32, not \[T\]"),
        ("gather", (t("V D"), i32("T"), i32("T")), {"labels": ["V"]}, r"gather\[V\] with 2 indices"),
        ("gather", (t("V D"),), {"labels": []}, "with 0 indices"),
        ("gather", (t("V D"), i32("T")), {"labels": ["W"]}, "no axis W"),
        ("gather", (t("B V"), i32("B=7")), {"labels": ["V"]}, "axes do not agree on B: B and 7"),
        ("scatter", (t("T"), i32("T")), {"labels": ["V"], "type": t("V D")}, r"takes \[D, T\], not \[T\]"),
        ("scatter", (boolean("T"), i32("T")), {"labels": ["V"], "type": boolean("V")}, "takes number operands"),
        ("topk", (t("T=3"),), {"label": "T", "k": 4, "new": "K"}, "4 of 3 elements"),
        ("topk", (t("T=3"),), {"label": "T", "k": -1, "new": "K"}, "k = -1 is less than 0"),
        ("topk", (boolean("T"),), {"label": "T", "k": 1, "new": "K"}, "takes number operands"),
    ],
)
def test_operands_that_do_not_fit_are_named(name: str, types: tuple[Type, ...], attributes: dict, message: str) -> None:
    with pytest.raises(TypeProblem, match=message):
        REGISTRY[name](**attributes).infer(*types)
