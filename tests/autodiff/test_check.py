"""The finite-difference oracle must find wrong derivatives, at both orders, and must not cry wolf."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.ops.examples import boolean, t
from zhdsl.autodiff.check import GradientMismatch, check_gradients
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.node import Builder, Node, apply


def stated(x: Node, derivative: float) -> Node:
    """2 * x, claimed to have this derivative."""
    _, _, dy = slots = new_slots([x.type] * 3)
    return apply("override", 2.0 * x, x, label="f", body=Body(0, 0, slots, (), (derivative * dy,)))


@pytest.fixture
def x() -> Node:
    with Builder():
        return apply("input", port="x", type=t("T"))


VALUES = np.array([0.3, -0.7, 1.1])


def test_right_derivatives_have_small_errors(x: Node) -> None:
    with Builder():
        y = apply("exp", x * x) * apply("sin", x)
        z = apply("sum", x * y, labels=("T",))
        for order in (1, 2, 3):
            assert check_gradients([y, z], [x], {x: VALUES}, {"T": 3}, order) < 1e-8


def test_a_wrong_derivative_is_found(x: Node) -> None:
    with Builder():
        assert check_gradients([stated(x, 2.0)], [x], {x: VALUES}, {"T": 3}) < 1e-9
        assert check_gradients([stated(x, 2.1)], [x], {x: VALUES}, {"T": 3}) > 1e-3
        with pytest.raises(GradientMismatch) as caught:
            check_gradients([stated(x, 2.1)], [x], {x: VALUES}, {"T": 3}, tol=1e-6)
    assert caught.value.operand == 0
    assert caught.value.found == pytest.approx(1.05 * caught.value.expected)


def test_a_derivative_that_is_wrong_at_second_order_only_is_found(x: Node) -> None:
    with Builder():
        _, _, dy = slots = new_slots([x.type] * 3)
        slope = apply("stop", 2.0 * slots[0])  # x * x: right, but a constant for the next derivative
        y = apply("override", x * x, x, label="f", body=Body(0, 0, slots, (), (slope * dy,)))
        assert check_gradients([y], [x], {x: VALUES}, {"T": 3}, order=1) < 1e-9
        assert check_gradients([y], [x], {x: VALUES}, {"T": 3}, order=2) > 1e-2


def test_a_gradient_that_is_missing_is_found(x: Node) -> None:
    with Builder():
        y = apply("stop", x) * x
        assert check_gradients([y], [x], {x: VALUES}, {"T": 3}) > 0.01


def test_a_gradient_that_is_not_finite_is_an_infinite_error(x: Node) -> None:
    with Builder():
        y = apply("where", apply("lt", x, x + 1.0), x, apply("log", x - 10.0) * 0.0)
        assert check_gradients([y], [x], {x: VALUES}, {"T": 3}) < 1e-9
        y = apply("sqrt", apply("where", apply("lt", x, x - 1.0), x, x * 0.0))
        assert check_gradients([y], [x], {x: VALUES}, {"T": 3}) == math.inf


def test_outputs_that_are_constant_or_not_float_are_no_trouble(x: Node) -> None:
    with Builder():
        c = apply("input", port="c", type=boolean("T"))
        infinite = apply("where", c, x, apply("const", value=math.inf, dtype="float"))
        outputs = [infinite, c, apply("floor", x)]
        values = {x: VALUES, c: np.array([True, False, True])}
        assert check_gradients(outputs, [x], values, {"T": 3}, order=2, tol=1e-9) < 1e-9


def test_large_operands_are_sampled(x: Node) -> None:
    with Builder():
        y = apply("tanh", x)
        values = {x: np.random.default_rng(0).uniform(-2, 2, 5000)}
        assert check_gradients([y], [x], values, {"T": 5000}, order=2, tol=1e-8) > 0.0
