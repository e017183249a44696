"""Every op of the registry through schedule and the NumPy backend, against the reference evaluator."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends.harness import Case, case_of
from tests.ops.examples import CASES, EXAMPLES, SIZES
from zhdsl.ir.node import Builder, topological
from zhdsl.ir.op import REGISTRY

RUNNABLE = [(name, i) for name, i in CASES if name != "slot"]  # a slot has a value only in a loop


def example(name: str, i: int, seed: int = 0) -> Case:
    chosen = EXAMPLES[name][i]
    with Builder():
        node = chosen.node(name)
        inputs = chosen.inputs()
    values = dict(zip(inputs, chosen.values(name, seed), strict=True))
    for source in topological([node]):
        if source.op.name in ("param", "state"):
            values[source] = np.random.default_rng(seed).standard_normal(source.type.shape(SIZES))
    return case_of([node], values, SIZES, np.random.default_rng(seed))


def test_every_op_has_a_case() -> None:
    assert {name for name, _ in RUNNABLE} >= REGISTRY.keys() - {"slot"}


@pytest.mark.parametrize(("name", "i"), RUNNABLE)
def test_an_op_means_what_the_reference_says(name: str, i: int) -> None:
    example(name, i).check("f64")


@pytest.mark.parametrize(("name", "i"), RUNNABLE)
def test_an_op_holds_in_single_precision(name: str, i: int) -> None:
    case = example(name, i, seed=1)
    values = {}
    for port in case.graph.inputs:
        array = case.inputs[f"{port.role}/{port.name}"].transpose([port.order.index(n) for n in port.node.type.labels])
        values[port.node] = array.astype("f4").astype("f8") if array.dtype.kind == "f" else array
    case_of(case.graph, values, SIZES).check("f32")
