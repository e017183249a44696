"""The reference evaluator: what it takes, what it refuses, dtypes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.examples import i32, t
from zhdsl.ir.graph import Port, close
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.sizes import Size
from zhdsl.ops.evaluate import evaluate, round_bf16


def test_a_graph_gives_its_outputs_in_order() -> None:
    with Builder() as b:
        x = apply("input", port="x", type=t("T"))
        ports = [Port("y", x + 1.0, ("T",), "result"), Port("z", x * x, ("T",), "result")]
        graph = close("M", [Port("x", x, ("T",), "data")], ports, b)
    y, z = evaluate(graph, {x: [1.0, 2.0]}, {"T": 2})
    assert (y.tolist(), z.tolist()) == ([2, 3], [1, 4])


def test_a_value_given_for_an_inner_node_replaces_it() -> None:
    with Builder():
        x = apply("input", port="x", type=t())
        y = apply("exp", x)
        assert evaluate([y * 2.0], {y: 3.0}, {})[0] == 6.0


def test_missing_values_and_sizes_are_named() -> None:
    with Builder():
        x = apply("input", port="pixels", type=t("T"))
        with pytest.raises(ValueError, match="input pixels: no value is given"):
            evaluate([x + 1.0], {}, {"T": 2})
        with pytest.raises(KeyError, match="T"):
            evaluate([x + 1.0], {x: [1.0]}, {})


def test_a_value_must_fit_its_type() -> None:
    with Builder():
        x, i = apply("input", port="x", type=t("T")), apply("input", port="i", type=i32())
        with pytest.raises(ValueError, match=r"float64\[3\] is given for .* which is \[T=2\]"):
            evaluate([x], {x: np.zeros(3)}, {"T": 2})
        with pytest.raises(ValueError, match="float64"):
            evaluate([i], {i: 1.5}, {})


def test_explicit_floats_keep_their_precision() -> None:
    with Builder():
        x = apply("input", port="x", type=t("T=1"))
        nodes = [apply("cast", x, dtype=d) for d in ("f16", "bf16", "f32", "f64", "float")]
        values = evaluate(nodes, {x: [1.0 + 2.0**-9 + 2.0**-20]}, {}, "float64")
    assert [v.dtype.name for v in values] == ["float16", "float32", "float32", "float64", "float64"]
    assert [v.item() for v in values] == [1 + 2**-9, 1.0, 1 + 2**-9 + 2**-20, 1 + 2**-9 + 2**-20, 1 + 2**-9 + 2**-20]


def test_bf16_rounds_to_nearest_and_ties_to_even() -> None:
    ulp = 2.0**-7
    x = np.float32([1 + 0.5 * ulp, 1 + 1.5 * ulp, 1 + 0.51 * ulp, -1 - 1.5 * ulp, np.inf, 3.4e38, 0.0])
    assert round_bf16(x).tolist() == [1, 1 + 2 * ulp, 1 + ulp, -1 - 2 * ulp, np.inf, np.inf, 0]
    assert np.isnan(round_bf16(np.float32(np.nan)))


def test_a_size_constant_has_its_value_at_run_time() -> None:
    with Builder():
        n = apply("const", value=Size.of("T") * 2 + 1, dtype="float")
        assert evaluate([n], {}, {"T": 5})[0] == 11.0
        half = apply("const", value=Size.of("T") / Size.of(2), dtype="i32")
        with pytest.raises(ValueError, match="not a whole number"):
            evaluate([half], {}, {"T": 5})


def test_ten_thousand_nodes_in_a_row_need_no_recursion() -> None:
    with Builder():
        x = y = apply("input", port="x", type=t())
        for _ in range(10_000):
            y = y + x
        assert evaluate([y], {x: 1.0}, {})[0] == 10_001.0
