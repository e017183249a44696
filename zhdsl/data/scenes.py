"""Scenes of handwritten digits on a noisy canvas: segmentation, detection, depth, captions and questions.

Each scene has 1 to `digits` digits of `mnist_5k`, pasted at random places, the later ones in front. The four data
sets show the same scenes (for equal statics) and ask different things of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.digits import MNIST, mnist_5k
from zhdsl.data.draws import integers, uniform
from zhdsl.data.faults import check_bytes, fault
from zhdsl.data.registry import dataset
from zhdsl.data.tokens import END, SPECIAL, START

SIDE = 28
INK = 0.25
"""A pixel of a digit above this belongs to it; below, the canvas shows through."""
CLASSES = ("background", *map(str, range(10)))
WORDS = (*SPECIAL, *map(str, range(10)))
ATTRIBUTION = f"scenes generated from {MNIST}"


@dataclass(frozen=True)
class Scenes:
    """What is known of B scenes of size N with up to K digits; `digit` is 0 where there is no k-th digit.

    image: float32 [B, 1, N, N]; owner: int32 [B, N, N], 0 or k + 1 where the k-th digit is in front;
    digit: int32 [B, K], digit + 1; top, left: int64 [B, K], the corner of the pasted square.
    """

    image: Array
    owner: Array
    digit: Array
    top: Array
    left: Array

    def of_pixels(self, values: Array) -> Array:
        """[B, N, N]: at each pixel the value (of [B, K]) of the digit in front, 0 on the canvas."""
        table = np.concatenate([np.zeros_like(values[:, :1]), values], axis=1)
        return np.take_along_axis(table, self.owner.reshape(len(table), -1), axis=1).reshape(self.owner.shape)


@dataset("digit_scenes")
def digit_scenes(
    samples: int = 1000, size: int = 64, digits: int = 3, noise: float = 0.2, split: str = "all", seed: int = 0
) -> Arrays:
    """Which pixels belong to which digit, and where is each digit?

    Args:
        samples: number of scenes.
        size: height and width N of the canvas, 28 or more.
        digits: most digits in a scene, K.
        noise: the canvas is uniform noise from 0 to this.
        split: draw from the "train", "test" or "all" digits of `mnist_5k`, so that a test shows unseen handwriting.
        seed: decides everything else.

    Returns:
        image: float32 [B, C=1, H=N, W=N], 0 to 1;
        label: int32 [B, H=N, W=N], 0 on the canvas, digit + 1 where a digit is;
        box: float32 [B, K, X=4], (centre y, centre x, height, width) of the part of digit k that can be seen, as
        fractions of N, 0 if there is none;
        digit: int32 [B, K], digit + 1, or 0 where there is no k-th digit or it is hidden.
    """
    scenes = _scenes(samples, size, digits, noise, split, seed)
    box = _boxes(scenes.owner, digits)
    digit = np.where(box[:, :, 2] > 0, scenes.digit, 0).astype(np.int32)
    fields = {"image": scenes.image, "label": scenes.of_pixels(scenes.digit), "box": box, "digit": digit}
    return Arrays(fields, ATTRIBUTION, names={"label": CLASSES, "digit": ("none", *CLASSES[1:])})


@dataset("digit_depth")
def digit_depth(
    samples: int = 1000,
    size: int = 64,
    digits: int = 3,
    noise: float = 0.2,
    fog: float = 0.0,
    split: str = "all",
    seed: int = 0,
) -> Arrays:
    """How near is each pixel? Statics as for `digit_scenes`, and the image, but for the fog.

    Without fog only strokes that cross tell which digit is in front, and one alone may be at any depth.

    Args:
        fog: what is farther is darker: ink at depth d is multiplied by 1 - fog (1 - d); 0 to 1.

    Returns:
        image; depth: float32 [B, H=N, W=N], 0 on the canvas, (k + 1) / K on the k-th digit, 1 nearest.
    """
    if not 0 <= fog <= 1:
        raise fault("digit_depth", f"fog = {fog} is not between 0 and 1", "write fog = 0.5")
    scenes = _scenes(samples, size, digits, noise, split, seed)
    depth = scenes.owner.astype(np.float32) / np.float32(digits)
    seen = np.where(depth > 0, 1 - np.float32(fog) * (1 - depth), np.float32(1))
    return Arrays({"image": scenes.image * seen[:, None], "depth": depth}, ATTRIBUTION)


@dataset("digit_captions")
def digit_captions(
    samples: int = 1000, size: int = 64, digits: int = 3, noise: float = 0.2, split: str = "all", seed: int = 0
) -> Arrays:
    """Read the digits from left to right. Statics and image as for `digit_scenes`.

    Returns:
        image; tgt, next: int32 [B, T=K + 1], start and then the digits, the digits and then the end; digit d has
        id d + 3, as in `tokens.translation`.
    """
    scenes = _scenes(samples, size, digits, noise, split, seed)
    last = np.where(scenes.digit > 0, scenes.left, size)  # absent digits sort to the end
    read = np.take_along_axis(scenes.digit, np.argsort(last, axis=1, kind="stable"), axis=1)
    ids, count = np.where(read > 0, read + 2, 0), (read > 0).sum(axis=1)
    after = np.pad(ids, ((0, 0), (0, 1)))
    after[np.arange(samples), count] = END
    tgt = np.pad(ids, ((0, 0), (1, 0)), constant_values=START)
    fields = {"image": scenes.image, "tgt": tgt.astype(np.int32), "next": after.astype(np.int32)}
    return Arrays(fields, ATTRIBUTION, names={"tgt": WORDS, "next": WORDS})


@dataset("digit_questions")
def digit_questions(
    samples: int = 1000, size: int = 64, digits: int = 3, noise: float = 0.2, split: str = "all", seed: int = 0
) -> Arrays:
    """How often is this digit in the picture? Half of the questions ask for one that is there.

    Returns:
        image; question: int32 [B], the digit asked for, 0 to 9; answer: int32 [B], 0 to K.
    """
    scenes = _scenes(samples, size, digits, noise, split, seed)
    anything = integers(0, 10, (samples,), seed, "questions")
    asks_first = uniform((samples,), seed, "questions", "first") < 0.5
    question = np.where(asks_first, scenes.digit[:, 0] - 1, anything).astype(np.int32)
    answer = (scenes.digit == question[:, None] + 1).sum(axis=1).astype(np.int32)
    return Arrays({"image": scenes.image, "question": question, "answer": answer}, ATTRIBUTION, labels="answer")


def _scenes(samples: int, size: int, digits: int, noise: float, split: str, seed: int) -> Scenes:
    """Draws and paints the scenes; every scene has at least its first digit."""
    if samples < 1 or size < SIDE or not 1 <= digits <= 100 or not 0 <= noise <= 1:
        cause = f"samples = {samples}, size = {size}, digits = {digits}, noise = {noise} make no scenes"
        raise fault("digit_scenes", cause, f"size is {SIDE} or more, digits 1 to 100, noise 0 to 1")
    check_bytes(samples * size * size * 24, "digit_scenes")
    source = mnist_5k(split)
    shape = (samples, digits)
    chosen = integers(0, source.size, shape, seed, "scenes", "digit")
    count = integers(1, digits + 1, (samples,), seed, "scenes", "count")
    there = np.arange(digits) < count[:, None]
    top, left = (integers(0, size - SIDE + 1, shape, seed, "scenes", way) for way in ("top", "left"))
    image = (uniform((samples, size, size), seed, "scenes", "noise") * noise).astype(np.float32)
    owner = np.zeros(image.shape, dtype=np.int32)
    for i, k in np.argwhere(there).tolist():
        place = (i, slice(top[i, k], top[i, k] + SIDE), slice(left[i, k], left[i, k] + SIDE))
        owner[place][paste(source.fields["image"][chosen[i, k], 0], image[place])] = k + 1
    digit = np.where(there, source.fields["label"][chosen] + 1, 0).astype(np.int32)
    return Scenes(image[:, None], owner, digit, top, left)


def paste(pixels: Array, image: Array) -> Array:
    """Paints one digit over a view of the canvas, both [H, W]; the result is where its ink is, elsewhere it stays."""
    ink = np.asarray(pixels > INK)
    image[ink] = pixels[ink]
    return ink


def _boxes(owner: Array, digits: int) -> Array:
    """float32 [B, K, 4]: centre y, centre x, height, width of what can be seen of each digit, in fractions."""
    box = np.zeros((len(owner), digits, 4), dtype=np.float32)
    for k in range(digits):
        seen = owner == k + 1
        spans = [_span(seen.any(axis=axis)) for axis in (2, 1)]
        box[:, k] = np.stack([centre for centre, _ in spans] + [length for _, length in spans], axis=1)
    return box / np.float32(owner.shape[1])


def _span(hits: Array) -> Iterable[Array]:
    """Middle and length of the stretch from the first to the last hit of each row of [B, N]; 0 without hits."""
    first, last = hits.argmax(axis=1), hits.shape[1] - hits[:, ::-1].argmax(axis=1)
    some = hits.any(axis=1)
    return np.where(some, (first + last) / 2, 0), np.where(some, last - first, 0)
