"""Beam search against the probabilities of all sequences there are, on vocabularies so small that one can list them."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl as zh

SPECS = Path(__file__).parent.parent.parent / "specs" / "translation"
BEAMS, STEPS = 4, 3
SRC = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]], np.int32)


@cache
def loaded(v: int) -> tuple[Any, Any, Any]:
    texts = [(SPECS / name).read_text("utf-8") for name in ("bahdanau.zh", "beam.zh")]
    text = "\n".join(texts).replace('use "bahdanau.zh"', "")
    consts = {"V": v, "L": STEPS, "U": 8}
    beam, greedy, teach = (
        zh.load(text, name, consts, device="reference", dtype="float64") for name in ("Beam", "Greedy", "Teach")
    )
    return beam, greedy, teach


def models(v: int, seed: int) -> tuple[Any, Any, Any]:
    """The beam search, the greedy one and the network with the right answers given, with the same sharp weights."""
    found, rng = loaded(v), np.random.default_rng(seed)
    for path, array in found[0].params.items():
        weights = rng.normal(size=array.shape)
        for m in found:
            m.params[path] = weights
    return found


def log_softmax(x: Any) -> Any:
    d = x - x.max(-1, keepdims=True)
    return d - np.log(np.exp(d).sum(-1, keepdims=True))


def all_sequences(teach: Any, src: Any, v: int) -> tuple[Any, Any]:
    """Every sequence of STEPS symbols: [N, STEPS], and its log probability after each source: [B, N]."""
    every = np.array(list(product(range(v), repeat=STEPS)), np.int32)
    scores = []
    for one in src:
        before = np.concatenate([np.ones((len(every), 1), np.int32), every[:, :-1]], 1)
        logits = teach(np.tile(one, (len(every), 1)), before)
        steps = np.take_along_axis(log_softmax(logits), every[..., None], -1)[..., 0]
        scores.append(steps.sum(1))
    return every, np.array(scores)


def traced(found: Any) -> Any:
    """The sequences that tokens and the beams they come from stand for: [B, K, STEPS]."""
    token, parent = found["token"], found["parent"]
    at = np.tile(np.arange(BEAMS), (len(token), 1))
    symbols = []
    for t in range(STEPS - 1, -1, -1):
        symbols.insert(0, np.take_along_axis(token[:, t], at, 1))
        at = np.take_along_axis(parent[:, t], at, 1)
    return np.stack(symbols, -1)


@pytest.mark.parametrize("seed", range(3))
def test_with_a_beam_for_every_prefix_the_search_finds_the_best_of_all_sequences(seed: int) -> None:
    beam, _, teach = models(2, seed)  # four prefixes of two symbols: nothing is ever cut off
    found = beam(SRC)
    every, scores = all_sequences(teach, SRC, 2)
    best = np.argsort(-scores, axis=1)[:, :BEAMS]
    np.testing.assert_allclose(found["score"], np.take_along_axis(scores, best, 1), rtol=1e-10)
    np.testing.assert_array_equal(traced(found), every[best])


@pytest.mark.parametrize("seed", range(3))
def test_with_fewer_beams_than_prefixes_it_is_the_search_by_hand(seed: int) -> None:
    v = 5
    beam, _, teach = models(v, seed)
    found = beam(SRC)
    _, scores = all_sequences(teach, SRC, v)
    assert (found["score"][:, 0] <= scores.max(1) + 1e-10).all()
    sequences = traced(found)
    at = (sequences * v ** np.arange(STEPS - 1, -1, -1)).sum(-1)
    np.testing.assert_allclose(found["score"], np.take_along_axis(scores, at, 1), rtol=1e-10)
    for b in range(len(SRC)):
        np.testing.assert_array_equal(sequences[b], by_hand(teach, SRC[b], v))


def by_hand(teach: Any, src: Any, v: int) -> Any:
    """Keep the BEAMS best prefixes at every step."""
    kept: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for _ in range(STEPS):
        given = np.array([(1, *prefix, *[0] * (STEPS - 1 - len(prefix))) for _, prefix in kept], np.int32)
        logits = log_softmax(teach(np.tile(src, (len(kept), 1)), given))
        grown = [(score + logits[i, len(p), s], (*p, s)) for i, (score, p) in enumerate(kept) for s in range(v)]
        kept = sorted(grown, key=lambda pair: -pair[0])[:BEAMS]
    return np.array([prefix for _, prefix in kept])


def test_the_best_beam_is_never_less_likely_than_the_greedy_choice() -> None:
    better = 0
    for seed in range(6):
        beam, greedy, teach = models(5, seed)
        ids = greedy(SRC)["ids"]
        before = np.concatenate([np.ones((len(SRC), 1), np.int32), ids[:, :-1]], 1).astype(np.int32)
        chosen = np.take_along_axis(log_softmax(teach(SRC, before)), ids[..., None], -1)[..., 0].sum(1)
        best = beam(SRC)["score"][:, 0]
        assert (best >= chosen - 1e-10).all()
        better += int((best > chosen + 1e-6).sum())
    assert better > 0  # and sometimes more: the beam is worth its cost
