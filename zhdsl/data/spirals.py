"""`two_spirals`: the classic benchmark that a network without hidden layers, or with too few, cannot learn."""

from __future__ import annotations

import numpy as np

from zhdsl.data.arrays import Arrays
from zhdsl.data.faults import fault
from zhdsl.data.registry import dataset

ATTRIBUTION = "two_spirals: K. J. Lang, M. J. Witbrock 1988, as in the CMU neural network benchmark collection"


@dataset("two_spirals")
def two_spirals(points: int = 97, seed: int = 0) -> Arrays:
    """Two interlocking spirals of `points` points each, without noise.

    Point i of the first spiral: angle = i·π/16, radius = 6.5·(104 − i)/104, at (radius·sin, radius·cos); the second
    one is the first turned by half a circle. 97 points are three turns. The points lie in pairs, first and second
    spiral in turn. Beyond 104 points the radius would be negative, that is, run into the other spiral.

    Args:
        points: points of each spiral, 1 to 104.
        seed: taken because every data set has one; nothing here is random.

    Returns:
        x: float32 [B, F=2]; y: float32 [B, F=1], 1 on the first spiral and 0 on the second.

    Source: K. J. Lang, M. J. Witbrock 1988, "Learning to tell two spirals apart".
    """
    if not 1 <= points <= 104:
        raise fault("two_spirals", f"points = {points}: the spirals have 1 to 104 points", "write points = 97")
    i = np.arange(points)
    angle, radius = i * np.pi / 16, 6.5 * (104 - i) / 104
    first = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    x = np.stack([first, -first], axis=1).reshape(-1, 2)
    y = np.tile([1.0, 0.0], points)[:, None]
    return Arrays({"x": x.astype(np.float32), "y": y.astype(np.float32)}, ATTRIBUTION, labels="y")
