"""From a text to trained weights and back, in Python: `zh.load` and what it gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl as zh
from zhdsl.runtime import checkpoint, tensor_file

TEXT = """\
const N = 6
model Line(x: [B, F=3]) -> p: [B, K=2] {
  return x -> Dense[N] -> tanh -> Dense[2]
}
dataset mine[file = "d.csv"] -> (x: [B, F=3], y: [B, K=2])
train Line {
  data      = mine[]
  prepare.x = x - mean[B](x)
  loss      = mse(p, y)
  optimizer = sgd[lr = 0.2, momentum = 0.9]
  metric    = (near = mean(f32(abs(p - y) < 0.3)))
  batch     = 8
  epochs    = 30
  seed      = 3
}
fn cube(x: []) -> [] { return x ^ 3 }
"""
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0, 2, (50, 3)).astype(np.float32)
Y = np.tanh(X[:, :2] - X[:, 2:])


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A folder with the text and its data."""
    rows = [",".join(f"{v:.6f}" for v in row) for row in np.concatenate([X, Y], 1)]
    (tmp_path / "d.csv").write_text("\n".join(["a,b,c,d,e", *rows]) + "\n")
    (tmp_path / "line.zh").write_text(TEXT)
    return tmp_path / "line.zh"


def fitted(spec: Path, **options: Any) -> Any:
    m = zh.load(spec)
    m.fit(spec.parent / "run", reporters=[], **options)
    return m


def test_a_text_a_file_and_its_weights_are_the_same_model(spec: Path) -> None:
    m = fitted(spec)
    weights = spec.parent / "run" / "best.safetensors"
    loaded = zh.load(weights, folder=spec.parent)
    assert (loaded.seed, loaded.dtype, loaded.recipe.name) == (3, "float32", "Line")
    np.testing.assert_array_equal(loaded.predict(X), m.predict(X))
    assert loaded.evaluate() == m.evaluate()
    assert loaded.evaluate("valid")["loss"] == m.evaluate("valid")["loss"]
    assert zh.load(TEXT).spec.texts["<text>"] == loaded.spec.texts["line.zh"]


def test_training_from_a_file_learns(spec: Path) -> None:
    m = fitted(spec)
    assert m.evaluate("test")["near"] > 0.8
    assert zh.load(spec).value_and_grad is not None
    assert m.evaluate("all")["loss"] < 0.05


def test_predict_prepares_its_inputs_and_a_call_does_not(spec: Path) -> None:
    m = fitted(spec, epochs=1)
    shifted = X - m.states["prepare.x.0"]
    np.testing.assert_allclose(m.predict(X), m(shifted), rtol=1e-5)
    assert not np.allclose(m.predict(X), m(X))


def test_many_samples_are_predicted_in_pieces(spec: Path) -> None:
    m = fitted(spec, epochs=1)
    many = np.tile(X, (12, 1))
    np.testing.assert_allclose(m.predict(many), np.tile(m.predict(X), (12, 1)), rtol=1e-5)


def test_statistics_must_be_there_before_they_are_used(spec: Path) -> None:
    with pytest.raises(zh.TrainingError, match=r"prepare\.x\.0 has not been fitted"):
        zh.load(spec).predict(X)


def test_saved_weights_carry_their_text_and_overrides(spec: Path, tmp_path: Path) -> None:
    m = zh.load(spec, set={"N": 2})
    m.params["dense.b"] = [1, 2]
    m.save(tmp_path / "w.safetensors")
    spec.unlink()
    found = zh.load(tmp_path / "w.safetensors")
    assert found.params["dense.b"].tolist() == [1, 2]
    assert found.param_count == m.param_count == 3 * 2 + 2 + 2 * 2 + 2
    with pytest.raises(zh.TrainingError, match=r"belong to the values \{'N': 2\}"):
        zh.load(tmp_path / "w.safetensors", set={"N": 3})
    with pytest.raises(zh.TrainingError, match="belong to model Line"):
        zh.load(tmp_path / "w.safetensors", model="Other")


def test_a_file_that_is_used_travels_with_the_weights(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "deep.zh").write_text("block Deep(x: [B, D]) -> [B, D] { return x -> Dense[D] -> tanh }\n")
    (tmp_path / "lib" / "nets.zh").write_text('use "deep.zh" as deep\n')
    (tmp_path / "m.zh").write_text(
        'use "lib/nets.zh"\nuse "lib/deep.zh"\nmodel M(x: [B, D=4]) -> y: [B, D] {\n  return x -> Deep\n}\n'
    )
    m = zh.load(tmp_path / "m.zh")
    assert set(m.spec.texts) == {"m.zh", "lib/nets.zh", "lib/deep.zh"}
    m.save(tmp_path / "w.safetensors")
    for path in tmp_path.rglob("*.zh"):
        path.unlink()
    again = zh.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(again(np.ones((2, 4))), m(np.ones((2, 4))))
    assert again.spec.texts == m.spec.texts


@pytest.mark.parametrize("name", ["../out.zh", "/out.zh", "a/../../out.zh", "a\\b.zh", "a\0.zh", "."])
def test_a_text_with_a_hostile_name_is_written_nowhere(name: str, tmp_path: Path) -> None:
    record = checkpoint.Record({"m.zh": TEXT, name: ""}, "m.zh", "Line", "float32", 0, recipe="Line")
    checkpoint.write(tmp_path / "w.safetensors", checkpoint.Checkpoint({}, record))
    with pytest.raises(zh.TrainingError, match="is no name of a text"):
        zh.load(tmp_path / "w.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_function_is_an_entry_point() -> None:
    f = zh.load(TEXT, model="cube", dtype="float64")
    assert f(2.0) == 8
    value, grads = f.value_and_grad(2.0)
    assert (value, {name: float(g) for name, g in grads.items()}) == (8.0, {"x": 12.0})
    assert f.param_count == 0


def test_several_models_must_be_told_apart(tmp_path: Path) -> None:
    text = TEXT + "model Other(x: [B, F=3]) -> [B] { return sum[F](x) }\n"
    assert zh.load(text).name == "Line"  # the only one with a recipe
    assert zh.load(text, model="Other")(X).shape == (50,)
    with pytest.raises(zh.TrainingError, match="Other has no recipe"):
        zh.load(text, model="Other").fit()
    with pytest.raises(zh.TrainingError, match="several to choose from: A, B"):
        zh.load("model A(x: [B]) -> [B] { return x }\nmodel B(x: [B]) -> [B] { return x }\n")
    with pytest.raises(zh.SpecError, match="no model Lime"):
        zh.load(text, model="Lime")


def test_what_is_wrong_with_a_text_is_said_before_anything_is_made() -> None:
    with pytest.raises(zh.SpecError, match="--set M"):
        zh.load(TEXT, set={"M": 3})
    with pytest.raises(zh.SpecError):
        zh.load("model M(x: [B]) -> [B] { return y }\n")
    with pytest.raises(zh.SpecError, match="there is no file"):
        zh.load("gone.zh")


def test_weights_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_text(TEXT)
    with pytest.raises(zh.TrainingError, match=r"w\.safetensors: "):
        zh.load(tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(tensor_file.encode({"a": np.ones(2)}, "{}"))
    with pytest.raises(zh.TrainingError, match="holds no record of a run"):
        zh.load(tmp_path / "w.safetensors")


def test_steps_by_hand_are_those_of_a_run(spec: Path) -> None:
    by_hand, m = zh.load(spec, dtype="float64"), zh.load(spec, dtype="float64")
    data = {"x": X.astype(np.float64), "y": Y.astype(np.float64)}
    by_hand.prepare(x=data["x"])
    m.prepare(x=data["x"])
    losses = [by_hand.step(**data) for _ in range(3)]
    value, grads = m.value_and_grad(**data)
    assert losses[0] == value
    velocity: dict[str, Any] = dict.fromkeys(grads, 0.0)
    for k in range(3):
        value, grads = m.value_and_grad(**data)
        assert value == pytest.approx(losses[k], rel=1e-12)
        for path, g in grads.items():
            velocity[path] = 0.9 * velocity[path] + g
            m.params[path] = m.params[path] - 0.2 * velocity[path]
    np.testing.assert_allclose(m.params["dense.W"], by_hand.params["dense.W"], rtol=1e-10)


@pytest.mark.parametrize("stage", ["graph", "grad", "step", "passes"])
def test_every_stage_can_be_looked_at(stage: str, spec: Path) -> None:
    graph = zh.load(spec).graph(stage)
    assert graph.number_of_nodes() > 3
    assert "contract" in {op for _, op in graph.nodes(data="op")}


def test_both_devices_compute_the_same(spec: Path) -> None:
    fast, plain = (zh.load(spec, device=device) for device in ("numpy", "reference"))
    for m in (fast, plain):
        m.prepare(x=X)
    for _ in range(5):
        assert fast.step(x=X, y=Y) == pytest.approx(plain.step(x=X, y=Y), rel=1e-5)


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, zhdsl; print([m for m in ('numpy', 'networkx', 'lark', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
