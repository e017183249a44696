"""Scalar functions where they are delicate: zeros, infinities, rounding, truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.ops.examples import boolean, i32, t
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.node import Builder, Node, apply
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.types import Type, TypeProblem
from zhdsl.ops.evaluate import evaluate
from zhdsl.ops.source import Const
from zhdsl.ops.special import erf


def value(name: str, *arrays: object, **attributes: object) -> list[object]:
    """The op on vectors."""
    given = [np.asarray(a) for a in arrays]
    dtypes = {"b": "bool", "i": "i32", "f": "float"}
    with Builder():
        xs = [
            apply("input", port=f"x{i}", type=Type(dtypes[a.dtype.kind], (("N", a.size),))) for i, a in enumerate(given)
        ]
        return evaluate([apply(name, *xs, **attributes)], dict(zip(xs, given, strict=True)), {})[0].tolist()


def slopes(name: str, *numbers: float, **attributes: object) -> list[float | None]:
    """The derivatives of the op in scalars."""
    with Builder():
        xs = [apply("input", port=f"x{i}", type=t()) for i in range(len(numbers))]
        one: Node = apply("const", value=1.0, dtype="float")
        found = gradients([apply(name, *xs, **attributes)], [one], xs)
        results = iter(evaluate([g for g in found if g is not None], dict(zip(xs, numbers, strict=True)), {}))
        return [None if g is None else next(results).item() for g in found]


def test_erf_is_that_of_the_c_library() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), 10.0 ** np.linspace(-300, 2, 2001), [0.0, np.inf, -np.inf]])
    wanted = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(erf(x), wanted, rtol=5e-16, atol=0)
    assert np.isnan(erf(np.array(np.nan)))
    assert np.signbit(erf(np.array(-0.0)))
    assert erf(np.float32([0.5])).dtype == np.float32


def test_floor_division_and_remainder_round_towards_minus_infinity() -> None:
    x, y = [7, -7, 7, -7], [2, 2, -2, -2]
    assert value("floordiv", np.int32(x), np.int32(y)) == [3, -4, -4, 3]
    assert value("mod", np.int32(x), np.int32(y)) == [1, 1, -1, -1]
    assert value("mod", np.float64(x), np.float64(y)) == [1.0, 1.0, -1.0, -1.0]


def test_zero_to_the_zeroth_power_is_one() -> None:
    assert value("ipow", [0.0, 2.0], exponent=0) == [1.0, 1.0]
    assert value("pow", [0.0, 0.0], [0.0, 2.0]) == [1.0, 0.0]
    assert value("ipow", np.int32([0, -3]), exponent=3) == [0, -27]


def test_powers_have_finite_derivatives_at_zero() -> None:
    assert slopes("ipow", 0.0, exponent=1) == [1.0]
    assert slopes("ipow", 0.0, exponent=2) == [0.0]
    assert slopes("ipow", 0.0, exponent=0) == [None]
    assert slopes("pow", 0.0, 2.0) == [0.0, 0.0]
    assert slopes("pow", 0.0, 0.0) == [0.0, 0.0]
    assert slopes("pow", 0.0, 1.0) == [1.0, 0.0]


def test_a_negative_exponent_is_the_reciprocal() -> None:
    assert value("ipow", [2.0, -0.5], exponent=-3) == [0.125, -8.0]


def test_an_infinite_branch_that_is_not_taken_does_not_reach_the_gradient() -> None:
    with Builder():
        x = apply("input", port="x", type=t())
        c = apply("lt", x, apply("const", value=1.0, dtype="float"))
        dead = apply("exp", 1000.0 * x)
        y = apply("where", c, x, apply("stop", dead))
        (g,) = gradients([y], [apply("const", value=1.0, dtype="float")], [x])
        assert g is not None
        values = evaluate([dead, y, g], {x: 0.75}, {})
    assert [v.item() for v in values] == [math.inf, 0.75, 1.0]


def test_comparisons_with_nan_are_false() -> None:
    for name in ("lt", "le", "eq"):
        assert value(name, [math.nan, 1.0], [1.0, math.nan]) == [False, False]


def test_a_cast_to_i32_truncates() -> None:
    assert value("cast", [1.9, -1.9, 0.5], dtype="i32") == [1, -1, 0]
    assert value("cast", [0.5, 0.0], dtype="bool") == [True, False]


def test_i32_wraps_around() -> None:
    assert value("add", np.int32([2**31 - 1]), np.int32([1])) == [-(2**31)]


def test_constants_that_are_equal_but_not_the_same_stay_apart() -> None:
    zero, minus, nan = (Const(v, "float") for v in (0.0, -0.0, math.nan))
    assert zero != minus
    assert nan == Const(float("nan"), "float")
    assert Const(1, "float") == Const(1.0, "float")
    assert Const(1, "i32") != Const(True, "bool")
    assert minus.is_value(0.0) and not nan.is_value(math.nan)


@pytest.mark.parametrize(
    ("name", "types", "attributes", "message"),
    [
        ("add", (t("B"), t("B=2")), {}, "axes do not agree on B: B and 2"),
        ("add", (t("B"), i32("B")), {}, "add of different dtypes: float, i32"),
        ("add", (t("B"), t("B", "f64")), {}, "add of different dtypes: f64, float"),
        ("mul", (boolean(), boolean()), {}, "mul takes number operands, not bool"),
        ("exp", (i32("B"),), {}, "exp takes float operands, not i32"),
        ("div", (i32("B"), i32()), {}, "div takes float operands, not i32"),
        ("and", (t(), t()), {}, "and takes bool operands, not float"),
        ("where", (t(), t(), t()), {}, "the condition of where must be bool"),
        ("where", (boolean(), t(), i32()), {}, "where of different dtypes: float, i32"),
        ("ipow", (i32(),), {"exponent": -1}, "ipow with exponent -1 takes float operands"),
        ("cast", (t(),), {"dtype": "int"}, "cast to int: the dtypes are bool, i32, float"),
    ],
)
def test_operands_that_do_not_fit_are_named(name: str, types: tuple[Type, ...], attributes: dict, message: str) -> None:
    with pytest.raises(TypeProblem, match=message):
        REGISTRY[name](**attributes).infer(*types)
