"""Stick figures in many poses: where are head, hands and feet? Key-points without a file from elsewhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.draws import uniform
from zhdsl.data.faults import check_bytes, fault
from zhdsl.data.registry import dataset

POINTS = (
    "head",
    "neck",
    "hip",
    *(f"{side} {part}" for side in ("left", "right") for part in ("elbow", "hand", "knee", "foot")),
)
LIMBS = ((1, 3, 4), (2, 5, 6), (1, 7, 8), (2, 9, 10))
"""Arm and leg of the left, then of the right: points from the trunk outwards."""
BONES = ((0, 1), (1, 2), *(bone for limb in LIMBS for bone in pairwise(limb)))
LENGTHS = ((0.5, 0.45), (0.6, 0.55))
"""Of upper and lower part, in lengths of the trunk: arm, leg."""
ANGLES = (((0.2, 2.6), (-1.3, 1.3)), ((0.1, 0.9), (-0.7, 0.3)))
"""Radians away from straight down, to the limb's own side, and the bend of its lower part: arm, leg."""
NECK, HEAD, TILT = 0.4, 0.22, 0.3
"""From neck to head and the head's radius, in lengths of the trunk; radians that the trunk leans at most."""
THICK = 1.2
"""Width of a line in pixels."""
LEAST = 24


@dataset("stick_figures")
def stick_figures(samples: int = 1000, size: int = 32, noise: float = 0.2, seed: int = 0) -> Arrays:
    """One figure in each picture, of any size that fits, somewhere, its limbs anyhow.

    Args:
        samples: number of pictures.
        size: height and width N of the canvas, 24 or more.
        noise: the canvas is uniform noise from 0 to this.
        seed: decides everything else.

    Returns:
        image: float32 [B, C=1, H=N, W=N], 0 to 1;
        points: float32 [B, P=11, X=2], (y, x) of each of `POINTS` as fractions of N, the middle of pixel i being
        (i + 1/2) / N. Left is the left of the picture: upper arms and thighs point to their own side.
    """
    if samples < 1 or size < LEAST or not 0 <= noise <= 1:
        cause = f"samples = {samples}, size = {size}, noise = {noise} make no pictures"
        raise fault("stick_figures", cause, f"size is {LEAST} or more, noise 0 to 1")
    check_bytes(samples * size * size * 64, "stick_figures")
    points, trunk = _poses(samples, size, seed)
    canvas = uniform((samples, size, size), seed, "figures", "noise") * noise
    image = np.maximum(canvas, _drawn(points, trunk, size)).astype(np.float32)
    return Arrays({"image": image[:, None], "points": (points / size).astype(np.float32)}, "stick_figures: generated")


def _poses(samples: int, size: int, seed: int) -> tuple[Array, Array]:
    """Points [B, P, 2] in pixels and the trunk's length [B]: drawn with the hip at 0, then moved into the canvas."""

    def draw(low: float, high: float, *purpose: str | int) -> Array:
        return low + (high - low) * uniform((samples,), seed, "figures", *purpose)

    trunk = draw(0.2, 0.3, "trunk") * size
    up = draw(np.pi - TILT, np.pi + TILT, "tilt")
    points = np.zeros((samples, len(POINTS), 2))
    points[:, 1] = _ahead(points[:, 2], up, trunk)
    points[:, 0] = _ahead(points[:, 1], up, NECK * trunk)
    for i, limb in enumerate(LIMBS):
        angle: Array = np.zeros(samples)
        for part, (a, b) in enumerate(pairwise(limb)):
            angle = angle + draw(*ANGLES[i % 2][part], "angle", i, part)
            points[:, b] = _ahead(points[:, a], angle if i >= 2 else -angle, LENGTHS[i % 2][part] * trunk)
    edge = (HEAD * trunk)[:, None] + THICK
    low, high = edge - points.min(axis=1), size - edge - points.max(axis=1)
    return points + (low + (high - low) * uniform((samples, 2), seed, "figures", "place"))[:, None], trunk


def _ahead(start: Array, angle: Array, length: Array) -> Array:
    """[B, 2]: from `start` by `length` in the direction of `angle`, 0 being down and π/2 right."""
    return np.asarray(start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def _drawn(points: Array, trunk: Array, size: int) -> Array:
    """[B, N, N], 1 on bones and on the circle of the head, fading over one pixel."""
    middle = np.arange(size) + 0.5
    pixel = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)[None]  # [1, N, N, 2]
    head = np.linalg.norm(pixel - points[:, None, None, 0], axis=-1)
    nearest = np.abs(head - (HEAD * trunk)[:, None, None])
    for a, b in BONES:
        nearest = np.minimum(nearest, _distance(pixel, points[:, None, None, a], points[:, None, None, b]))
    return np.asarray(np.clip(THICK / 2 + 0.5 - nearest, 0, 1))


def _distance(pixel: Array, a: Array, b: Array) -> Array:
    """[B, N, N]: from each pixel to the line from a to b, both [B, 1, 1, 2]."""
    along, way = pixel - a, b - a
    part = np.clip((along * way).sum(axis=-1) / (way * way).sum(axis=-1), 0, 1)
    return np.asarray(np.linalg.norm(along - part[..., None] * way, axis=-1))
