"""The derivative printed, read back and run: the numbers of the built-in gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl as zh
from zhdsl.autodiff.check import check_gradients
from zhdsl.lang.check import check, entry
from zhdsl.lang.format import format as formatted
from zhdsl.lang.parser import parse, read
from zhdsl.runtime.derivative import derivative, grad_program
from zhdsl.source import Source

SPIRALS = Path(__file__).resolve().parents[2] / "specs" / "two_spirals.zh"
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def session() -> Any:
    return zh.load(SPIRALS, dtype="float64")


def batch(count: int = 12) -> Arrays:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(count, 2)), "y": (rng.random((count, 1)) > 0.5).astype(float)}


def reread(text: str, arguments: Arrays) -> Arrays:
    """What a printed program gives."""
    (item,) = parse(Source("grad.zh", text)).items
    return zh.load(text, model=item.name, dtype="float64")(**arguments)


def arguments(session: Any, fields: Arrays) -> Arrays:
    weights = {k.replace(".", "_"): v for k, v in (*session.params.items(), *session.states.items())}
    return {**fields, **weights}


@pytest.mark.parametrize(("exact", "tolerance"), [(True, 0.0), (False, 1e-15)])
def test_the_printed_derivative_gives_the_built_in_gradients(session: Any, exact: bool, tolerance: float) -> None:
    fields = batch()
    session.prepare(**fields)
    value, grads = session.value_and_grad(**fields)
    text = grad_program(check(read(SPIRALS), SPIRALS.parent), exact=exact)
    found = reread(text, arguments(session, fields))
    assert float(found["loss"]) == value
    assert set(found) == {"loss", *(f"d_{path.replace('.', '_')}" for path in grads)}
    for path, g in grads.items():
        assert np.abs(found[f"d_{path.replace('.', '_')}"] - g).max() <= tolerance, path


def test_the_printed_derivative_is_formatted_and_checks() -> None:
    text = grad_program(check(read(SPIRALS), SPIRALS.parent))
    module = parse(Source("grad.zh", text))
    assert formatted(module) == text
    assert entry(check(module), "TwoSpirals_grad").kind == "fn"


def test_the_second_derivative_matches_finite_differences() -> None:
    text = "model M(x: [B, D=2]) -> [B, D=2] { return x -> Dense[3] -> tanh -> Dense[2] -> softmax[D] }"
    graph = derivative(check(Source("m.zh", text)), order=2)
    rng = np.random.default_rng(0)
    sizes = {"B": 3}
    values = {p.node: rng.normal(size=p.node.type.shape(sizes)) for p in graph.inputs if p.role != "counter"}
    wrt = [p.node for p in graph.of_role("param")]
    with graph.building():
        assert check_gradients([p.node for p in graph.results("grad")], wrt, values, sizes) < 1e-7


def test_softmax_and_cross_entropy_give_p_minus_y() -> None:
    text = "model M(z: [B, K=5], label: i32[B]) -> loss: [] { return cross_entropy[K](z, label) }"
    program = grad_program(check(Source("m.zh", text)), wrt="z")
    assert "dz = (softmax[K](z) - float(label == iota[K=5])) / B" in program
    rng = np.random.default_rng(0)
    z, label = rng.normal(size=(3, 5)), rng.integers(0, 5, 3)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    found = reread(program, {"z": z, "label": label.astype(np.int32)})
    assert np.allclose(found["dz"], (p - np.eye(5)[label]) / 3, rtol=0, atol=1e-15)


BLOCKS = {
    "dense": "x: [B, T, D=4] -> x -> Dense[3] -> relu",
    "layer norm": "x: [B, T, D=4] -> x -> LayerNorm",
    "attention": "x: [B, T, D=4] -> MultiHead[2, causal = true](x, x)",
    "rnn": "x: [B, T, D=3] -> x -> RNN[4]",
    "lstm": "x: [B, T, D=3] -> x -> LSTM[4]",
    "gru": "x: [B, T, D=3] -> x -> GRU[4]",
    "convolution": "x: [B, C=2, H=6, W=6] -> x -> Conv[3, 3] -> BatchNorm -> relu -> maxpool[2]",
    "transposed": "x: [B, C=2, H=3, W=3] -> x -> ConvTranspose[2, 2, stride = 2]",
    "highway": "x: [B, D=4] -> x -> Highway",
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.replace(" ", "_"))
@pytest.mark.parametrize(("exact", "tolerance"), [(True, 0.0), (False, 1e-13)])
def test_what_is_printed_of_a_block_is_what_is_run(block: str, exact: bool, tolerance: float) -> None:
    signature, body = BLOCKS[block].split(" -> ", 1)
    text = f"model M({signature}) -> [] {{\n  return sum(({body}) ^ 2)\n}}\n"
    m = zh.load(text, dtype="float64", seed=3)
    rng = np.random.default_rng(1)
    port = m.spec.model.inputs[0]
    x = rng.normal(size=port.node.type.shape({"B": 2, "T": 5}, port.order))
    value, grads = m.value_and_grad(x=x)
    found = reread(grad_program(check(Source("m.zh", text)), exact=exact), arguments(m, {"x": x}))
    names = [name for name in found if name.startswith("d")]
    assert len(names) == len(grads)
    for name, (path, g) in zip(names, grads.items(), strict=True):
        assert np.abs(found[name] - g).max() <= tolerance * (1 + np.abs(g).max()), path
