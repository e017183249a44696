"""Uniform numbers: known answers, the same bits in every layout, and that they look uniform."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.examples import axes, i32, t
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.types import Type, TypeProblem
from zhdsl.ops.evaluate import evaluate
from zhdsl.ops.random import threefry

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(  # Source: known answers of the authors' library (Random123, kat_vectors)
    ("counter", "key", "wanted"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_known_answers(counter: tuple, key: tuple, wanted: tuple) -> None:
    assert tuple(int(x[0]) for x in threefry(words(*key), words(*counter))) == wanted


def words(*values: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array([v], np.uint32) for v in values)


def drawn(*counters: object, stream: int = 1, shape: str = "T=5", dtype: str = "float64") -> np.ndarray:
    """Counters are numbers, or vectors with the label S."""
    arrays = [np.asarray(c, np.int32) for c in counters]
    with Builder():
        nodes = [
            apply("input", port=f"c{i}", type=Type("i32", (("S", a.size),) if a.ndim else ()))
            for i, a in enumerate(arrays)
        ]
        y = apply("uniform", *nodes, stream=stream, axes=axes(shape))
        return evaluate([y], dict(zip(nodes, arrays, strict=True)), {}, dtype)[0]


def test_the_numbers_are_those_of_the_documented_rule() -> None:
    seed, step, stream = 7, 11, 3
    key = threefry(words(seed, stream), words(step, 1))
    blocks = [threefry(key, words(b, 0)) for b in range(3)]
    bits = [int(w[0]) for pair in blocks for w in pair][:5]
    assert drawn(seed, step, stream=stream).tolist() == [(b >> 8) / 2**24 for b in bits]


def test_the_same_bits_in_every_layout() -> None:
    flat = drawn(1, 2, shape="T=12")
    np.testing.assert_array_equal(drawn(1, 2, shape="A=3 B=4"), flat.reshape(3, 4))
    np.testing.assert_array_equal(drawn(1, 2, shape="B=3 A=4"), flat.reshape(3, 4).T)  # listed order, not sorted order
    np.testing.assert_array_equal(drawn(1, 2, shape="T=7"), flat[:7])
    np.testing.assert_array_equal(drawn(1, 2, shape="T=12", dtype="float32"), flat.astype(np.float32))


def test_a_counter_with_a_label_draws_each_sample_as_if_alone() -> None:
    many = drawn(5, [3, 9, 4], 2, shape="A=3 Z=2")  # [A, S, Z]
    for i, sample in enumerate((3, 9, 4)):
        np.testing.assert_array_equal(many[:, i], drawn(5, sample, 2, shape="A=3 Z=2"))


def test_every_counter_and_the_stream_matter() -> None:
    base = drawn(1, 2, 3)
    others = [drawn(2, 2, 3), drawn(1, 3, 3), drawn(1, 2, 4), drawn(1, 3, 2), drawn(1, 2), drawn(1, 2, 3, stream=2)]
    assert not any(np.any(base == other) for other in others)


def test_negative_counters_are_counters() -> None:
    assert np.all(drawn(-1, -5) != drawn(-1, -6))


def test_the_numbers_look_uniform() -> None:
    x = drawn(0, 0, shape="T=200001")
    assert 0.0 <= x.min() < 1e-4 and 1 - 1e-4 < x.max() < 1.0
    assert x.mean() == pytest.approx(0.5, abs=2e-3)
    assert x.var() == pytest.approx(1 / 12, abs=1e-3)
    counts = np.histogram(x, 100, (0, 1))[0]
    assert np.sum((counts - 2000.01) ** 2 / 2000.01) < 150  # chi², 99 degrees of freedom: p = 7e-4
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.01


@pytest.mark.parametrize(
    ("types", "stream", "message"),
    [
        ((), 0, "uniform without a seed"),
        ((i32(),), -1, "stream -1 is not a word of 32 bits"),
        ((i32(),), 2**32, "is not a word of 32 bits"),
        ((t(),), 0, "an index must be i32"),
        ((i32(), i32("T")), 0, "there is an axis T already"),
    ],
)
def test_operands_that_do_not_fit_are_named(types: tuple[Type, ...], stream: int, message: str) -> None:
    with pytest.raises(TypeProblem, match=message):
        REGISTRY["uniform"](stream=stream, axes=axes("T=5")).infer(*types)
