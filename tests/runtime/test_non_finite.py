"""The first value that is not finite is named, with its place in the text."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.runtime import recipes
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Origin, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.runtime.non_finite import first_non_finite
from zhdsl.source import Source, Span

TEXT = Source("net.zh", "a = log(x)\nb = a * 2\nc = b + x\n")
AXES = Type("float", (("B", Size.of("B")),))


def line(number: int) -> list[Origin]:
    return [Origin(Span(TEXT, TEXT.starts[number - 1] + 4, TEXT.starts[number] - 1))]


def graph() -> Graph:
    with Builder() as b:
        x = recipes.port("x", AXES, ("B",))
        with b.at(line(1)):
            a = apply("log", x.node)
        b.note(a, frozenset(), "a")
        with b.at(line(2)):
            twice = a * 2.0
        with b.at(line(3)):
            result = twice + x.node
        return close("net", (x,), (Port("c", result, ("B",), "result"),), b)


def asked(x: Any) -> str:
    net = graph()
    return first_non_finite(net, {("data", "x"): np.asarray(x)}, "float64", net.outputs[0].node)


def test_the_first_node_is_named_and_not_those_after_it() -> None:
    assert asked([1.0, -1.0, 2.0]) == (
        "log (a) gives 1 of 3 values that are not finite, from net.zh:1:5 (forward): 'log(x)'; "
        "its operands are in -1 … 2"
    )


def test_data_that_are_not_finite_are_named_first() -> None:
    assert asked([1.0, np.nan]) == "the data x holds 1 of 2 values that are not finite"


def test_an_infinity_is_named_where_there_is_no_nan() -> None:
    assert asked([0.0, 1.0]).startswith("log (a) gives 1 of 2")


def test_nothing_is_said_of_finite_values() -> None:
    assert asked([1.0, 2.0]) == ""


def test_a_nan_made_of_an_infinity_is_traced_to_it() -> None:
    with Builder() as b:
        x = recipes.port("x", AXES, ("B",))
        result = (1.0 / x.node) * x.node
        net = close("net", (x,), (Port("c", result, ("B",), "result"),), b)
    told = first_non_finite(net, {("data", "x"): np.array([0.0, 1.0])}, "float64", net.outputs[0].node)
    assert told.startswith("div gives 1 of 2")


def test_a_nan_made_of_a_mask_is_told_where_it_is_made() -> None:
    with Builder() as b:
        x = recipes.port("x", AXES, ("B",))
        mask = apply("where", apply("lt", x.node, recipes.number(0.0)), recipes.number(-np.inf), x.node)
        net = close("net", (x,), (Port("c", mask - mask, ("B",), "result"),), b)
    told = first_non_finite(net, {("data", "x"): np.array([1.0, -1.0])}, "float64", net.outputs[0].node)
    assert told.startswith("sub gives 1 of 2")


def test_a_nan_is_traced_past_an_infinity_made_on_purpose() -> None:
    with Builder() as b:
        x = recipes.port("x", AXES, ("B",))
        mask = apply("where", apply("lt", x.node, recipes.number(0.0)), recipes.number(-np.inf), x.node)
        result = apply("sqrt", x.node) + apply("exp", mask)
        net = close("net", (x,), (Port("c", result, ("B",), "result"),), b)
    told = first_non_finite(net, {("data", "x"): np.array([1.0, -1.0])}, "float64", net.outputs[0].node)
    assert told.startswith("sqrt gives 1 of 2")
