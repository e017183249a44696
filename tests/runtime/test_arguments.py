"""What a user passes is taken if it fits, and otherwise answered with the port, its type and what was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.runtime import recipes
from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Port
from zhdsl.ir.node import Builder
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang.model import Guard
from zhdsl.runtime.arguments import arrays_of, require_guards, sizes_of, taken, type_text


@pytest.fixture(autouse=True)
def _building() -> Iterator[None]:
    with Builder():
        yield


def port(name: str, dtype: str = "float", **axes: Any) -> Port:
    return recipes.port(name, Type(dtype, tuple((n, Size.of(s)) for n, s in axes.items())), tuple(axes))


def given(value: Any, dtype: str = "float", finite: bool = False, **axes: Any) -> np.ndarray[Any, Any]:
    found, _ = arrays_of([port("x", dtype, **axes)], {"x": value}, "float32", finite)
    return found["data", "x"]


def test_lists_and_numbers_become_arrays_of_the_dtype() -> None:
    assert given([[1, 2], [3, 4]], B="B", F=2).dtype == np.float32
    assert given(3).shape == ()
    assert given([True, False], "i32", B="B").tolist() == [1, 0]
    assert given([True, False], B="B").tolist() == [1, 0]
    assert given([1, 0], "bool", B="B").dtype == np.bool_
    assert given(np.arange(4, dtype=np.int64), "i32", B="B").dtype == np.int32


@pytest.mark.parametrize(
    ("value", "dtype", "says"),
    [
        ([1.5], "i32", r"x: i32\[B\]: float64 is given\nhelp: round"),
        ([float("nan")], "i32", "float64 is given"),
        ([2**31], "i32", "not whole numbers of 32 bits"),
        ([2], "bool", "not true or false"),
        (["a"], "float", "holds no numbers"),
        ([[1.0]], "float", r"shape \[1, 1\] has 2 axes, not 1"),
        ([[1.0], [1.0, 2.0]], "float", "this is no array"),
        ([1 + 2j], "float", "complex128 holds no numbers"),
    ],
)
def test_what_does_not_fit_is_refused(value: Any, dtype: str, says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        given(value, dtype, B="B")


def test_values_that_are_not_finite_are_refused_only_for_training() -> None:
    assert np.isnan(given([1.0, np.nan], B="B")[1])
    with pytest.raises(TrainingError, match=r"x: \[B\]: the value at \[1\] is nan"):
        given([1.0, np.nan], finite=True, B="B")


def test_names_are_bound_in_order_and_by_name() -> None:
    ports = [port("x", B="B"), port("label", "i32", B="B")]
    assert taken(ports, [1], {"label": 2}) == {"x": 1, "label": 2}
    for args, named, says in (
        ([1, 2, 3], {}, "3 arrays are given for 2 inputs"),
        ([1], {"lable": 2}, "did you mean label"),
        ([1], {"x": 1, "label": 2}, "x is given twice"),
        ([1], {}, r"label is missing\nhelp: it takes x: \[B\], label: i32\[B\]"),
    ):
        with pytest.raises(TrainingError, match=says):
            taken(ports, args, named)


def test_symbols_are_found_from_shapes() -> None:
    ports = [port("x", B="B", T="T"), port("y", B="B", S=Size.of("T") * 2 + 1), port("z", Q=Size.of("K") * 3)]
    assert sizes_of(ports, [(4, 5), (4, 11), (12,)]) == {"B": 4, "T": 5, "K": 4}


def test_a_size_that_is_given_before_its_symbol_is_settled_later() -> None:
    product = Size.of("B") * Size.of("T")
    assert sizes_of([port("y", M=product), port("x", B="B", T="T")], [(20,), (4, 5)]) == {"B": 4, "T": 5}


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ([(4, 3), (4,)], r"x: \[B, F=2\]: shape \[4, 3\]: axis F has size 3, not 2"),
        ([(4, 2), (5,)], r"y: \[B\]: shape \[5\]: axis B has size 5, not B = 4"),
    ],
)
def test_sizes_that_do_not_agree_are_named(shapes: Any, says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        sizes_of([port("x", B="B", F=2), port("y", B="B")], shapes)


def test_a_size_that_no_symbol_gives_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"the size of M cannot be 2\*K"):
        sizes_of([port("y", M=Size.of("K") * 2)], [(7,)])


def test_a_guard_that_does_not_hold_is_quoted_with_its_sizes() -> None:
    guard = Guard(Size.of("T"), "<=", Size.of(8), recipes.HERE, "T <= 8")
    require_guards([guard], {"T": 8})
    with pytest.raises(TrainingError, match=r"line\.zh:1:1: T <= 8 does not hold for T = 9"):
        require_guards([guard], {"T": 9})


def test_types_are_written_in_the_order_of_the_port() -> None:
    with Builder():
        turned = recipes.port("x", Type("i32", (("B", Size.of("B")), ("A", Size.of(2)))), ("B", "A"))
    assert type_text(turned) == "x: i32[B, A=2]"
