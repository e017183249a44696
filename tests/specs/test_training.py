"""Recipes that need less than a minute of one core: trained as they are, they reach what they expect.

The others are trained with `zh train`; what they reached stands in docs/curriculum.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zhdsl as zh

pytestmark = pytest.mark.slow
SPECS = Path(__file__).parent.parent.parent / "specs"
SHORT = (
    ("digits.zh", "Digits"),
    ("two_spirals.zh", "TwoSpirals"),
    ("supervised/linear_regression.zh", "Hubble"),
    ("supervised/logistic_regression.zh", "Odd"),
    ("supervised/softmax_regression.zh", "Softmax"),
    ("supervised/xor.zh", "Xor"),
    ("supervised/input_normalisation.zh", "raw"),
    ("supervised/input_normalisation.zh", "standardised"),
    ("supervised/weight_decay.zh", "regularised"),
    ("supervised/weight_decay.zh", "decayed"),
    ("activations/activations.zh", "Six"),
    ("skips/residual_mlp.zh", "Skip"),
    ("convnets/lenet5.zh", "LeNet5"),
    ("depth/highway.zh", "HighwayNet"),
    ("depth/plain_or_residual.zh", "Plain"),
    ("depth/plain_or_residual.zh", "Skipping"),
    ("dense_prediction/depth.zh", "Depth"),
    ("vision/activity.zh", "Activity"),
    ("vision/captions.zh", "Caption"),
)


@pytest.mark.parametrize(("file", "recipe"), SHORT, ids=lambda text: text)
def test_a_recipe_reaches_what_it_expects(file: str, recipe: str) -> None:
    result = zh.load(SPECS / file, model=recipe).fit(reporters=[])
    assert result.expectations
    assert result.holds, str(result)


def test_a_regulariser_in_the_loss_and_decay_in_the_optimiser_make_the_same_net() -> None:
    file = SPECS / "supervised" / "weight_decay.zh"
    nets = [zh.load(file, model=recipe, dtype="float64") for recipe in ("regularised", "decayed")]
    for net in nets:
        net.fit(reporters=[], epochs=5)
    first, second = (dict(net.params) for net in nets)
    for path, weights in first.items():
        np.testing.assert_allclose(weights, second[path], rtol=0, atol=1e-12, err_msg=path)


def test_without_decay_the_weights_are_larger() -> None:
    free = zh.load(SPECS / "supervised" / "weight_decay.zh", model="decayed", set={"R": 0.0}).fit(reporters=[])
    assert free.metrics["weights"] > 150
