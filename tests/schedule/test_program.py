"""The text of a program: what `zh emit --stage program` shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.schedule.programs import graph, program
from zhdsl.schedule import schedule
from zhdsl.schedule.program import view_text
from zhdsl.schedule.views import dense, flip, narrow

STEP = """
  input data x: [B, F=2] as %0
  input data y: [B, N=3] as %1
  input param W: [F=2, N=3] as %2
  %3 = contract[F](%0, %2)
  %4 = tanh(%3)
  %5 = sub(%4, %1)
  %6 = mul(%5, %5)
  %7 = sum[B, N](%6)
  %8 = mul(%4, %4)
  %9 = sub(1.0, %8)
  %10 = mul(%5, %9)
  %11 = contract[B](%0, %10)
  %12 = mul(0.1, %11)
  %13 = sub(%2, %12)
  output loss loss[] = %7
  output param W[F, N] = %13
"""
RECURRENCE = """
  input data h: [B] as %0
  input data x: [T, B] as %1
  %2 = scan[label=T, size=T, reverse=true, truncate=0, body={
    carry %0: [B]
    slice %1: [B]
    %2 = mul(%0, %1)
    next %2
  }](%0, %1)
  %3 = project[0](%2): [B, T]
  output result y[T, B] = %3
"""


def test_a_step_and_a_recurrence(golden: Callable[[str | Path, str], None]) -> None:
    golden("texts/step.txt", f"{program(STEP)}\n")
    golden("texts/recurrence.txt", f"{program(RECURRENCE)}\n")


def test_the_same_graph_gives_the_same_text() -> None:
    assert str(program(STEP)) == str(program(STEP))


def test_a_view_shows_offset_and_unusual_strides() -> None:
    whole = dense("v", graph("input data x: [B, D=3] as %0\n output result y[B, D] = %0").inputs[0].node.type.axes)
    assert view_text(whole) == "v[B, D]"
    assert view_text(flip(narrow(whole, "D", 1, whole.sizes["D"] - 1), "D")) == "v + 2[B*3, D*-1]"


def test_inputs_stay_although_nothing_uses_them() -> None:
    found = schedule(graph("input data x: [B] as %0\n input data y: [B] as %1\n output result z[B] = %1"))
    assert [e.key for e in found.inputs] == ["data/x", "data/y"]
    assert found.symbols == {"B"}
    assert "data/x" in found.buffers
