"""Indexing: positions, slices, gathers, renames."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lang.in_text import codes, order, value

X = np.arange(12.0).reshape(3, 4)


def f(body: str, signature: str = "x: [B, T=4]") -> str:
    return f"fn M({signature}) {{ return {body} }}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x[T=0]", X[:, 0]),
        ("x[T=-1]", X[:, -1]),
        ("x[T=1..]", X[:, 1:]),
        ("x[T=..2]", X[:, :2]),
        ("x[T=1..3]", X[:, 1:3]),
        ("x[T=0..-1]", X[:, :-1]),
        ("x[B=0, T=2]", X[0, 2]),
        ("flip[T](x)", X[:, ::-1]),
        ("pad[T = (1, 2)](x)", np.pad(X, [(0, 0), (1, 2)])),
        ("concat[T](x, x[T=0..1])", np.concatenate([X, X[:, :1]], 1)),
        ("split[T = (A=2, C)](x)", X.reshape(3, 2, 2)),
        ("merge[F = (T, B)](x)", X.T.reshape(-1)),
        ("argmax[T](x)", [3, 3, 3]),
        ("sum[T](x * iota[T])", X @ np.arange(4)),
    ],
)
def test_forms(body: str, expected: np.ndarray) -> None:
    assert np.array_equal(value(f(body), x=X), expected)


def test_a_gather_is_an_embedding() -> None:
    ids = np.array([[2, 0], [1, 1]], np.int32)
    assert np.array_equal(value(f("w[V=ids]", "w: [V, D], ids: i32[B, T]"), w=X, ids=ids), X[ids])


def test_labels_shared_with_the_index_are_pointwise() -> None:
    label = np.array([1, 0, 3], np.int32)
    assert value(f("x[T=label]", "x: [B, T], label: i32[B]"), x=X, label=label).tolist() == [1, 4, 11]


def test_several_indices_at_once_crop() -> None:
    images = np.arange(32.0).reshape(2, 4, 4)
    a, b = np.array([0, 2], np.int32), np.array([1, 0], np.int32)
    got = value(
        f("x[H = a + iota[K=2][K as H], W = b + iota[K=2][K as W]]", "x: [B, H, W], a: i32[B], b: i32[B]"),
        x=images,
        a=a,
        b=b,
    )
    assert np.array_equal(got, [images[0, 0:2, 1:3], images[1, 2:4, 0:2]])


def test_an_index_out_of_range_reads_zero() -> None:
    got = value(f("x[T=i]", "x: [B, T], i: i32[B]"), x=X, i=np.array([-1, 4, 1], np.int32))
    assert got.tolist() == [0, 0, 9]


def test_a_rename_is_no_copy_of_meaning() -> None:
    got = value(f("sum[T](x * x[B as C])", "x: [B, T]"), x=X)
    assert np.array_equal(got, X @ X.T)


def test_the_gathered_axes_stand_where_the_indexed_one_stood() -> None:
    assert order(f("w[V=ids]", "w: [H, V, D], ids: i32[B, T]")) == ("H", "B", "T", "D")


def test_topk_gives_values_and_places() -> None:
    text = "fn M(x: [B, F=4]) { v, i = topk[F as K, 2](x)\n return v * 10 + i }"
    assert value(text, x=np.array([[1.0, 4, 4, 2]])).tolist() == [[41, 42]]


def test_windows_have_positions_and_taps() -> None:
    got = value(f("window[T, size = 3](x)"), x=X)
    assert np.array_equal(got, np.lib.stride_tricks.sliding_window_view(X, 3, 1))
    assert value(f('window[T, size = 3, pad = "same"](x)'), x=X).shape == (3, 4, 3)
    assert value(f('window[T, size = 3, pad = "full"](x)'), x=X).shape == (3, 6, 3)
    assert value(f("window[T, size = 2, stride = 2](x)"), x=X).tolist() == X.reshape(3, 2, 2).tolist()


def test_the_max_pooling_of_the_lecture() -> None:
    image = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4.0]])[None, None]
    got = value("fn M(x: [B, C, H=4, W=4]) { return maxpool[2](x) }", x=image)
    assert got[0, 0].tolist() == [[6, 8], [3, 4]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("x[T=4]", "Z0327"),
        ("x[T=2..9]", "Z0327"),
        ("x[H=0]", "Z0302"),
        ("x[0]", "Z0408"),
        ("x[T=0.5]", "Z0504"),
        ("x[T as B]", "Z0311"),
        ("split[T = (A=3, C)](x)", "Z0326"),
        ("window[T, size = 5](x)", "Z0328"),
        ("window[T, size = 2, stride = 0](x)", "Z0324"),
        ("sum[H](x)", "Z0302"),
        ("concat[H](x, x)", "Z0302"),
    ],
)
def test_errors(body: str, code: str) -> None:
    assert codes(f"model M(x: [B, T=4]) -> [B] {{ return {body} }}") == [code]
