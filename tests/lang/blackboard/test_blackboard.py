"""A derivation in index notation is right: its text is read back and gives the numbers of the derivative."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.lang.blackboard.reading import Reader
from zhdsl.ir.graph import Graph
from zhdsl.lang import blackboard
from zhdsl.lang.check import check
from zhdsl.lang.parser import read
from zhdsl.runtime import pipeline
from zhdsl.runtime.derivative import derivative
from zhdsl.source import Source

PAGE = ROOT / "docs" / "derivatives"
SIZES = {"B": 3, "T": 4, "D": 5, "F": 6, "N": 4, "K": 3, "C": 4, "Q": 2, "E": 5, "H": 2, "W": 3, "L": 3}
SPECS = {
    "dense": "fn dense(x: [B, D], W: [D, N], b: [N]) -> [B, N] { return tanh(x @ W + b) }",
    "two layers": (
        "model M(x: [B, D=5]) -> y: [B, K=3] { return x -> Dense[4] -> relu -> Dense[3] -> sigmoid }\n"
        "dataset d[] -> (x: [B, D=5], goal: [B, K=3])\n"
        "train M {\n  data = d\n  loss = mse(y, goal)\n  optimizer = sgd[lr = 0.1]\n  batch = 2\n  epochs = 1\n}\n"
    ),
    "cross entropy": (
        "fn loss(x: [B, D], W: [D, K], b: [K], label: i32[B]) -> [] { return cross_entropy[K](x @ W + b, label) }"
    ),
    "batch normalisation": (
        "fn norm(x: [B, C, H, W], gain: [C], bias: [C]) -> [B, C, H, W] {\n"
        "  m = mean[B, H, W](x)\n  v = mean[B, H, W]((x - m) ^ 2)\n  return gain * (x - m) / sqrt(v + 1e-5) + bias\n}"
    ),
    "layer normalisation": (
        "fn norm(x: [B, T, D], gain: [D]) -> [B, T, D] {\n"
        "  c = x - mean[D](x)\n  return gain * c / sqrt(mean[D](c ^ 2) + 1e-5)\n}"
    ),
    "attention": (
        "fn attention(q: [B, Q, E], k: [B, K, E], v: [B, K, D]) -> [B, Q, D] {\n"
        "  p = softmax[K](sum[E](q * k) / sqrt(q.E))\n  return sum[K](p * v)\n}"
    ),
    "a step of an LSTM": (
        "fn lstm(x: [B, D], h: [B, N], c: [B, N], W: [D, G=4, N], U: [N'=N, G=4, N], b: [G=4, N])\n"
        "    -> (h1: [B, N], c1: [B, N]) {\n"
        "  z = x @ W + h @ U + b\n  f = sigmoid(z[G=0])\n  i = sigmoid(z[G=1])\n  o = sigmoid(z[G=2])\n"
        "  c1 = f * c + i * tanh(z[G=3])\n  return o * tanh(c1), c1\n}"
    ),
    "a recurrence": (
        "fn rnn(x: [B, T=4, D], U: [N'=N, N], W: [D, N], h0: [B, N]) -> [B, N] {\n"
        "  return scan t over T from h = h0 {\n    h = tanh(x[t] @ W + h @ U)\n    emit last h\n  }\n}"
    ),
    "a reversed recurrence, all states": (
        "fn rnn(x: [B, T=4, D], U: [N'=N, N], W: [D, N]) -> [B, T=4, N] {\n"
        "  return scan t over T reverse from h = zeros[B, N] {\n    h = sigmoid(x[t] @ W + h @ U)\n    emit h\n  }\n}"
    ),
    "an LSTM in a recipe": (
        "model M(x: [B, T=4, D=5]) -> y: [B, K=3] {\n  h = x -> LSTM[4, forget = 1]\n  return h[T=-1] -> Dense[3]\n}\n"
        "dataset d[] -> (x: [B, T=4, D=5], goal: [B, K=3])\n"
        "train M {\n  data = d\n  loss = mse(y, goal)\n  optimizer = sgd[lr = 0.1]\n  batch = 2\n  epochs = 1\n}\n"
    ),
    "a GRU in a recipe": (
        "model M(x: [B, T=4, D=5]) -> y: [B, K=3] {\n  h = x -> GRU[4]\n  return h[T=-1] -> Dense[3]\n}\n"
        "dataset d[] -> (x: [B, T=4, D=5], goal: [B, K=3])\n"
        "train M {\n  data = d\n  loss = mse(y, goal)\n  optimizer = sgd[lr = 0.1]\n  batch = 2\n  epochs = 1\n}\n"
    ),
    "in both directions": (
        "model M(x: [B, T=4, D=5]) -> y: [B, K=3] {\n  h = x -> Bidirectional[RNN[4]]\n"
        "  return max[T](h) -> Dense[3]\n}\n"
        "dataset d[] -> (x: [B, T=4, D=5], goal: [B, K=3])\n"
        "train M {\n  data = d\n  loss = mse(y, goal)\n  optimizer = sgd[lr = 0.1]\n  batch = 2\n  epochs = 1\n}\n"
    ),
    "heads that look at one another": (
        "fn see(x: [B, T, D], Wq: [D, H, E], Wk: [D, H, E], Wv: [D, H, E], Wo: [H, E, N]) -> [B, T, N] {\n"
        "  y = attention(x @ Wq, (x @ Wk)[T as K], (x @ Wv)[T as K])\n  return sum[H, E](y * Wo)\n}"
    ),
    "an embedding": (
        "fn embed(W: [V=4, D], U: [D, N], ids: i32[B, T]) -> [B, T, N] { return tanh(W[V=ids] @ U) }"
    ),
    "smoothed cross entropy": (
        "fn loss(z: [B, K], label: i32[B]) -> [] { return cross_entropy[K, smooth = 0.1](z, label) }"
    ),
    "the largest of some, and exp and log": (
        "fn f(x: [B, K]) -> [B] { return log(sum[K](exp(x - max[K](x)))) }"
    ),
}  # fmt: skip


def project(text: str) -> Any:
    return check(Source("net.zh", text + "\n"))


def derived(text: str) -> Graph:
    found = project(text)
    name = next(iter(found.recipes or found.models), None)
    if name is None:
        (name,) = re.findall(r"^fn (\w+)", text, re.M)[:1]
    return derivative(found, name, wrt=None if found.recipes else "*")


def values(graph: Graph) -> tuple[dict[str, Any], dict[tuple[str, str], Any], dict[str, int]]:
    """Arrays by the name on the page and by port, and the sizes by name and index."""
    draw, by_name, by_port = np.random.default_rng(0), {}, {}
    symbols = {s: SIZES[s] for p in graph.inputs for s in p.node.type.count().symbols}
    sizes = {**symbols, **{s.lower(): n for s, n in symbols.items()}}
    for port in graph.inputs:
        shape = port.node.type.shape(symbols, port.order)
        whole = port.node.type.dtype == "i32"
        array = draw.integers(0, 3, shape).astype(np.int32) if whole else draw.normal(size=shape)
        by_port[port.role, port.name] = array
        by_name[page_name(graph, port.name)] = array
        sizes |= {label.lower(): n for label, n in zip(port.order, shape, strict=True)}
        sizes |= dict(zip(port.order, shape, strict=True))
    return by_name, by_port, sizes


def page_name(graph: Graph, name: str) -> str:
    """`dresult`, the cotangent of `result`, is `δresult` on the page."""
    seeds = {f"d{p.name}": f"δ{p.name}" for p in graph.results("result")}
    return seeds.get(name, name)


@pytest.mark.parametrize("name", SPECS)
def test_the_text_of_a_derivation_evaluates_to_the_gradients(name: str) -> None:
    graph = derived(SPECS[name])
    by_name, by_port, sizes = values(graph)
    expected = pipeline.compile_graph(graph, "reference", "float64").run(by_port)
    found = Reader(blackboard.text(graph), by_name, sizes)
    assert graph.results("grad")
    for port in graph.outputs:
        shown = f"δ{port.name}" if port.role == "grad" else port.name
        np.testing.assert_allclose(found.get(shown), expected[port.role, port.name], rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- LaTeX
KNOWN = r"""\frac \sum \sqrt \left \right \delta \mathrm \operatorname \tanh \exp \log \sin \cos \max \min \sigma \text
\dots \quad \begin \end \ne \le \ge \land \lor \infty \cdot \bmod \div \, \\"""
FILES = (
    "digits.zh",
    "two_spirals.zh",
    "sequences/adding.zh",
    "convnets/lenet5.zh",
    "transformers/encoder_classifier.zh",
    "depth/resnet.zh",
    "supervised/logistic_regression.zh",
)


def latex_of(file: str) -> str:
    found = check(read(str(ROOT / "specs" / file)), ROOT / "specs" / Path(file).parent)
    return blackboard.latex(derivative(found))


@pytest.mark.parametrize("text", [*SPECS.values(), *FILES], ids=[*SPECS, *FILES])
def test_the_latex_is_balanced_and_of_known_commands(text: str) -> None:
    page = latex_of(text) if text in FILES else blackboard.latex(derived(text))
    displays = re.findall(r"^\$\$\n(.*?)\n\$\$$", page, re.M | re.S)
    assert displays
    for display in displays:
        assert set(re.findall(r"\\(?:[A-Za-z]+|.)", display)) <= set(KNOWN.split()), display
        assert display.count(r"\left") - display.count(r"\left.") == display.count(r"\right") - display.count(
            r"\right|"
        )
        for opening, closing in ("{}", "()", "[]"):
            assert display.count(opening) == display.count(closing), display
        assert not re.search(r"_\{[^{}]*\}_|\^\{[^{}]*\}\^|[^\\]_[^{]", display), display
        rows = display.removeprefix("\\begin{aligned}\n").removesuffix("\n\\end{aligned}").split("\\\\\n")
        assert len(rows) <= 20
        assert all(row.count("&") == 1 for row in rows), display


@pytest.mark.parametrize("name", ["two layers", "an LSTM in a recipe"])
def test_latex_and_text_say_the_same_formulas(name: str) -> None:
    graph = derived(SPECS[name])
    texts = [line for line in blackboard.text(graph).splitlines() if line.startswith("  ")]
    rows = [row for row in blackboard.latex(graph).splitlines() if "&" in row]
    assert len(texts) == len(rows)
    for text, row in zip(texts, rows, strict=True):
        assert text.count("Σ") == row.count(r"\sum")
        assert text.count("δ") == row.count(r"\delta")


def test_every_line_of_the_spec_is_a_heading_with_its_text() -> None:
    text = blackboard.text(derived(SPECS["an LSTM in a recipe"]))
    heads = [line for line in text.splitlines()[1:] if line and not line.startswith(" ")]
    assert heads == [
        "net.zh:2  h = x -> LSTM[4, forget = 1]",
        "net.zh:3  return h[T=-1] -> Dense[3]",
        "net.zh:8  loss = mse(y, goal)",
    ]


def test_the_steps_of_a_loop_are_indexed() -> None:
    text = blackboard.text(derived(SPECS["a recurrence"]))
    assert "  h[b,-1,n] = h0[b,n]\n  for t = 0, …, 3:\n" in text
    assert "    h[b,t,n] = tanh(Σ{d} x[b,t,d] · W[d,n] + Σ{k} h[b,t-1,k] · U[k,n])\n" in text
    assert "  for t = 3, …, 0:\n" in text
