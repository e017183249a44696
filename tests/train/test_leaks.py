"""What must not leak: statistics of `prepare` see the training split alone, augmentation sees the sample alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zhdsl as zh
from zhdsl.train.parts import Parts, parts_of

TEXT = """
dataset mine[file = "mine.npz"] -> (x: [B, F=3], y: i32[B])
model Net(x: [B, F=3]) -> logits: [B, K=2] { return x -> Dense[2] }
train Net {
  data      = mine
  prepare.x = x -> standardize[F]
  augment.x = x -> noise[0.5]
  loss      = cross_entropy[K](logits, y)
  optimizer = sgd[lr = 0.0]
  batch     = BATCH
  epochs    = 3
  valid     = 0.25
  seed      = 4
}
"""
RNG = np.random.default_rng(8)
COUNT = 96
X, Y = RNG.normal(size=(COUNT, 3)).astype(np.float32), np.arange(COUNT, dtype=np.int32) % 2
MEAN, STD = "prepare.x.1", "prepare.x.0"


def fitted(x: Any, batch: int = 8) -> Any:
    m = zh.load(TEXT.replace("BATCH", str(batch)), dtype="float64")
    m.result = m.fit(data={"x": x, "y": Y}, reporters=[])
    return m


def parts(m: Any, x: Any) -> Parts:
    return parts_of(m.recipe, m.spec.folder, m.seed, m.dtype, {"x": x, "y": Y})


def rows(part: Any) -> list[int]:
    """Which samples a part has, found by their values."""
    return [int(np.flatnonzero((X.astype(part.fields["x"].dtype) == row).all(1))[0]) for row in part.fields["x"]]


@pytest.fixture(scope="module")
def m() -> Any:
    return fitted(X)


def test_the_statistics_are_those_of_the_training_split_and_of_nothing_else(m: Any) -> None:
    cut = parts(m, X)
    assert cut.valid is not None
    assert cut.test is not None
    assert (cut.train.size, cut.valid.size, cut.test.size) == (61, 21, 14)
    train = cut.train.fields["x"]
    values = sorted((m.states[MEAN].tolist(), m.states[STD].tolist()))
    np.testing.assert_allclose(values, sorted((train.mean(0).tolist(), train.std(0).tolist())), rtol=1e-10)
    everything = X.astype(np.float64)
    assert np.abs(np.sort(np.concatenate(values)) - np.sort([*everything.mean(0), *everything.std(0)])).max() > 1e-3


def test_no_number_of_validation_or_test_reaches_them(m: Any) -> None:
    """Other values there: the statistics, the weights and the training loss are the same to the bit."""
    cut = parts(m, X)
    assert cut.valid is not None
    assert cut.test is not None
    changed = X.copy()
    hidden = rows(cut.valid) + rows(cut.test)
    changed[hidden] = 1000 * changed[hidden] + 7
    other = fitted(changed)
    assert sorted(rows(cut.train) + hidden) == list(range(COUNT))
    for path in (MEAN, STD):
        np.testing.assert_array_equal(other.states[path], m.states[path])
    assert [r["loss"] for r in other.result.history] == [r["loss"] for r in m.result.history]
    assert other.result.history[0]["valid"] != m.result.history[0]["valid"]


def test_a_training_sample_does_reach_them(m: Any) -> None:
    changed = X.copy()
    changed[rows(parts(m, X).train)[0]] += 1
    assert (fitted(changed).states[MEAN] != m.states[MEAN]).any()


@pytest.mark.parametrize("batch", [1, 6, 16, 61])
def test_the_size_of_the_batch_changes_no_augmented_sample(m: Any, batch: int) -> None:
    """Without updates the loss of an epoch is the mean over the same augmented samples, however they are grouped."""
    found = [r["loss"] for r in fitted(X, batch).result.history]
    np.testing.assert_allclose(found, [r["loss"] for r in m.result.history], rtol=1e-12)
    assert len(set(found)) == 3  # drawn anew in every epoch
