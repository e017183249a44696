"""Sequence tasks whose answer is known: copy, reversed, adding, first token. Any length, any number of samples."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from zhdsl.data.arrays import Array, Arrays
from zhdsl.data.draws import integers, uniform
from zhdsl.data.faults import check_bytes, fault
from zhdsl.data.registry import dataset
from zhdsl.data.tokens import SPECIAL, translation

Rows: TypeAlias = list[tuple[str, ...]]


@dataset("copy")
def copy(T: int = 10, V: int = 8, samples: int = 2000, shortest: int = 0, seed: int = 0) -> Arrays:
    """Say again what was said: `next` is `src` followed by the end.

    Args:
        T: longest sequence.
        V: number of different symbols; ids 3 to V + 2 (0 padding, 1 start, 2 end).
        samples: number of sequences.
        shortest: shortest sequence; 0 makes all of length T.
        seed: decides the symbols and lengths.

    Returns:
        src: int32 [B, S=T]; tgt: int32 [B, T + 1]; next: int32 [B, T + 1]; see `tokens.translation`.
    """
    rows = _symbols("copy", T, V, samples, shortest, seed)
    return translation([(row, row) for row in rows], _names(V), (T, T), "copy: generated")


@dataset("reversed")
def reversed_sequences(T: int = 10, V: int = 8, samples: int = 2000, shortest: int = 0, seed: int = 0) -> Arrays:
    """Say it backwards; statics and fields as for `copy`."""
    rows = _symbols("reversed", T, V, samples, shortest, seed)
    return translation([(row, row[::-1]) for row in rows], _names(V), (T, T), "reversed: generated")


def _symbols(task: str, length: int, count: int, samples: int, shortest: int, seed: int) -> Rows:
    """Random rows of symbols, each of a random length from `shortest` to `length`."""
    _check(task, T=length, V=count, samples=samples)
    if not 0 <= shortest <= length:
        raise fault(task, f"shortest = {shortest} is not between 0 and T = {length}", "write shortest = 1")
    check_bytes((samples * length + count) * 64, task)  # Python strings take more room than the arrays
    names = _names(count)
    ids = integers(len(SPECIAL), len(names), (samples, length), seed, task, "symbols")
    ends = integers(shortest or length, length + 1, (samples,), seed, task, "lengths")
    return [tuple(names[i] for i in row[:end]) for row, end in zip(ids.tolist(), ends.tolist(), strict=True)]


def _names(count: int) -> tuple[str, ...]:
    return (*SPECIAL, *map(str, range(count)))


@dataset("adding")
def adding(T: int = 50, samples: int = 2000, seed: int = 0) -> Arrays:
    """The adding problem: a row of random numbers, two of them marked; the answer is the sum of those two.

    One mark is in the first half, one in the second. Always answering 1 has a mean squared error of 1/6 = 0.167.

    Args:
        T: steps, 2 or more.
        samples: number of sequences.
        seed: decides numbers and marks.

    Returns:
        x: float32 [B, T, F=2], number from 0 to 1 and mark 0 or 1; y: float32 [B, F=1].

    Source: S. Hochreiter, J. Schmidhuber 1997, "Long short-term memory", experiment 4, in the form of
    Q. Le, N. Jaitly, G. Hinton 2015 (numbers from 0 to 1, no ±1 at the ends).
    """
    _check("adding", T=T - 1, samples=samples)
    check_bytes(samples * T * 16, "adding")
    numbers = uniform((samples, T), seed, "adding", "numbers").astype(np.float32)
    marks = np.zeros_like(numbers)
    rows, half = np.arange(samples), T // 2
    first = integers(0, half, (samples,), seed, "adding", "first")
    second = integers(half, T, (samples,), seed, "adding", "second")
    marks[rows, first] = marks[rows, second] = 1
    y = numbers[rows, first] + numbers[rows, second]
    return Arrays({"x": np.stack([numbers, marks], axis=2), "y": y[:, None]}, "adding: generated")


@dataset("first_token")
def first_token(T: int = 100, V: int = 8, samples: int = 2000, seed: int = 0) -> Arrays:
    """Remember the first token over T - 1 distracting ones of the same alphabet.

    Args:
        T: steps.
        V: number of different tokens, ids 0 to V - 1; guessing is right in 1 of V cases.
        samples: number of sequences; every first token is as frequent as any other (±1).
        seed: decides the tokens.

    Returns:
        x: int32 [B, T]; label: int32 [B], equal to x[:, 0].

    Source: after S. Hochreiter, J. Schmidhuber 1997, "Long short-term memory", experiment 2.
    """
    _check("first_token", T=T, V=V, samples=samples)
    check_bytes(samples * T * 12, "first_token")
    x = integers(0, V, (samples, T), seed, "first_token").astype(np.int32)
    x[:, 0] = np.arange(samples) % V
    return Arrays({"x": x, "label": _column(x)}, "first_token: generated", labels="label")


def _column(x: Array) -> Array:
    return x[:, 0].copy()


def _check(task: str, **sizes: int) -> None:
    for name, value in sizes.items():
        if not 1 <= value < 2**31:
            raise fault(task, f"`{name}` is too small or too large ({value})", "write a size that makes sense")
