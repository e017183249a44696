"""Augmentation is a function of seed, epoch and sample: not of the batch, its size, or the place of a sample in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.lang.in_text import run
from zhdsl.ir.graph import Graph
from zhdsl.runtime.spec import opened

TEXT = """
dataset pictures[file = "p.npz"] -> (image: [B, C=2, H=6, W=5], probe: [B, C=2, H=6, W=5])
model M(image: [B, C=2, H=6, W=5]) -> y: [B, C, H, W] {{
  param a: [C=2] = ones
  return image * a
}}
train M {{
  data = pictures
  augment.image = image -> {0}
  loss = sum(y * probe)
  optimizer = sgd[lr = 0.1]
  batch = 4
  epochs = 1
}}
"""
AUGMENTATIONS = (
    "pad_crop[2]",
    "random_flip[W]",
    "shift[W, 2]",
    "cutout[3]",
    "noise[0.5]",
    "brightness[0.4]",
    "pad_crop[1] -> random_flip[W] -> cutout[2] -> noise[0.1]",
)
RNG = np.random.default_rng(0)
X, PROBE = RNG.normal(size=(2, 6, 2, 6, 5))
SAMPLE = np.array([41, 7, 12, 3, 99, 8])
each = pytest.mark.parametrize("what", AUGMENTATIONS)


def forward(what: str) -> Graph:
    spec, _ = opened(TEXT.format(what))
    assert spec.recipe is not None
    return spec.recipe.forward


def seen(graph: Graph, rows: Any, seed: int = 5, epoch: int = 2, sample: Any = SAMPLE) -> Any:
    """What the network sees of these samples in one batch: a number for each, picked out by its own probe."""
    found = []
    given = {"image": X[rows], "sample": sample[rows], "seed": seed, "epoch": epoch, "a": np.ones(2)}
    for i, row in enumerate(rows):
        probe = np.zeros_like(X[rows])
        probe[i] = PROBE[row]
        found.append(float(run(graph, given | {"probe": probe})["loss"]))
    return np.array(found)


@each
def test_a_sample_is_changed_alike_in_every_batch(what: str) -> None:
    graph = forward(what)
    whole = seen(graph, np.arange(6))
    order = np.array([4, 0, 5, 2, 1, 3])
    np.testing.assert_allclose(seen(graph, order), whole[order], rtol=1e-12)
    for size in (1, 2, 4):
        parts = [seen(graph, np.arange(at, min(at + size, 6))) for at in range(0, 6, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12)


@each
def test_seed_epoch_and_sample_each_matter(what: str) -> None:
    graph, rows = forward(what), np.arange(6)
    first = seen(graph, rows)
    assert (seen(graph, rows, seed=6) != first).any()
    assert (seen(graph, rows, epoch=3) != first).any()
    assert (seen(graph, rows, sample=SAMPLE + 1000) != first).any()
    np.testing.assert_array_equal(seen(graph, rows), first)
