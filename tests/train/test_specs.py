"""Recipes written as text, with all that makes a step depend on more than its batch: they go on bit for bit too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl as zh
from tests.train.runs import bytes_of
from tests.train.test_trainer import Heard, Stop, StopAt
from zhdsl.data import Arrays, dataset, known
from zhdsl.data.draws import uniform
from zhdsl.runtime import checkpoint

STREAM = """\
block Carry[N: int](x: [B, T, D]) -> [B, T, N] {
  cell = GRUCell[N]
  state h0: [B, N] = zeros
  y = scan t over T from h = h0 {
    h = cell(x[t], h)
    emit h
  }
  update h0 = y[T=-1]
  return y
}
dataset stream_of_the_tests[] -> (x: [B, T=5, D=1], next: [B, T=5, D=1])
model Wave(x: [B, T, D=1]) -> y: [B, T, D=1] { return x -> Carry[6] -> Dense[1] }
train Wave {
  data = stream_of_the_tests[]
  loss = mse(y, next)
  optimizer = adam[lr = 1e-2]
  clip = clip_norm[1.0]
  metric = (worst = max[B, T, D](abs(y - next)))
  batch = 4
  epochs = 3
}
"""
PICTURES = """\
model Tiny(image: [B, C=1, H=6, W=6]) -> logits: [B, K=3] {
  x = image -> Conv[4, 3] -> BatchNorm -> relu -> maxpool[2]
  return x -> mean[H, W] -> dropout[0.2] -> Dense[3]
}
dataset pictures_of_the_tests[] -> (image: [B, C=1, H=6, W=6], label: i32[B])
train Tiny {
  data = pictures_of_the_tests[]
  prepare.image = image -> standardize
  augment.image = image -> pad_crop[1] -> random_flip[W]
  loss = cross_entropy[K](logits, label)
  optimizer = adamw[lr = 1e-2]
  schedule = cosine[total = 100, warmup = 5]
  metric = (acc = accuracy[K](logits, label))
  early_stop = (patience = 20, metric = acc)
  batch = 16
  epochs = 4
  seed = 5
}
"""


def wave() -> Arrays:
    t = np.arange(24)[:, None] * 5 // 4 + np.arange(5)[None, :]
    phase = np.tile(np.arange(4), 6)[:, None]
    x, after = (np.sin(0.3 * (t + phase + k)).astype(np.float32)[..., None] for k in (0, 1))
    return Arrays({"x": x, "next": after}, "made for the tests", streams=4)


def pictures() -> Arrays:
    label = np.arange(90, dtype=np.int32) % 3
    image = uniform((90, 1, 6, 6), 0, "pictures").astype(np.float32)
    image[label == 0, :, ::2] += 2  # stripes across, stripes down, none
    image[label == 1, :, :, ::2] += 2
    return Arrays({"image": image, "label": label}, "made for the tests")


for name, make in (("stream_of_the_tests", wave), ("pictures_of_the_tests", pictures)):
    if name not in known():
        dataset(name)(make)


def fit(text: str, folder: Path, **options: Any) -> Any:
    return zh.load(text).fit(folder, reporters=options.pop("reporters", []), **options)


CONTRASTIVE = """\
model Pair(x: [B, T=5, D=1]) -> e: [B, E=3] {
  return merge[F = (T, D)](x) -> Dense[3]
}
dataset stream_of_the_tests[] -> (x: [B, T=5, D=1], next: [B, T=5, D=1])
fn alike(a: [B, E], c: [B, T, D]) -> [] {
  s = sum[E](a * a[B as K])
  return mean[B](logsumexp[K](s)) + 0 * mean[B, T, D](c)
}
train Pair {
  data = stream_of_the_tests[]
  loss = alike(e, next)
  optimizer = sgd[lr = 0.1]
  metric = (size = mean[B, E](e ^ 2))
  batch = 4
  epochs = 2
}
"""


def test_a_loss_that_compares_samples_can_be_trained_and_is_a_mean_over_batches() -> None:
    heard = Heard()
    result = zh.load(CONTRASTIVE).fit(reporters=[heard])
    assert any("it is the mean over batches" in line for line in heard.lines)
    assert result.history[1]["loss"] < result.history[0]["loss"]
    assert list(result.metrics) == ["loss", "size"]


@pytest.mark.parametrize("text", [STREAM, PICTURES], ids=["stream", "pictures"])
def test_a_run_that_was_cut_off_ends_in_the_same_bytes(text: str, tmp_path: Path) -> None:
    fit(text, tmp_path / "a")
    with pytest.raises(Stop):
        fit(text, tmp_path / "b", save_seconds=0, reporters=[StopAt(6)])
    found, _ = checkpoint.newest(tmp_path / "b")
    assert found is not None
    assert found.record.batch > 0
    fit(text, tmp_path / "b", resume=True)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_stream_is_carried_within_an_epoch_and_not_into_the_weights(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        fit(STREAM, tmp_path / "r", save_seconds=0, reporters=[StopAt(3)])
    found, _ = checkpoint.newest(tmp_path / "r")
    assert found is not None
    (stream,) = (array for (role, name), array in found.arrays.items() if name == "carry.h0")
    assert stream.shape == (4, 6)
    assert np.abs(stream).max() > 0
    fit(STREAM, tmp_path / "r", resume=True)
    assert not any("carry.h0" in name for _, name in checkpoint.read(tmp_path / "r" / "best.safetensors").arrays)


def test_a_stream_is_carried_through_a_pass_of_evaluation_too() -> None:
    """Six windows of four streams are measured as four sequences six times as long are."""
    m = zh.load(STREAM, dtype="float64")
    m.fit(epochs=1, reporters=[])
    fields = {name: array.astype(np.float64) for name, array in wave().fields.items()}
    long = {name: a.reshape(6, 4, 5, 1).swapaxes(0, 1).reshape(4, 30, 1) for name, a in fields.items()}
    m.reset()
    wanted = np.mean((m(long["x"]) - long["next"]) ** 2)
    np.testing.assert_allclose(m.evaluate(data=fields)["loss"], wanted, rtol=1e-12)
    assert m.evaluate(data={name: a[:4] for name, a in fields.items()})["loss"] != pytest.approx(wanted)


def test_pictures_are_learnt_with_everything_switched_on(tmp_path: Path) -> None:
    result = fit(PICTURES, tmp_path / "r", epochs=20)
    assert result.metrics["acc"] > 0.6
    assert result.history[0]["rate"] < 1
    again = zh.load(tmp_path / "r" / "best.safetensors")
    assert {"prepare.image.0", "prepare.image.1"} <= set(again.states)
    assert again.evaluate()["acc"] == result.metrics["acc"]


def test_evaluation_neither_drops_nor_augments_nor_moves_statistics(tmp_path: Path) -> None:
    m = zh.load(PICTURES)
    m.fit(epochs=1, reporters=[])
    before = {path: array.copy() for path, array in m.states.items()}
    assert m.evaluate("train") == m.evaluate("train")
    assert all(np.array_equal(m.states[path], array) for path, array in before.items())


def test_both_devices_train_alike(tmp_path: Path) -> None:
    losses = []
    for device in ("numpy", "reference"):
        m = zh.load(PICTURES, device=device, dtype="float64")
        losses.append([r["loss"] for r in m.fit(epochs=2, reporters=[]).history])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
