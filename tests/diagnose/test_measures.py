"""What the doctor measures is what theory says, where theory says it exactly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl as zh
from tests.diagnose.planted import sequence, simple
from zhdsl.diagnose.batches import batches_of
from zhdsl.diagnose.descent import Slope
from zhdsl.diagnose.instrument import instrumented, movable
from zhdsl.diagnose.measure import Measured, Meter
from zhdsl.diagnose.recurrence import Recurrence, recurrence
from zhdsl.diagnose.sites import sites_of

DENSE = """model Net(image: [B, H=8, W=8]) -> logits: [B, K=10] {
  h = merge[F = (H, W)](image) -> Dense[32] -> tanh
  return h -> Dense[16, weight = he, bias = constant[-50]] -> relu -> Dense[10]
}
train Net {
  data = digits[]
  prepare.image = image -> standardize
  loss = cross_entropy[K](logits, label)
  optimizer = sgd[lr = 0.1]
  batch = 64
  epochs = 1
}
"""


def session(text: str) -> Any:
    return zh.load(text, dtype="float64")


def measured(m: Any, count: int = 64) -> tuple[Measured, dict[str, Any]]:
    batch = batches_of(m).take(count, 1)[0]
    return Meter(m, instrumented(sites_of(m.recipe.forward, m.recipe.batch_axis))).at(batch), batch


def test_for_one_sample_the_gradient_of_a_layer_is_that_of_its_bias() -> None:
    m = session(DENSE.replace("-50", "0.1"))
    found, batch = measured(m, 1)
    loss, grads = m.value_and_grad(**batch)
    assert found.loss == pytest.approx(loss)
    assert [layer.path for layer in found.layers] == ["dense.W", "dense2.W", "dense3.W"]
    norms = [np.linalg.norm(grads[f"{name}.b"]) for name in ("dense", "dense2", "dense3")]
    assert [layer.gradient for layer in found.layers] == pytest.approx(norms)


def test_the_gain_of_a_layer_is_that_of_its_initialiser() -> None:
    found, _ = measured(session(DENSE))
    gains = [layer.gain for layer in found.layers]
    expected = [math.sqrt(64 * 2 / (64 + 32)), math.sqrt(2), math.sqrt(16 * 2 / (16 + 10))]
    assert gains == pytest.approx(expected, rel=0.1)


def test_units_that_are_never_above_zero_are_counted_as_dead() -> None:
    found, _ = measured(session(DENSE))
    (relu,) = (b for b in found.bends if b.kind == "relu")
    (tanh,) = (b for b in found.bends if b.kind == "tanh")
    assert (relu.dead, relu.slope) == (1.0, 0.0)
    assert 0 < tanh.saturated < 0.5
    assert relu.place is not None and relu.place.text == "relu"


def test_a_standardised_input_is_measured_as_such_and_a_raw_one_is_not() -> None:
    (prepared,) = measured(session(DENSE))[0].inputs
    (raw,) = measured(session(DENSE.replace("  prepare.image = image -> standardize\n", "")))[0].inputs
    assert prepared.rms == pytest.approx(1, abs=0.05)
    assert raw.rms > 5
    assert raw.shift == pytest.approx(4.9, abs=0.5)


def followed(text: str) -> Recurrence:
    m = session(text)
    batch = batches_of(m).take(4, 1)[0]
    graph, _ = movable(m.recipe.forward, sites_of(m.recipe.forward, m.recipe.batch_axis).inputs)
    (loop,) = sites_of(graph, m.recipe.batch_axis).loops
    found = recurrence(m, graph, loop, batch, {})
    assert found is not None
    return found


@pytest.mark.parametrize(("gain", "steps"), [(0.9, 30), (1.0, 60), (1.1, 25)])
def test_the_gradient_through_a_linear_orthogonal_loop_is_the_power_of_its_gain(gain: float, steps: int) -> None:
    found = followed(sequence("Simple[16]", steps, simple(f"orthogonal[gain = {gain}]", "")))
    assert found.steps == steps
    assert found.kept == pytest.approx(gain ** (steps - 1), rel=1e-6)
    assert found.each == pytest.approx(gain, rel=1e-6)
    assert (found.radius, found.norm) == pytest.approx((gain, gain), rel=1e-6)
    assert not found.gated


def test_a_truncated_loop_is_followed_to_where_it_is_cut() -> None:
    text = sequence("Simple[16]", 40, simple("orthogonal[gain = 0.9]", "")).replace(
        "over T from", "over T truncate 10 from"
    )
    assert followed(text).steps == 10


@pytest.mark.parametrize("reader", ["LSTM[8]", "GRU[8]"])
def test_gated_cells_are_known_by_their_gates(reader: str) -> None:
    assert followed(sequence(reader, 10)).gated


def test_a_rate_beyond_two_over_the_curvature_goes_up_and_one_below_goes_down(tmp_path: Path) -> None:
    """loss = mean (w x - y)^2, so λ = 2 mean x^2."""
    x = np.array([1.0, -1.0, 2.0, -2.0, 0.5, -0.5])
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{a},{3 * a}\n" for a in x), encoding="utf-8")
    limit = 2 / (2 * np.mean(x**2))
    for part, goes_up in ((1.05, True), (0.95, False)):
        text = (
            'dataset line[file = "line.csv"] -> (x: [B, F=1], y: [B, F=1])\n'
            "model Line(x: [B, F=1]) -> p: [B, F=1] { return x -> Dense[1, bias = none] }\n"
            "train Line {\n  data = line\n  loss = mse(p, y)\n"
            f"  optimizer = sgd[lr = {part * limit}]\n  batch = all\n  epochs = 1\n}}\n"
        )
        (tmp_path / "line.zh").write_text(text, encoding="utf-8")
        m = zh.load(tmp_path / "line.zh", dtype="float64")
        found = Slope(m, ()).down(batches_of(m).take(6, 1), 30)
        assert (found.losses[-1] > found.losses[0]) == goes_up
        assert Slope(m, ()).down(batches_of(m).take(6, 1), 5, 0.0).losses == (found.first,) * 5


def test_nothing_of_the_session_is_changed_by_a_descent() -> None:
    m = session(DENSE)
    batches = batches_of(m)
    before = {key: array.copy() for key, array in m.arrays.items()}
    Slope(m, ()).down(batches.take(32, 2), 4)
    assert m.arrays.keys() == before.keys()
    assert all(np.array_equal(m.arrays[key], array) for key, array in before.items())
    assert m.step_count == 0
