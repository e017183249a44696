"""The textual form: what it looks like, and that reading it back gives the same graph, for every op and any fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.examples import CASES, EXAMPLES
from tests.passes.random_graphs import random_example
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, Origin, apply, topological
from zhdsl.ir.op import REGISTRY, Op
from zhdsl.ir.read import read_graph, read_op, read_size
from zhdsl.ir.sizes import Size, Undecided, extreme
from zhdsl.ir.text import attributes, describe, print_body, print_graph, print_op
from zhdsl.ir.types import DTYPES, Type
from zhdsl.source import Source, Span

TEXT = """graph Spirals {
  input data x: [B, F=2] as %0
  input param dense.W: [N=5, F=2] as %1
  input counter seed: i32[] as %2
  %3 = uniform[stream=3, axes=[N=5]](%2): [N=5]
  %4 = lt(%3, 0.5): bool[N=5]
  %5 z = contract[F](%0, %1): [B, N=5]
  %6 = tanh(%5): [B, N=5]
  %7 = mul(%6, float(2*B - 1)): [B, N=5]
  %8 = where(%4, %7, 0.0): [B, N=5]
  %9 = scan[label=B, size=B, reverse=false, truncate=0, body={
    carry %0 h: [N=5]
    slice %1: [N=5]
    capture %2: bool[N=5]
    %3 = add(%0, %1): [N=5]
    %4 = where(%2, %3, -inf): [N=5]
    next %4
    emit %3, 1.0
  }](%3, %8, %4): tuple[]
  %10 = project[1](%9): [B]
  output result p[N, B] = %8
  output result r[B] = %10
  output metric one[] = 1
}
"""


# ---------------------------------------------------------------- what it looks like
def test_a_graph_is_read_and_printed_as_it_was() -> None:
    assert print_graph(read_graph(TEXT)) == TEXT


def test_ports_have_names_roles_and_the_order_of_the_world_outside() -> None:
    graph = read_graph(TEXT)
    assert [(p.name, p.role, p.order) for p in graph.inputs] == [
        ("x", "data", ("B", "F")),
        ("dense.W", "param", ("N", "F")),
        ("seed", "counter", ()),
    ]
    assert [(p.name, p.role, p.order) for p in graph.outputs] == [
        ("p", "result", ("N", "B")),
        ("r", "result", ("B",)),
        ("one", "metric", ()),
    ]
    assert sorted(graph.names.values()) == ["h", "z"]


def test_places_are_comments_and_only_printed_when_asked_for() -> None:
    source = Source("net.zh", "y = tanh(x)\nz = y")
    with Builder() as b:
        x = apply("input", port="x", type=Type("float"))
        with b.at([Origin(Span(source, 4, 11)), Origin(Span(source, 12, 17), "backward")]):
            y = apply("tanh", x)
        graph = close("net", [Port("x", x, (), "data")], [Port("y", y, (), "result")], b)
    assert "  %1 = tanh(%0): []  # net.zh:1:5, net.zh:2:1 backward\n" in print_graph(graph, origins=True)
    assert "#" not in print_graph(graph)
    assert print_graph(read_graph(print_graph(graph, origins=True))) == print_graph(graph)


def test_an_input_under_another_name_says_what_it_is() -> None:
    with Builder() as b:
        w = apply("param", path="old.W", type=Type("float", (("B", "B"),)))
        b.names[w] = "weight"
        graph = close("net", [Port("new W", w, ("B",), "param")], [Port("y", w, ("B",), "result")], b)
    text = print_graph(graph)
    assert '  input param "new W": [B] as %0 weight = param[old.W]\n' in text
    again = read_graph(text)
    assert print_graph(again) == text
    assert again.inputs[0].node.op == w.op


def test_names_that_could_be_something_else_are_quoted() -> None:
    with Builder() as b:
        x = apply("input", port="a b", type=Type("float"))
        y = apply("tanh", x)
        b.names[y] = "next"
        graph = close("none", [Port("a b", x, (), "data")], [Port('"', y, (), "result")], b)
    text = print_graph(graph)
    assert 'graph "none" {' in text and 'as %0\n  %1 "next" = tanh' in text and 'output result "\\""[] = %1' in text
    assert print_graph(read_graph(text)) == text
    assert list(read_graph(text).names.values()) == ["next"]


def test_a_source_that_is_no_input_is_printed_too() -> None:
    with Builder() as b:
        x = apply("param", path="W", type=Type("i32", (("B", 3),)))
        graph = close("net", [], [Port("y", x, ("B",), "result")], b)
    assert "  %0 = param[W]: i32[B=3]\n" in print_graph(graph)
    assert print_graph(read_graph(print_graph(graph))) == print_graph(graph)


def test_a_node_is_described_by_its_op_and_types() -> None:
    graph = read_graph(TEXT)
    assert describe(graph.outputs[0].node) == "where(bool[N=5], [B, N=5], []): [B, N=5]"
    assert describe(graph.inputs[1].node) == "param[dense.W](): [F=2, N=5]"


def test_bodies_of_one_structure_have_one_text() -> None:
    def made() -> Body:
        h, x = new_slots([Type("float"), Type("float")])
        return Body(1, 1, (h, x), (h + x,), (x,))

    with Builder():
        one, other = made(), made()
    assert one.slots[0].op != other.slots[0].op
    assert print_body(one) == print_body(other)


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (1.0, "float", "1.0"),
        (-0.0, "float", "-0.0"),
        (inf, "float", "inf"),
        (-inf, "float", "-inf"),
        (nan, "float", "nan"),
        (1e-5, "float", "1e-05"),
        (3, "i32", "3"),
        (-3, "i32", "-3"),
        (True, "bool", "true"),
        (Size.of("B") * 2 - 1, "float", "float(2*B - 1)"),
        (Size.of("T"), "i32", "i32(T)"),
        (Size.of("nan"), "i32", "i32((nan))"),
        (-Size.of("B"), "float", "float(-B)"),
        (0.5, "f16", "f16(0.5)"),
        (nan, "bf16", "bf16(nan)"),
    ],
)
def test_constants_stand_where_they_are_used(value: Any, dtype: str, text: str) -> None:
    with Builder() as b:
        constant = apply("const", value=value, dtype=dtype)
        graph = close("net", [], [Port("y", constant, (), "result")], b)
    assert f"output result y[] = {text}\n" in print_graph(graph)
    assert read_graph(print_graph(graph)).outputs[0].node.op == constant.op


def test_a_constant_with_a_name_has_a_line() -> None:
    with Builder() as b:
        constant = apply("const", value=Size.of("B"), dtype="f32")
        b.names[constant] = "batch"
        graph = close("net", [], [Port("y", constant, (), "result")], b)
    assert "  %0 batch = const[value=B, dtype=f32]: f32[]\n" in print_graph(graph)
    assert print_graph(read_graph(print_graph(graph))) == print_graph(graph)


# ---------------------------------------------------------------- every op, all fields
def same(left: Node, right: Node) -> bool:
    """Whether two nodes have one structure: ops, types and operands, slots by their place."""
    known: dict[Node, Node] = {}
    for a, b in zip(topological([left]), topological([right]), strict=True):
        known[a] = b
        if a.type != b.type or [known[x] for x in a.operands] != list(b.operands) or not same_op(a.op, b.op):
            return False
    return known[left] is right


def same_op(left: Op, right: Op) -> bool:
    if left.name == right.name == "slot":
        return True
    values = ((getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    return left.name == right.name and all(
        print_body(a) == print_body(b) if isinstance(a, Body) else repr(a) == repr(b) for a, b in values
    )


@pytest.mark.parametrize(("name", "i"), CASES, ids=[f"{name}-{i}" for name, i in CASES])
def test_every_example_of_every_op_comes_back(name: str, i: int) -> None:
    with Builder() as b:
        made = EXAMPLES[name][i].node(name)
        sources = [n for n in topological([made]) if n.op.name in ("input", "param", "state")]
        roles = {"input": "data", "param": "param", "state": "state"}
        inputs = [Port(f"p{k}", n, n.type.labels, roles[n.op.name]) for k, n in enumerate(sources)]
        graph = close("example", inputs, [Port("y", made, made.type.labels, "result")], b)
    again = read_graph(print_graph(graph))
    assert print_graph(again) == print_graph(graph)
    assert same(graph.outputs[0].node, again.outputs[0].node)


def test_every_op_has_an_example() -> None:
    assert set(EXAMPLES) == set(REGISTRY)


NAMES = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,3}'?", fullmatch=True), st.sampled_from(["inf", "next", "T'"])
)
STRINGS = st.one_of(NAMES, st.text(max_size=3))
SYMBOLS = st.sampled_from(["B", "T", "N"])


@st.composite
def sizes(draw: Callable[[Any], Any], depth: int = 3) -> Size:
    """Sizes as the checker makes them: arithmetic of symbols and numbers."""
    if depth == 0 or draw(st.booleans()):
        return Size.of(draw(st.one_of(SYMBOLS, st.integers(-5, 9), st.fractions(0, 3, max_denominator=4))))
    a, b = draw(sizes(depth=depth - 1)), draw(sizes(depth=depth - 1))
    try:
        return draw(st.sampled_from(OPERATIONS))(a, b)
    except (Undecided, ZeroDivisionError):
        return a


OPERATIONS: tuple[Callable[[Size, Size], Size], ...] = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a // b,
    lambda a, b: a % b,
    lambda a, b: -(-a // b),
    lambda a, b: extreme("max", (a, b)),
    lambda a, b: extreme("min", (a, b)),
)


@given(sizes())
def test_every_size_comes_back(size: Size) -> None:
    assert read_size(str(size)) == size


def test_sizes_with_fractions_and_functions_come_back() -> None:
    size = -(Size.of("H") // 2) * 3 + Size.of(Fraction(1, 2)) * Size.of("T") + extreme("max", ("B", Size.of("T") - 1))
    assert read_size(str(size)) == size


AXES = st.lists(st.tuples(NAMES, sizes()), max_size=3, unique_by=lambda axis: axis[0]).map(tuple)
TYPES = st.builds(Type, st.sampled_from(DTYPES), AXES)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: STRINGS,
    int: st.integers(-9, 9),
    bool: st.booleans(),
    float: st.floats(width=32),
    Size: sizes(),
    Type: TYPES,
    tuple[str, ...]: st.lists(STRINGS, max_size=3).map(tuple),
    tuple[tuple[str, Size], ...]: AXES,
    tuple[tuple[str, str], ...]: st.lists(st.tuples(STRINGS, STRINGS), max_size=3).map(tuple),
    float | int | bool | Size: st.one_of(st.floats(), st.integers(-9, 9), st.booleans(), sizes()),
}


@pytest.mark.parametrize("name", [n for n in REGISTRY if not any(h is Body for _, h in attributes(n))])
@given(st.data())
def test_any_fields_of_every_op_come_back(name: str, data: st.DataObject) -> None:
    """Generated from the annotations of the fields: a new op needs no line here, a new kind of field does."""
    values = {field: data.draw(VALUES[hint], field) for field, hint in attributes(name)}
    made: Callable[..., Op] = REGISTRY[name]
    op = made(**values)
    result = data.draw(st.one_of([TYPES, *(st.just(v) for v in values.values() if isinstance(v, Type))]))
    assert read_op(print_op(op, result), result) == op


# ---------------------------------------------------------------- random graphs
@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_come_back(seed: int) -> None:
    graph = random_example(seed).graph
    again = read_graph(print_graph(graph))
    assert print_graph(again) == print_graph(graph)
    assert again.name == graph.name
    assert all(same(a.node, b.node) for a, b in zip(graph.outputs, again.outputs, strict=True))


def test_equal_lines_stay_different_nodes() -> None:
    """The reader merges nothing: that is a pass."""
    graph = read_graph(
        "graph g { input data x: [] as %0 %1 = tanh(%0) %2 = tanh(%0) %3 = add(%1, %2) output result y[] = %3 }"
    )
    a, b = graph.outputs[0].node.operands
    assert a is not b


def test_unused_inputs_are_kept() -> None:
    graph = read_graph("graph g { input data x: [B] as %0 input state m: [] as %7 output result y[] = 1.0 }")
    assert isinstance(graph, Graph)
    assert [p.name for p in read_graph(print_graph(graph)).inputs] == ["x", "m"]
