"""The order of the passes, their end, and the check between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import zhdsl.ops  # noqa: F401 - fills the registry
from zhdsl import passes
from zhdsl.errors import CompilerError
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, apply
from zhdsl.ir.read import read_graph
from zhdsl.ir.text import print_graph
from zhdsl.ir.types import Type

TEXT = """graph g {
  input data x: [B] as %0
  %1 = stop(%0): [B]
  %2 = mul(%1, 1.0): [B]
  %3 = tanh(%2): [B]
  output result y[B] = %3
}
"""


def test_every_pass_has_the_name_of_its_file() -> None:
    for transform in (*passes.PASSES, *passes.BEFORE_DERIVATIVE):
        assert transform.__module__ == f"zhdsl.passes.{transform.__name__}"
        assert transform.__name__ in (passes.__doc__ or "")


def test_stops_stay_until_nothing_is_differentiated() -> None:
    graph = read_graph(TEXT)
    assert "stop" in print_graph(passes.run_passes(graph, passes.BEFORE_DERIVATIVE))
    assert "stop" not in print_graph(passes.run_passes(graph))


def test_no_passes_leave_the_graph_as_it_is() -> None:
    graph = read_graph(TEXT)
    assert passes.run_passes(graph, ()) is graph


def test_passes_run_again_until_none_changes_anything() -> None:
    seen: list[str] = []

    def first(graph: Graph) -> Graph:
        seen.append("first")
        return passes.simplify_algebra(graph)

    def second(graph: Graph) -> Graph:
        seen.append("second")
        return passes.erase_stops(graph)

    passes.run_passes(read_graph(TEXT), (first, second))
    assert seen == ["first", "second", "first", "second"]


def broken(graph: Graph) -> Graph:
    (port,) = graph.outputs
    wrong = Node(port.node.op, port.node.operands, Type("i32"))
    return replace(graph, outputs=(replace(port, node=wrong, order=()),))


def test_the_check_names_the_pass_that_broke_the_graph() -> None:
    with pytest.raises(CompilerError, match="broken: g: type_is_inferred: the type is i32"):
        passes.run_passes(read_graph(TEXT), (passes.fold_constants, broken), verify=True)


def test_the_check_looks_at_the_graph_before_the_passes() -> None:
    with pytest.raises(CompilerError, match="before the passes: g: type_is_inferred"):
        passes.run_passes(broken(read_graph(TEXT)), verify=True)


def test_passes_that_never_agree_are_stopped() -> None:
    def forth(graph: Graph) -> Graph:
        with graph.building() as b:
            return graph.with_nodes(b, [apply("neg", p.node) for p in graph.outputs])

    graph = passes.run_passes(read_graph(TEXT), (forth,))
    assert sum(n.op.name == "neg" for n in graph.nodes) == passes.MOST_ROUNDS
