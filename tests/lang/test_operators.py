"""Operators match axes by name: orders, unions, contractions, and the errors where labels meet with two sizes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lang.in_text import codes, order, value

X = np.arange(6.0).reshape(2, 3)


def f(body: str, signature: str = "x: [B, T]") -> str:
    return f"fn M({signature}) {{ return {body} }}"


def test_a_missing_label_repeats() -> None:
    got = value(f("x + y", "x: [B, T], y: [T]"), x=X, y=np.array([10.0, 20, 30]))
    assert np.array_equal(got, X + np.array([10, 20, 30]))


def test_a_size_of_one_does_not_stretch() -> None:
    assert codes("model M(x: [B, C=3], y: [B, C=1]) -> [B, C=3] { return x + y }") == ["Z0312"]


def test_two_independent_symbols_are_not_equal_but_require_makes_them() -> None:
    text = "model M(x: [B, S], y: [B, T]) -> [B, T]{} {{ return x[S as T] + y }}"
    assert codes(text.format("")) == ["Z0313"]
    got = value(text.format(" require S == T"), x=X, y=X)
    assert np.array_equal(got, X + X)


@pytest.mark.parametrize(
    ("body", "axes"),
    [
        ("g * x", ("B", "C", "H")),  # the operand whose labels include the other's gives the order
        ("x * g", ("B", "C", "H")),
        ("m - x", ("B", "C", "H")),
        ("a + b", ("B", "A", "K")),  # else left, then new
        ("x / m", ("B", "C", "H")),
        ("where(g > 0, x, 0)", ("B", "C", "H")),
    ],
)
def test_the_order_of_a_result(body: str, axes: tuple[str, ...]) -> None:
    assert order(f(body, "x: [B, C, H], g: [C], m: [C, H], a: [B, A], b: [K, A]")) == axes


def test_at_contracts_last_with_first() -> None:
    w = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(value(f("x @ w", "x: [B, T], w: [T, N]"), x=X, w=w), X @ w)


def test_at_takes_square_weights_with_a_primed_label() -> None:
    u = np.arange(9.0).reshape(3, 3)
    got = value(
        "block M(h: [B, N=3]) -> [B, N=3] { param U: [N', N=3] = glorot return h @ U }".replace(" return", "\n return"),
        h=X,
        U=u,
    )
    assert np.array_equal(got, X @ u)


def test_at_of_a_label_that_both_sides_have_elsewhere_is_an_error() -> None:
    assert codes("model M(q: [B, H, Q, E=2], k: [B, H, E=2, K]) -> [B, H, Q, K] { return q @ k }") == ["Z0314"]


def test_at_of_unequal_sizes_is_an_error() -> None:
    assert codes("model M(x: [B, D=3], w: [F=4, N=2]) -> [B, N=2] { return x @ w }") == ["Z0315"]


def test_a_sum_of_a_product_is_one_contraction() -> None:
    from tests.lang.in_text import model

    graph = model(f("sum[E](q * k)", "q: [B, Q, E], k: [B, K, E]")).infer
    assert [n.op.name for n in graph.nodes if n.op.family != "source"] == ["contract"]


def test_numbers_are_weak() -> None:
    got = value(f("i + 0.5", "i: i32[B]"), i=np.array([1, 2], np.int32))
    assert np.array_equal(got, [1.5, 2.5])


def test_integer_division_keeps_integers_and_the_slash_gives_floats() -> None:
    i = np.array([7, -7], np.int32)
    assert value(f("i // 2", "i: i32[B]"), i=i).tolist() == [3, -4]
    assert value(f("i % 2", "i: i32[B]"), i=i).tolist() == [1, 1]
    assert value(f("i / 2", "i: i32[B]"), i=i).tolist() == [3.5, -3.5]


def test_a_whole_power_of_zero_is_one() -> None:
    assert value(f("x ^ 0"), x=np.zeros((1, 1))).tolist() == [[1.0]]


def test_a_sum_of_truth_values_counts() -> None:
    assert value(f("sum[T](x > 2)"), x=X).tolist() == [0, 3]


def test_where_wants_a_condition() -> None:
    assert codes("model M(x: [B]) -> [B] { return where(x, x, 0) }") == ["Z0503"]


def test_two_floats_do_not_mix() -> None:
    assert codes("model M(x: f64[B], y: f32[B]) -> f64[B] { return x + y }") == ["Z0502"]


def test_max_and_min_take_an_axis_or_two_values() -> None:
    assert value(f("max[T](x)"), x=X).tolist() == [2, 5]
    assert value(f("min[T](x)"), x=X).tolist() == [0, 3]
    assert value(f("max(x, 2.5)"), x=X).tolist() == [[2.5] * 3, [3, 4, 5]]
    assert value(f("min(x, 2.5)"), x=X).tolist() == [[0, 1, 2], [2.5] * 3]


def test_static_arithmetic_is_exact() -> None:
    assert value(f("x * (7 // 2 + 7 % 4 + ceil(5 / 2) + max(1, 2) - 2 ^ 3)"), x=X).tolist() == (X * 3).tolist()


def test_an_axis_gives_its_size() -> None:
    assert value(f("x / x.T"), x=X).tolist() == (X / 3).tolist()
    assert value(f("sum(x) / size(x)"), x=X) == X.mean()
