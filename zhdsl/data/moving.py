"""Short videos of a handwritten digit that moves about: what is it doing in each frame?"""

from __future__ import annotations

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.digits import UCI, digits
from zhdsl.data.draws import integers, uniform
from zhdsl.data.faults import check_bytes, fault
from zhdsl.data.registry import dataset
from zhdsl.data.scenes import paste

SIDE = 8
MOVES = ("still", "left", "right", "up", "down")
STEPS = np.array([(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)])
"""Pixels down and to the right, by move."""
BACK = np.array([0, 2, 1, 4, 3])
"""The opposite move."""
CHANGE = 0.3
"""How probable it is that the digit draws a new move before a frame."""


@dataset("moving_digits")
def moving_digits(
    samples: int = 1000, T: int = 8, size: int = 16, noise: float = 0.2, split: str = "all", seed: int = 0
) -> Arrays:
    """A digit of `digits` moves by one pixel a frame, changes its mind, and turns round at the edge.

    One frame does not tell what is going on: it takes the frame before.

    Args:
        samples: number of videos.
        T: frames of a video.
        size: height and width N of a frame, 9 or more.
        noise: the canvas is uniform noise from 0 to this, another in each frame.
        split: draw from the "train", "test" or "all" digits, so that a test shows unseen handwriting.
        seed: decides everything else.

    Returns:
        video: float32 [B, T, C=1, H=N, W=N], 0 to 1; label: int32 [B, T], the index in `MOVES` of the move from the
        frame before to this one; `still` in the first frame.
    """
    if samples < 1 or T < 1 or size <= SIDE or not 0 <= noise <= 1:
        cause = f"samples = {samples}, T = {T}, size = {size}, noise = {noise} make no videos"
        raise fault("moving_digits", cause, f"size is {SIDE + 1} or more, T 1 or more, noise 0 to 1")
    check_bytes(samples * T * size * size * 24, "moving_digits")
    source = digits(split)
    chosen = integers(0, source.size, (samples,), seed, "moving", "digit")
    at, label = _walks(samples, T, size - SIDE, seed)
    video = (uniform((samples, T, size, size), seed, "moving", "noise") * noise).astype(np.float32)
    pixels = source.fields["image"][chosen] / np.float32(16)
    for i in range(samples):
        for frame, (top, left) in zip(video[i], at[i].tolist(), strict=True):
            paste(pixels[i], frame[top : top + SIDE, left : left + SIDE])
    return Arrays(
        {"video": video[:, :, None], "label": label}, f"moving digits generated from {UCI}", names={"label": MOVES}
    )


def _walks(samples: int, frames: int, room: int, seed: int) -> tuple[Array, Array]:
    """Corners [B, T, 2], each from 0 to `room`, and moves int32 [B, T]."""
    at = integers(0, room + 1, (samples, 2), seed, "moving", "place")
    move = integers(0, len(MOVES), (samples,), seed, "moving", "first")
    corners, moves = [at], [np.zeros_like(move)]
    for t in range(1, frames):
        new = integers(0, len(MOVES), (samples,), seed, "moving", "move", t)
        move = np.where(uniform((samples,), seed, "moving", "change", t) < CHANGE, new, move)
        there = at + STEPS[move]
        move = np.where(((there < 0) | (there > room)).any(axis=1), BACK[move], move)
        at = at + STEPS[move]
        corners.append(at)
        moves.append(move)
    return np.stack(corners, axis=1), np.stack(moves, axis=1).astype(np.int32)
