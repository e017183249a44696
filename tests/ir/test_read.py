"""What the reader says to text that is no graph: place and reason."""

from __future__ import annotations

import pytest

import zhdsl.ops  # noqa: F401 - fills the registry
from zhdsl.errors import CompilerError
from zhdsl.ir.read import read_graph, read_size
from zhdsl.ir.sizes import Size

LINE = "graph g {{\n  input data x: [B, F=2] as %0\n  {}\n}}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%1 = tang(%0)", "3:12: there is no op tang"),
        ("%1 = tanh(%2)", "3:13: %2 is not defined"),
        ("%0 = tanh(%0)", "4:1: %0 is defined twice"),
        ("%1 = tanh(%0): [B]", "tanh gives [B, F=2], not [B]"),
        ("%1 = sum[Q](%0)", "sum[Q]: no axis Q in [B, F=2]"),
        ("%1 = sum[labels=Q](%0)", "3:18: , expected, not ="),
        ("%1 = flip(%0)", "flip: "),
        ("%1 = pad[label=F, width=3](%0)", "3:26: there is no field width"),
        ("%1 = tanh(%0) $", "3:17: '$' means nothing here"),
        ("%1 = mul(%0, x)", "3:16: a value expected, not x"),
        ("%1 = mul(%0, none)", "a value expected"),
        ("output answer y[B, F] = %0", "3:10: result or loss or metric or grad or param or state expected, not answer"),
        ("%1 = tanh(%0) result", "3:17: input or output expected, not result"),
        ("%1 = ipow[1.5](%0", ", expected, not }"),
        ("%1 = slice[label=F, start=0.5, size=1](%0)", "3:29: a whole number expected, not 0.5"),
        ("%1 = window[label=F](%0)", "window: "),
    ],
)
def test_errors_name_the_place(line: str, message: str) -> None:
    with pytest.raises(CompilerError) as caught:
        read_graph(LINE.format(line))
    assert str(caught.value).startswith("read: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "graph", "graph g", "graph g {", "graph g { } }", "graph g { input", '"'])
def test_an_unfinished_text_is_no_graph(text: str) -> None:
    with pytest.raises(CompilerError, match="read: 1:"):
        read_graph(text)


@pytest.mark.parametrize("text", ["", "B +", "2.5", "(B", "B B", "max(B"])
def test_an_unfinished_size_is_none(text: str) -> None:
    with pytest.raises(CompilerError, match="read: 1:"):
        read_size(text)


def test_sizes_follow_the_rules_of_arithmetic() -> None:
    b, t = Size.of("B"), Size.of("T")
    assert read_size("2*B*T + B // 2 - -3") == b * t * 2 + b // 2 + 3
    assert read_size("(B + T) * 2 / 2") == b + t
    assert read_size("B - T - 1") == b - t - 1


def test_types_may_be_left_out() -> None:
    graph = read_graph(LINE.format("%1 = tanh(%0)\n output result y[F, B] = %1"))
    assert str(graph.outputs[0].node.type) == "[B, F=2]"


def test_a_type_that_the_op_needs_must_be_there() -> None:
    with pytest.raises(CompilerError, match="project"):
        read_graph(LINE.format("%1 = project[0](%0)"))
