"""loss.zh and metric.zh: every one against its formula in NumPy; losses against finite differences too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, gradient_error, session, value

RNG = np.random.default_rng(13)
P, Y = RNG.normal(size=(2, 6, 3))
LOGITS = RNG.normal(size=(6, 4))
LABEL = np.array([0, 3, 2, 1, 1, 0], np.int32)
KEEP = np.array([True, True, False, True, False, True])
PROBABILITY = RNG.uniform(0.05, 0.95, (6, 3))
BINARY = (RNG.uniform(size=(6, 3)) < 0.5).astype(float)
PAIR = "p: [B, D], y: [B, D]"
CLASSES = "logits: [B, K], label: i32[B]"
KEPT = f"{CLASSES}, keep: bool[B]"


def log_softmax(x: Array) -> Array:
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))


Q = log_softmax(LOGITS)
PICKED = Q[np.arange(6), LABEL]
HUBER = np.where(np.abs(P - Y) <= 0.7, 0.5 * (P - Y) ** 2, 0.7 * (np.abs(P - Y) - 0.35))
COSINE = (P * Y).sum(1) / np.linalg.norm(P, axis=1) / np.linalg.norm(Y, axis=1)
OF_LABEL = LOGITS[np.arange(6), LABEL][:, None]
MARGINS = np.where(np.eye(4)[LABEL] == 1, 0, np.maximum(0, 1 + LOGITS - OF_LABEL)).sum(1)
SIMPLEX = np.abs(RNG.normal(size=(6, 4)))
SIMPLEX /= SIMPLEX.sum(1, keepdims=True)
DISTANCE = np.linalg.norm(P - Y, axis=1)
CASES: list[tuple[str, str, tuple[Any, ...], Any]] = [
    (PAIR, "mse(p, y)", (P, Y), ((P - Y) ** 2).mean()),
    (f"{PAIR}, keep: bool[B, D]", "mse(p, y, keep)", (P, Y, BINARY > 0), ((P - Y) ** 2)[BINARY > 0].mean()),
    (PAIR, "mae(p, y)", (P, Y), np.abs(P - Y).mean()),
    (PAIR, "huber[0.7](p, y)", (P, Y), HUBER.mean()),
    (CLASSES, "cross_entropy[K](logits, label)", (LOGITS, LABEL), -PICKED.mean()),
    (KEPT, "cross_entropy[K](logits, label, keep)", (LOGITS, LABEL, KEEP), -PICKED[KEEP].mean()),
    (KEPT, "cross_entropy[K, smooth = 0.1](logits, label, keep = keep)", (LOGITS, LABEL, KEEP),
     -(0.9 * PICKED + 0.1 * Q.mean(1))[KEEP].mean()),
    (CLASSES, "nll[K](log_softmax[K](logits), label)", (LOGITS, LABEL), -PICKED.mean()),
    (CLASSES, "focal[K](logits, label)", (LOGITS, LABEL), (-PICKED * (1 - np.exp(PICKED)) ** 2).mean()),
    (CLASSES, "hinge_classes[K](logits, label)", (LOGITS, LABEL), MARGINS.mean()),
    (PAIR, "binary_cross_entropy(p, y)", (PROBABILITY, BINARY),
     -(BINARY * np.log(PROBABILITY) + (1 - BINARY) * np.log(1 - PROBABILITY)).mean()),
    (PAIR, "binary_cross_entropy_logits(p, y)", (P, BINARY), (np.logaddexp(0, P) - BINARY * P).mean()),
    (PAIR, "hinge(p, y)", (P, 2 * BINARY - 1), np.maximum(0, 1 - (2 * BINARY - 1) * P).mean()),
    ("p: [B, K], z: [B, K]", "kl[K](p, z)", (SIMPLEX, LOGITS), (SIMPLEX * (np.log(SIMPLEX) - Q)).sum(1).mean()),
    (PAIR, "kl_normal[D](p, y)", (P, Y), (0.5 * (P**2 + np.exp(Y) - Y - 1).sum(1)).mean()),
    (PAIR, "dice(p, y)", (PROBABILITY, BINARY),
     1 - (2 * (PROBABILITY * BINARY).sum() + 1) / (PROBABILITY.sum() + BINARY.sum() + 1)),
    (PAIR, "cosine_distance[D](p, y)", (P, Y), (1 - COSINE).mean()),
    (f"{PAIR}, z: [B]", "contrastive[D](p, y, z)", (P, Y, BINARY[:, 0]),
     (0.5 * (BINARY[:, 0] * DISTANCE**2 + (1 - BINARY[:, 0]) * np.maximum(0, 1 - DISTANCE) ** 2)).mean()),
    (f"{PAIR}, z: [B, D]", "triplet[D](p, y, z)", (P, Y, PROBABILITY),
     np.maximum(0, ((P - Y) ** 2).sum(1) - ((P - PROBABILITY) ** 2).sum(1) + 0.2).mean()),
]  # fmt: skip


@pytest.mark.parametrize(("signature", "body", "args", "wanted"), CASES, ids=[body for _, body, _, _ in CASES])
def test_a_loss_is_its_formula_and_has_the_right_gradient(signature: str, body: str, args: Any, wanted: float) -> None:
    np.testing.assert_allclose(value(signature, body, *args), wanted, rtol=1e-10)
    assert gradient_error(signature, body, *args) < 1e-5


def test_cross_entropy_takes_classes_on_any_axis_and_more_than_one_position() -> None:
    logits, label = RNG.normal(size=(2, 3, 4, 5)), RNG.integers(0, 3, (2, 4, 5)).astype(np.int32)
    q = log_softmax(np.moveaxis(logits, 1, -1))
    wanted = -np.take_along_axis(q, label[..., None], -1).mean()
    found = value("logits: [B, C=3, H, W], label: i32[B, H, W]", "cross_entropy[C](logits, label)", logits, label)
    np.testing.assert_allclose(found, wanted)


def test_a_certain_mistake_costs_a_finite_amount_with_a_finite_gradient() -> None:
    m = session("y: [B=2]", "param z: [B=2] = zeros\nreturn binary_cross_entropy_logits(z, y)")
    m.params["z"] = np.array([1000.0, -1000.0])
    loss, gradient = m.value_and_grad(np.array([0.0, 1.0]))
    assert loss == 1000
    np.testing.assert_allclose(gradient["z"], [0.5, -0.5])
    assert np.isfinite(value("p: [B], y: [B]", "binary_cross_entropy(p, y)", np.array([0.0, 1]), np.array([1.0, 0])))


# ---------------------------------------------------------------- metrics
TRUTH = BINARY > 0.5
FOUND = PROBABILITY > 0.5
HITS = (TRUTH & FOUND).sum()
GUESS = LOGITS.argmax(1)
AS_GUESSED, AS_LABELLED = ([set(np.flatnonzero(a == k)) for k in range(4)] for a in (GUESS, LABEL))
SAME = [a & b for a, b in zip(AS_GUESSED, AS_LABELLED, strict=True)]
EITHER = [a | b for a, b in zip(AS_GUESSED, AS_LABELLED, strict=True)]
IOU = np.mean([len(a) / len(b) for a, b in zip(SAME, EITHER, strict=True) if b])
F1 = [2 * len(a) / (len(a) + len(b)) for a, b in zip(SAME, EITHER, strict=True) if b]
METRICS: list[tuple[str, str, tuple[Any, ...], Any]] = [
    (CLASSES, "accuracy[K](logits, label)", (LOGITS, LABEL), (GUESS == LABEL).mean()),
    (KEPT, "accuracy[K](logits, label, keep)", (LOGITS, LABEL, KEEP), (GUESS == LABEL)[KEEP].mean()),
    (CLASSES, "top_accuracy[K, 2](logits, label)", (LOGITS, LABEL),
     np.mean([y in row.argsort()[-2:] for row, y in zip(LOGITS, LABEL, strict=True)])),
    (CLASSES, "top_accuracy[K, 1](logits, label)", (LOGITS, LABEL), (GUESS == LABEL).mean()),
    (CLASSES, "top_accuracy[K, 4](logits, label)", (LOGITS, LABEL), 1.0),
    (PAIR, "binary_accuracy(p, y)", (PROBABILITY, BINARY), (TRUTH == FOUND).mean()),
    (PAIR, "precision(p, y)", (PROBABILITY, BINARY), HITS / FOUND.sum()),
    (PAIR, "recall(p, y)", (PROBABILITY, BINARY), HITS / TRUTH.sum()),
    (PAIR, "f1(p, y)", (PROBABILITY, BINARY), 2 * HITS / (FOUND.sum() + TRUTH.sum())),
    (PAIR, "precision(p, y)", (0 * P, BINARY), 0.0),
    (PAIR, "rmse(p, y)", (P, Y), np.sqrt(((P - Y) ** 2).mean())),
    (PAIR, "r2(p, y)", (P, Y), 1 - ((Y - P) ** 2).sum() / ((Y - Y.mean()) ** 2).sum()),
    (PAIR, "r2(p, y)", (Y, Y), 1.0),
    (CLASSES, "miou[K](logits, label)", (LOGITS, LABEL), IOU),
    (CLASSES, "f1_classes[K](logits, label)", (LOGITS, LABEL), np.mean(F1)),
    ("x: []", "perplexity(x)", (2.0,), np.exp(2)),
    ("x: []", "bits_per_char(x)", (np.log(8.0),), 3.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("signature", "body", "args", "wanted"), METRICS, ids=[f"{i}-{m[1]}" for i, m in enumerate(METRICS)]
)
def test_a_metric_is_its_formula(signature: str, body: str, args: Any, wanted: float) -> None:
    np.testing.assert_allclose(value(signature, body, *args), wanted, rtol=1e-10)


def test_the_confusion_matrix_counts_how_often_one_label_was_taken_for_another() -> None:
    found = value(CLASSES, "confusion[K](logits, label)", LOGITS, LABEL)
    wanted = np.zeros((4, 4))
    np.add.at(wanted, (LABEL, GUESS), 1)
    np.testing.assert_array_equal(found, wanted)


def test_a_sentence_matches_only_if_every_kept_word_is_right() -> None:
    label = RNG.integers(0, 5, (3, 4)).astype(np.int32)
    logits = np.eye(5)[label]
    logits[1, 3] = np.roll(logits[1, 3], 1)
    keep = np.ones((3, 4), bool)
    signature = "logits: [B, T, V], label: i32[B, T], keep: bool[B, T]"
    np.testing.assert_allclose(value(signature, "exact_match[V](logits, label, keep)", logits, label, keep), 2 / 3)
    ids, whole = logits.argmax(2).astype(np.int32), "ids: i32[B, T], label: i32[B, T], keep: bool[B, T]"
    np.testing.assert_allclose(value(whole, "exact_sequence(ids, label, keep)", ids, label, keep), 2 / 3)
    keep[1, 3] = False
    assert value(signature, "exact_match[V](logits, label, keep = keep)", logits, label, keep) == 1
    assert value(whole, "exact_sequence(ids, label, keep)", ids, label, keep) == 1


def test_logits_that_are_all_alike_are_right_as_often_as_the_first_class_is() -> None:
    flat = np.zeros((6, 4))
    assert value(CLASSES, "accuracy[K](logits, label)", flat, LABEL) == (LABEL == 0).mean()
    assert value(CLASSES, "top_accuracy[K, 2](logits, label)", flat, LABEL) == (LABEL < 2).mean()


@pytest.mark.torch
def test_losses_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    logits, label, p, y = torch.tensor(LOGITS), torch.tensor(LABEL).long(), torch.tensor(P), torch.tensor(Y)
    pairs = [
        (value(CLASSES, "cross_entropy[K, smooth = 0.2](logits, label)", LOGITS, LABEL),
         f.cross_entropy(logits, label, label_smoothing=0.2)),
        (value(PAIR, "huber[0.7](p, y)", P, Y), f.huber_loss(p, y, delta=0.7)),
        (value("p: [B, K], z: [B, K]", "kl[K](p, z)", SIMPLEX, LOGITS),
         f.kl_div(f.log_softmax(logits, 1), torch.tensor(SIMPLEX), reduction="batchmean")),
        (value(PAIR, "binary_cross_entropy_logits(p, y)", P, BINARY),
         f.binary_cross_entropy_with_logits(p, torch.tensor(BINARY))),
        (value(PAIR, "mae(p, y)", P, Y), f.l1_loss(p, y)),
    ]  # fmt: skip
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs.item(), rtol=1e-10)
