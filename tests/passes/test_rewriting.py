"""How rules are applied: to the end, with places and names, in loop bodies too; and what happens to bad rules."""

from __future__ import annotations

import pytest

import zhdsl.ops  # noqa: F401 - fills the registry
from zhdsl import passes
from zhdsl.errors import CompilerError
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, Origin, apply
from zhdsl.ir.read import read_graph
from zhdsl.ir.text import print_graph
from zhdsl.ir.types import Type
from zhdsl.passes.rewriting import rewrite
from zhdsl.source import Source, Span

TEXT = Source("net.zh", "h = x * 1\ny = tanh(h)\n")
FIRST, SECOND = Origin(Span(TEXT, 4, 9)), Origin(Span(TEXT, 14, 21))


def placed() -> Graph:
    """h = x * 1 and y = tanh(h), with their places and names."""
    with Builder() as b:
        x = apply("input", port="x", type=Type("float", (("B", "B"),)))
        with b.at([FIRST]):
            h = x * 1.0
        with b.at([SECOND]):
            y = apply("tanh", h)
        b.names[h] = "h"
        return close("net", [Port("x", x, ("B",), "data")], [Port("y", y, ("B",), "result")], b)


def test_what_replaces_a_node_takes_over_its_places_and_its_name() -> None:
    graph = passes.simplify_algebra(placed())
    (y,) = (p.node for p in graph.outputs)
    (x,) = y.operands
    assert graph.origins[x] == {FIRST}
    assert graph.names[x] == "h"
    assert graph.origins[y] == {SECOND}


def test_a_graph_that_no_rule_changes_is_the_same_object() -> None:
    graph = passes.simplify_algebra(placed())
    assert passes.simplify_algebra(graph) is graph
    assert rewrite(graph, {"flip": (lambda n: n.operands[0],)}) is graph


def test_equal_nodes_are_made_once() -> None:
    text = """graph g {
      input data x: [B] as %0
      %1 = add(%0, 0.0)
      %2 = tanh(%1)
      %3 = tanh(%0)
      %4 = mul(%2, %3)
      output result y[B] = %4
    }"""
    graph = passes.run_passes(read_graph(text))
    assert [n.op.name for n in graph.nodes] == ["input", "tanh", "mul"]


LOOP = """graph g {{
  input data x: [T] as %0
  %1 = scan[label=T, size=T, reverse=false, truncate=0, body={{
    carry %0: []
    slice %1: []
    {line}
    next %2
  }}](0.0, %0)
  %2 = project[1](%1): []
  output result y[] = %2
}}
"""


def test_rules_reach_into_the_bodies_of_loops() -> None:
    graph = passes.simplify_algebra(read_graph(LOOP.format(line="%3 = mul(%1, 1.0)\n    %2 = add(%3, %0)")))
    assert "%2 = add(%1, %0)" in print_graph(graph)
    assert "mul" not in print_graph(graph)


def test_a_body_that_no_rule_changes_stays_the_same_object() -> None:
    graph = read_graph(LOOP.format(line="%2 = add(%0, %1)"))
    assert passes.simplify_algebra(graph) is graph


def test_places_inside_bodies_stay() -> None:
    graph = read_graph(LOOP.format(line="%3 = mul(%1, 1.0)\n    %2 = add(%3, %0)"))
    scan = next(n for n in graph.nodes if n.op.name == "scan")
    inner = scan.op.body.next[0]  # type: ignore[attr-defined]
    origins = {inner: frozenset([FIRST]), inner.operands[0]: frozenset([SECOND])}
    graph = passes.simplify_algebra(Graph(graph.name, graph.inputs, graph.outputs, origins, {inner: "total"}))
    (found,) = next(n for n in graph.nodes if n.op.name == "scan").op.body.next  # type: ignore[attr-defined]
    assert graph.origins[found] == {FIRST}
    assert graph.origins[found.operands[0]] == {SECOND}
    assert graph.names[found] == "total"


def swapped(n: Node) -> Node:
    return apply("mul", n.operands[1], n.operands[0])


def test_rules_that_run_in_a_circle_are_stopped() -> None:
    graph = read_graph("graph g { input data x: [B] as %0 %1 = tanh(%0) %2 = mul(%0, %1) output result y[B] = %2 }")
    with pytest.raises(CompilerError, match=r"the rules do not come to an end at mul\(\[B\], \[B\]\)"):
        rewrite(graph, {"mul": (swapped,)})


def test_rules_that_never_stop_growing_are_stopped() -> None:
    graph = read_graph("graph g { input data x: [B] as %0 %1 = tanh(%0) output result y[B] = %1 }")
    with pytest.raises(CompilerError, match="the rules do not come to an end"):
        rewrite(graph, {"tanh": (lambda n: apply("tanh", n),)})


def test_a_rule_must_keep_the_type() -> None:
    graph = read_graph("graph g { input data x: [B] as %0 %1 = tanh(%0) output result y[B] = %1 }")

    def total(n: Node) -> Node:
        return apply("sum", n.operands[0], labels=("B",))

    with pytest.raises(CompilerError, match=r"passes: total made \[\] of tanh\(\[B\]\): \[B\]"):
        rewrite(graph, {"tanh": (total,)})


def test_a_chain_of_a_thousand_nodes_needs_no_stack() -> None:
    with Builder() as b:
        x = apply("input", port="x", type=Type("float"))
        y = x
        for _ in range(3000):
            y = apply("tanh", y * 1.0)
        graph = close("deep", [Port("x", x, (), "data")], [Port("y", y, (), "result")], b)
    assert len(passes.simplify_algebra(graph).nodes) == 3001
