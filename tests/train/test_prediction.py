"""Prediction with dropout, batch norm and augmentation: of each sample alone, whatever else is there or going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl as zh
from tests.train.runs import bytes_of
from zhdsl.train.report import Silent

TEXT = """
dataset pictures[file = "pictures.npz"] -> (x: [B, C=2, H=6, W=6], y: i32[B])
model Net(x: [B, C=2, H=6, W=6]) -> logits: [B, K=3] {
  h = x -> Conv[4, 3] -> BatchNorm -> relu -> maxpool[2] -> dropout[0.3]
  return h -> Conv[6, 3] -> BatchNorm -> relu -> global_pool -> dropout[0.5] -> Dense[3]
}
train Net {
  data      = pictures
  prepare.x = x -> standardize[C]
  augment.x = x -> random_flip[W] -> noise[0.1]
  loss      = cross_entropy[K](logits, y)
  optimizer = adam[lr = 0.01]
  batch     = 16
  epochs    = 2
  seed      = 5
}
"""
RNG = np.random.default_rng(3)
Y = RNG.integers(0, 3, 100).astype(np.int32)
X = (RNG.normal(size=(100, 2, 6, 6)) + Y[:, None, None, None]).astype(np.float32)
NEW = (2 * RNG.normal(size=(300, 2, 6, 6)) + 1).astype(np.float32)
SAME = {"rtol": 2e-5, "atol": 2e-6}  # float32: a library sums a row of a product in another order in another batch


class Stop(Exception):
    """Raised in the middle of an epoch."""


class Looking(Silent):
    """Predicts after every step, and stops at one of them."""

    def __init__(self, m: Any, stop: int = -1):
        self.m, self.stop, self.seen = m, stop, list[Any]()

    def step(self, epoch: int, batch: int, loss: float) -> None:
        self.seen.append(self.m.predict(NEW[:7]))
        if len(self.seen) == self.stop:
            raise Stop


def model(folder: Path | None = None, reporters: Any = None, **options: Any) -> Any:
    m = zh.load(TEXT)
    m.fit(folder, data={"x": X, "y": Y}, reporters=[] if reporters is None else reporters(m), **options)
    return m


@pytest.fixture(scope="module")
def m() -> Any:
    return model()


def test_twice_the_same_is_the_same_to_the_bit(m: Any) -> None:
    np.testing.assert_array_equal(m.predict(NEW), m.predict(NEW))


def test_the_order_of_the_samples_does_not_matter(m: Any) -> None:
    order = np.random.default_rng(0).permutation(len(NEW))
    np.testing.assert_allclose(m.predict(NEW[order]), m.predict(NEW)[order], **SAME)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 256, 299])
def test_the_size_of_the_batch_does_not_matter(m: Any, size: int) -> None:
    pieces = [m.predict(NEW[at : at + size]) for at in range(0, 300 if size > 2 else 20, size)]
    found = np.concatenate(pieces)
    np.testing.assert_allclose(found, m.predict(NEW)[: len(found)], **SAME)


def test_the_other_samples_do_not_matter(m: Any) -> None:
    others = NEW.copy()
    others[8:] = 1000 * NEW[8:] + 5
    np.testing.assert_allclose(m.predict(others)[:8], m.predict(NEW)[:8], **SAME)


def test_in_double_precision_the_difference_is_rounding() -> None:
    m = zh.load(TEXT, dtype="float64")
    m.fit(data={"x": X, "y": Y}, reporters=[], epochs=1)
    alone = np.concatenate([m.predict(NEW[at : at + 1]) for at in range(20)])
    np.testing.assert_allclose(alone, m.predict(NEW)[:20], rtol=1e-12, atol=1e-13)


def test_what_was_run_before_does_not_matter(m: Any) -> None:
    """The program of training, its gradients and a validation in between leave prediction as it is."""
    before = m.predict(NEW)
    m.value_and_grad(x=X[:16], y=Y[:16])
    m.evaluate(data={"x": X, "y": Y})
    np.testing.assert_array_equal(m.predict(NEW), before)
    m.step_count, m.epoch = 77, 9
    np.testing.assert_array_equal(m.predict(NEW), before)


def test_predicting_during_training_changes_nothing_and_is_that_of_the_weights_so_far(tmp_path: Path) -> None:
    model(tmp_path / "a")
    model(tmp_path / "b", lambda m: [Looking(m)])
    a, b = bytes_of_run(tmp_path / "a"), bytes_of_run(tmp_path / "b")
    assert a == b


def bytes_of_run(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in bytes_of(folder).items() if name != "spec.zh"}


def test_after_an_interruption_it_is_that_of_the_saved_weights(tmp_path: Path) -> None:
    """In the middle of an epoch the trainer is in its mode of training; what is saved predicts the same to the bit."""
    m = zh.load(TEXT)
    looking = Looking(m, stop=8)
    with pytest.raises(Stop):
        m.fit(tmp_path / "r", data={"x": X, "y": Y}, reporters=[looking], save_seconds=0)
    assert len(looking.seen) == 8
    np.testing.assert_array_equal(m.predict(NEW[:7]), looking.seen[-1])
    m.save(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(zh.load(tmp_path / "w.safetensors").predict(NEW[:7]), looking.seen[-1])
    assert any((looking.seen[-1] != earlier).any() for earlier in looking.seen[:-1])


def test_the_modes_differ_so_the_tests_above_can_fail(m: Any) -> None:
    shown = zh.load(TEXT)
    shown.restore(_checkpoint(m), "memory")
    states = {path: array.copy() for path, array in shown.states.items()}
    assert (shown(NEW, train=True) != shown(NEW)).mean() > 0.9
    assert any((shown.states[path] != array).any() for path, array in states.items())


def _checkpoint(m: Any) -> Any:
    from zhdsl.runtime.checkpoint import Checkpoint

    return Checkpoint({k: a.copy() for k, a in m.arrays.items()}, m.spec.record(m.dtype, m.seed))
