"""Loops printed as `scan`: the same numbers in every order of carries, slices and results, and lines that read well."""

from __future__ import annotations

import pytest

from tests.lang.in_text import model
from tests.lang.printed import drawn, require_same
from zhdsl.ir.graph import Graph
from zhdsl.lang import decompile
from zhdsl.runtime.step import gradient_graph

SIZES = {"B": 2, "T": 5, "S": 3}

LOOPS = {
    "forward": """model M(x: [B, T, N=3]) -> y: [B, T, N=3] {
  return scan t over T from h = zeros[B, N=3] {
    h = tanh(x[t] + 0.5 * h)
    emit h
  }
}""",
    "reverse": """model M(x: [B, T, N=3]) -> y: [B, T, N=3] {
  return scan t over T reverse from h = x[T=-1] {
    h = x[t] * h + 1
    emit h * h
  }
}""",
    "last": """model M(x: [B, T, N=3]) -> (h: [B, N=3], n: i32[B]) {
  return scan t over T from h = zeros[B, N=3], n = i32(zeros[B]) {
    h = h + x[t]
    n = n + i32(x[t][N=0] > 0)
    emit last h, last n
  }
}""",
    "several results": """model M(x: [B, T, N=3], keep: bool[B, T]) -> (a: [B, T, N=3], b: [B, T], c: [B, N=3]) {
  return scan t over T from h = zeros[B, N=3], c = ones[B, N=3] {
    c = c * 0.5 + x[t]
    h = where(keep[t], tanh(c + h), h)
    emit h, sum[N](h * c), last c
  }
}""",
    "captured values": """model M(x: [B, T, N=3], m: [B, S, N=3], U: [N'=3, N=3]) -> y: [B, T, N=3] {
  k = m * 2
  return scan t over T from h = m[S=0] {
    a = softmax[S](sum[N](k * h))
    h = tanh(x[t] + h @ U) + sum[S](a * m)
    emit h
  }
}""",
    "carries that change places": """model M(x: [B, T]) -> (a: [B, T], b: [B, T], c: [B]) {
  return scan t over T from p = ones[B], q = zeros[B], r = 2 * ones[B] {
    p, q, r = q, r, p + x[t]
    emit p - q, r, last q
  }
}""",
    "a swap": """model M(x: [B, T]) -> y: [B, T] {
  return scan t over T from p = ones[B], q = zeros[B] {
    y = x[t] * p
    p, q = q, p
    emit y + p - q
  }
}""",
    "a delay": """model M(x: [B, T]) -> (a: [B, T], b: [B]) {
  return scan t over T from p = zeros[B], q = zeros[B] {
    q = p
    p = x[t]
    emit q + p, last q
  }
}""",
    "on entry": """model M(x: [B, T]) -> (a: [B, T], b: [B, T]) {
  return scan t over T from h = zeros[B] {
    old = h
    h = h * x[t] + 1
    emit old, h - old
  }
}""",
    "no carry": """model M(x: [B, T], y: [T, B]) -> z: [B, T] {
  return scan t over T {
    emit x[t] * y[t]
  }
}""",
    "no slice": """model M(x: [B]) -> y: [T=4, B] {
  return scan t over T=4 from h = x {
    h = h * h - 1
    emit h
  }
}""",
    "one in another": """model M(x: [B, T, S]) -> y: [B, T] {
  return scan t over T from total = zeros[B] {
    inner = scan s over S from h = total {
      h = h + x[t][s] * 0.5
      emit last h
    }
    total = tanh(inner)
    emit total
  }
}""",
    "constants": """model M(x: [B, T]) -> (y: [B, T], n: i32[T]) {
  return scan t over T from h = 1.5 + zeros[B], k = i32(0) {
    h = h * 0.5 + x[t]
    k = k + 1
    emit h, k
  }
}""",
    "positions": """model M(x: [B, T], W: [V=7, B]) -> (y: [B, T], c: i32[T]) {
  places = iota[T]
  return scan t over T from c = i32(1) {
    c = (c * 3 + places[t]) % 7
    emit W[V=c] * x[t], c
  }
}""",
    "draws": """model M(x: [B, T]) -> y: [B, T] {
  return scan t over T from h = zeros[B] {
    h = where(uniform[B] < 0.5, h, x[t]) + uniform[B]
    emit h
  }
}""",
    "truncated": """model M(x: [B, T], w: []) -> y: [B, T] {
  return scan t over T truncate 2 from h = zeros[B] {
    h = tanh(w * h + x[t])
    emit h
  }
}""",
    "the axis second": """model M(x: [T, B, N=3], U: [N'=3, N=3]) -> y: [B, M=3] {
  y = scan t over T from h = zeros[B, N=3] {
    h = x[t] + h @ U
    emit h
  }
  return (y[T=0] @ U)[N as M]
}""",
}


def graph_of(name: str) -> Graph:
    return model(LOOPS[name]).infer


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_printed_with_its_numbers(name: str) -> None:
    graph = graph_of(name)
    require_same(graph, drawn(graph, SIZES), SIZES)


@pytest.mark.parametrize("name", [n for n in LOOPS if n != "positions"])
def test_its_derivative_is_printed_with_its_numbers(name: str) -> None:
    found = model(LOOPS[name])
    inputs = [p.name for p in found.inputs if p.node.type.is_float]
    for order in (1, 2):
        graph = gradient_graph(found, inputs, order)
        require_same(graph, drawn(graph, SIZES), SIZES, 1e-12)


def body(name: str) -> str:
    text = decompile.text(graph_of(name), "f")
    return text[text.index("\n") + 1 :]


def test_a_carried_name_takes_its_new_value_where_it_is_computed() -> None:
    assert (
        body("several results")
        == """\
  a, b, c = scan t over T from h = zeros[B, N=3], c = ones[B, N=3] {  # test.zh:2
    c = 0.5 * c + x[t]  # test.zh:3
    h = where(keep[t], tanh(c + h), h)  # test.zh:4
    emit h, sum[N](h * c), last c
  }
  return a, b, c
}
"""
    )


def test_values_on_entry_have_names_of_their_own() -> None:
    assert (
        body("on entry")
        == """\
  a, b = scan t over T from h = zeros[B] {  # test.zh:2
    h_before = h
    h2 = h * x[t] + 1  # test.zh:4
    v = h2 - h  # test.zh:5
    h = h2
    emit h_before, v
  }
  return a, b
}
"""
    )


def test_carries_that_only_hand_on_change_in_a_good_order() -> None:
    assert (
        body("carries that change places")
        == """\
  a, b, c = scan t over T from p = ones[B], q = zeros[B], r = 2 * ones[B] {  # test.zh:2
    r2 = p + x[t]  # test.zh:3
    v = q - r  # test.zh:4
    p = q
    q = r
    r = r2
    emit v, r2, last q
  }
  return a, b, c
}
"""
    )


def test_carries_that_swap_change_at_once() -> None:
    assert "    p, q = q, p\n    emit v\n" in body("a swap")


def test_a_loop_without_slices_says_how_long_it_is() -> None:
    assert "scan t over T=4 from h = x {" in body("no slice")


def test_a_loop_in_a_loop_stands_in_its_body() -> None:
    assert (
        body("one in another")
        == """\
  total = scan t over T from total = zeros[B] {  # test.zh:2
    inner = scan s over S from h = total {  # test.zh:3
      h = h + 0.5 * x[t][s]  # test.zh:4
      emit last h
    }
    total = tanh(inner)  # test.zh:7
    emit total
  }
  return total
}
"""
    )
