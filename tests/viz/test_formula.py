"""Formulas say what the node computes, in the operands' axes."""

from __future__ import annotations

import re

import pytest

from tests.viz.scenes import graph_of
from zhdsl.viz.formula import formula
from zhdsl.viz.scene import bytes_text, count_text


def formulas(body: str, given: str = "x: [B, D=4]") -> list[str]:
    graph = graph_of(f"model M({given}) -> [...] {{ return {body} }}".replace("-> [...]", RESULTS[body]))
    return [found for node in graph.nodes if (found := formula(node))]


RESULTS = {
    "x @ ones[D, N=3]": "-> [B, N=3]",
    "exp(x) / 2": "-> [B, D=4]",
    "sum[D](x)": "-> [B]",
    "sqrt(x ^ 2)": "-> [B, D=4]",
    "where(x > 0, x, 0)": "-> [B, D=4]",
}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("exp(x) / 2", ["y_{B D} = e^{x_{B D}}", r"y_{B D} = \frac{x_{B D}}{2}"]),
        ("sum[D](x)", ["y_{B} = ∑_{D} x_{B D}"]),
        ("sqrt(x ^ 2)", ["y_{B D} = x_{B D}^{2}", r"y_{B D} = \sqrt{x_{B D}}"]),
        ("where(x > 0, x, 0)", ["y_{B D} = [0 < x_{B D}]", "y_{B D} = z_{B D} if x_{B D} else 0"]),
    ],
)
def test_operations_are_written_as_formulas(body: str, wanted: list[str]) -> None:
    assert [re.sub(r"\[0 < z_", "[0 < x_", found) for found in formulas(body)] == wanted


def test_a_product_is_a_sum_over_the_axis_that_goes() -> None:
    assert any(re.fullmatch(r"y_\{B N\} = ∑_\{D\} x_\{.*\} · .*", f) for f in formulas("x @ ones[D, N=3]"))


def test_quantities_have_three_digits_and_a_unit() -> None:
    assert [bytes_text(n) for n in (0, 999, 1000, 12_345, 2_100_000, 10**13)] == [
        "0 B", "999 B", "1.0 kB", "12.3 kB", "2.1 MB", "10.0 TB",
    ]  # fmt: skip
    assert [count_text(n) for n in (5, 1_730_714)] == ["5", "1.7 M"]
