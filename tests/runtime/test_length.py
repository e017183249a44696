"""The length of a sequence is a number in a program: 10 steps and 10,000 compile to the same nodes and kernels."""

from __future__ import annotations

import pytest

from zhdsl.ir.body import bodies
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node
from zhdsl.passes import run_passes
from zhdsl.runtime.spec import opened
from zhdsl.runtime.step import gradient_graph, step_graph
from zhdsl.schedule import schedule

MODELS = {
    "an LSTM": "x -> LSTM[5] -> Dense[3]",
    "two directions": "x -> Bidirectional[GRU[4]] -> Dense[3]",
    "a stack": "x -> Stack[RNN[4], 3] -> Dense[3]",
    "truncated": """y = scan t over T truncate 5 from h = zeros[B, D=4] { h = tanh(h + x[t]); emit h }
    return y -> Dense[3]""",
    "loops in loops": """y = scan t over T from h = zeros[B] {
      h = scan d over D from s = h { s = tanh(s + x[t][d]); emit last s }
      emit h
    }
    return expand[D=3](y)""",
}
TRAIN = """
train M {
  data = sequences
  loss = mean((y - z) ^ 2)
  optimizer = adam[lr = 0.01]
  batch = 8
  epochs = 1
}
"""
GENERATE = """
model M(h: [B, D=4]) -> y: [B, T=LENGTH, D] {
  cell = RNNCell[4]
  return scan t over T=LENGTH from h = h, x = h {
    h = cell(x, h)
    x = h
    emit h
  }
}
"""


def sizes(graph: Graph) -> tuple[int, int, int]:
    """Nodes of the graph after all passes, those of loops included; kernels; buffers."""
    found = run_passes(graph)
    program = schedule(found)
    return sum(map(nodes, found.nodes)), len(program.all_kernels), len(program.buffers)


def nodes(node: Node) -> int:
    return 1 + sum(nodes(n) for body in bodies(node.op) for n in body.nodes)


def training(body: str, length: object) -> Graph:
    lines = body if "return" in body else f"return {body}"
    text = 'dataset sequences[file = "s.npz"] -> (x: [B, T=L, D=4], z: [B, T=L, D=3])\n'
    text += f"model M(x: [B, T=L, D=4]) -> y: [B, T, D=3] {{\n  {lines}\n}}\n{TRAIN}"
    spec, _ = opened(text.replace("T=L", f"T={length}" if length else "T").replace("; ", "\n"))
    assert spec.recipe is not None
    return step_graph(spec.recipe)


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_is_as_large_for_any_number_of_steps(name: str) -> None:
    short, long, any_ = (sizes(training(MODELS[name], length)) for length in (10, 10_000, None))
    assert short == long == any_


def test_a_generator_and_its_gradient_are_as_large_for_any_number_of_steps() -> None:
    def found(length: int) -> tuple[int, int, int]:
        spec, _ = opened(GENERATE.replace("LENGTH", str(length)), "M")
        return sizes(gradient_graph(spec.model, ["h", *spec.model.params]))

    assert found(10) == found(10_000)
