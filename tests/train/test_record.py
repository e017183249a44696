"""What a run measures of itself is true, and costs it no bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl
from tests.train.runs import bytes_of
from zhdsl.runtime.statistics import relus, statistics_graph
from zhdsl.train.limits import Options
from zhdsl.train.record import RECORD, Recorder, records_of
from zhdsl.train.trainable import Trainable
from zhdsl.train.trainer import fit

NET = """\
model Net(x: [B, F=2]) -> p: [B, F=1] {
  return x -> Dense[6] -> relu -> BatchNorm -> dropout[0.2] -> Dense[1] -> sigmoid
}
train Net {
  data = two_spirals[points = 20]
  prepare.x = x -> standardize[F]
  loss = binary_cross_entropy(p, y)
  optimizer = adam[lr = 0.02]
  schedule = cosine[total = 30]
  batch = 16
  epochs = 3
  valid = 0.2
}
"""


def net(text: str = NET) -> Trainable:
    return zhdsl.load(text, device="numpy")


def trained(folder: Path | None, recorder: Recorder | None, **options: Any) -> Trainable:
    model = net()
    fit(model, folder, options.pop("resume", False), Options(**options), None, [], "", recorder)
    return model


def test_a_recorded_run_is_the_same_bytes_as_one_that_is_not(tmp_path: Path) -> None:
    trained(tmp_path / "plain", None)
    trained(tmp_path / "recorded", Recorder())
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "recorded")
    assert len(records_of(tmp_path / "recorded" / RECORD)) == 6


def test_norms_are_those_of_gradient_parameter_and_change() -> None:
    model, seen = net(NET.replace("dropout[0.2] -> ", "")), list[Mapping[str, Any]]()
    fields = {"x": np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0]]), "y": np.array([[1.0], [0.0], [1.0]])}
    model.prepare(x=fields["x"])
    before = {path: array.copy() for path, array in model.params.items()}
    _, grads = model.value_and_grad(**fields)
    fit(model, None, False, Options(steps=1), fields, [], "", Recorder(seen.append))
    (record,) = seen
    assert record["layers"].keys() == before.keys()
    for path, (grad, norm, change) in record["layers"].items():
        assert grad == pytest.approx(np.linalg.norm(grads[path]), rel=1e-4, abs=1e-7)
        assert norm == pytest.approx(np.linalg.norm(before[path]), rel=1e-6)
        assert change == pytest.approx(np.linalg.norm(model.params[path] - before[path]), rel=1e-3, abs=1e-6)


def test_dead_units_are_those_that_are_zero_for_all_samples() -> None:
    model, seen = net(), list[Mapping[str, Any]]()
    model.params["dense.W"] = np.zeros((2, 6))
    model.params["dense.b"] = np.array([-1.0, -1.0, 1.0, 1.0, 1.0, -1.0])
    fields = {"x": np.eye(2), "y": np.array([[1.0], [0.0]])}
    fit(model, None, False, Options(steps=1), fields, [], "", Recorder(seen.append))
    assert seen[0]["dead"] == {"relu": 0.5}


def test_a_run_that_goes_on_records_each_step_once(tmp_path: Path) -> None:
    trained(tmp_path / "whole", Recorder())
    trained(tmp_path / "parts", Recorder(), epochs=1)
    trained(tmp_path / "parts", Recorder(), resume=True)
    whole, parts = (records_of(tmp_path / name / RECORD) for name in ("whole", "parts"))
    assert [r["step"] for r in parts] == [r["step"] for r in whole] == list(range(1, 7))
    assert parts == whole


def test_long_runs_are_recorded_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zhdsl.train.record.LAYERS", 2)
    monkeypatch.setattr("zhdsl.train.record.LOSSES", 3)
    seen: list[Mapping[str, Any]] = []
    trained(None, Recorder(seen.append))
    assert [r["step"] for r in seen] == [1, 3, 4, 5]
    assert [r["step"] for r in seen if "layers" in r] == [1, 4]


def test_what_is_not_finite_is_recorded_as_unknown() -> None:
    text = NET.replace("lr = 0.02", "lr = 1e30").replace("adam", "sgd")
    model, seen = net(text), list[Mapping[str, Any]]()
    with pytest.raises(zhdsl.TrainingError):
        fit(model, None, False, Options(), None, [], "", Recorder(seen.append))
    assert seen
    assert all(v is None or np.isfinite(v) for r in seen for row in r.get("layers", {}).values() for v in row)


def test_every_call_of_relu_is_known_by_its_path() -> None:
    text = "model M(x: [B, F=2]) -> y: [B, F=2] { h = x -> relu\n repeat 2 { h = h -> Dense[2] -> relu }\n return h }"
    found = relus(net(text).spec.model.train, "B")
    assert list(found) == ["relu", "repeat0.relu", "repeat1.relu"]


def test_the_statistics_are_a_graph_of_squared_norms() -> None:
    graph = statistics_graph(net().recipe)
    assert {p.name for p in graph.outputs} >= {"grad/dense.W", "grad/dense2.b", "dead/relu"}
    assert all(not p.node.type.axes for p in graph.outputs)
