"""A data set for the tests of training: 60 points of a smooth function. Importing this registers it."""

from __future__ import annotations

import numpy as np

from zhdsl.data import Arrays, dataset, known
from zhdsl.data.draws import uniform


def line(count: int = 60) -> Arrays:
    x = uniform((count, 3), 0, "line") * 2 - 1
    y = np.tanh(np.stack([x[:, 0] - x[:, 1], x[:, 2] * x[:, 0]], 1))
    return Arrays({"x": x.astype(np.float32), "y": y.astype(np.float32)}, "made for the tests")


NAME = "line_of_the_tests"
if NAME not in known():
    dataset(NAME)(line)
