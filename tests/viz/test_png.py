"""Pictures in pages are PNGs that a library for images reads as they were."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from zhdsl.viz.png import overlaid, png_address

Image = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("shape", [(5, 7, 1), (5, 7, 3), (1, 1, 1)])
def test_a_picture_is_read_as_it_was(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).uniform(-0.1, 1.1, shape)
    content = base64.b64decode(png_address(picture).removeprefix("data:image/png;base64,"))
    found = np.asarray(Image.open(io.BytesIO(content)), float).reshape(shape) / 255
    assert np.abs(found - np.clip(picture, 0, 1)).max() <= 0.5 / 255 + 1e-9


def test_an_overlay_leaves_the_background_and_colours_the_rest() -> None:
    picture = np.full((2, 2, 1), 0.5)
    found = overlaid(picture, np.array([[0, 1], [2, 0]]))
    assert found.shape == (2, 2, 3)
    assert np.all(found[0, 0] == 0.5) and np.all(found[1, 1] == 0.5)
    assert not np.allclose(found[0, 1], found[1, 0])
