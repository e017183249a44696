"""Losses, with labels, with masks, far out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.twin import F, Twin, block, compare, torch

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(15)
P, Y = RNG.normal(size=(2, 6, 4))
A, B, C = RNG.normal(size=(3, 6, 4))
LOGITS = RNG.normal(size=(6, 5, 4))  # [B, T, K]
LABEL = RNG.integers(0, 4, (6, 5)).astype(np.int32)
KEEP = RNG.random((6, 5)) < 0.6
SHARE, TRUTH = RNG.uniform(0.05, 0.95, (6, 4)), (RNG.random((6, 4)) < 0.5) * 1.0
DISTRIBUTION = RNG.dirichlet(np.ones(4), 6)
DISTRIBUTION[0] = [1, 0, 0, 0]  # 0 log 0 = 0

TWO = "p: [B, K=4], y: [B, K=4]"
CLASSES = "logits: [B, T, K=4], label: i32[B, T]"
KEPT = f"{CLASSES}, keep: bool[B, T]"


def classes(**named: Any) -> Twin:
    """PyTorch has the classes on axis 1 and leaves positions out by the label -100."""

    def loss(w: Any, logits: Any, label: Any, keep: Any = None) -> Any:
        label = label.long() if keep is None else torch.where(keep, label.long(), -100)
        return F.cross_entropy(logits.transpose(1, 2), label, **named)

    return loss


def masked(loss: Any) -> Twin:
    return lambda w, p, y, keep: loss(p[keep], y[keep])


LOSSES: dict[str, tuple[str, Twin, list[Any]]] = {
    "mse(p, y)": (TWO, lambda w, p, y: F.mse_loss(p, y), [P, Y]),
    "mse(p, y, keep)": (f"{TWO}, keep: bool[B, K=4]", masked(F.mse_loss), [P, Y, KEEP[:, :4]]),
    "mae(p, y)": (TWO, lambda w, p, y: F.l1_loss(p, y), [P, Y]),
    "huber(p, y)": (TWO, lambda w, p, y: F.huber_loss(p, y), [P, Y]),
    "huber[delta = 0.3](p, y)": (TWO, lambda w, p, y: F.huber_loss(p, y, delta=0.3), [P, Y]),
    "cross_entropy[K](logits, label)": (CLASSES, classes(), [LOGITS, LABEL]),
    "cross_entropy[K](30 * logits, label)": (CLASSES, lambda w, z, y: classes()(w, 30 * z, y), [LOGITS, LABEL]),
    "cross_entropy[K, smooth = 0.1](logits, label)": (CLASSES, classes(label_smoothing=0.1), [LOGITS, LABEL]),
    "cross_entropy[K](logits, label, keep)": (KEPT, classes(), [LOGITS, LABEL, KEEP]),
    "cross_entropy[K, smooth = 0.3](logits, label, keep)": (KEPT, classes(label_smoothing=0.3), [LOGITS, LABEL, KEEP]),
    "nll[K](log_softmax[K](logits), label)": (CLASSES, classes(), [LOGITS, LABEL]),
    "nll[K](logits, label)": (CLASSES, lambda w, q, y: F.nll_loss(q.transpose(1, 2), y.long()), [LOGITS, LABEL]),
    "binary_cross_entropy(p, y)": (TWO, lambda w, p, y: F.binary_cross_entropy(p, y), [SHARE, TRUTH]),
    "binary_cross_entropy_logits(p, y)": (TWO, lambda w, z, y: F.binary_cross_entropy_with_logits(z, y), [P, TRUTH]),
    "binary_cross_entropy_logits(p, y, keep)": (
        f"{TWO}, keep: bool[B, K=4]", masked(F.binary_cross_entropy_with_logits), [P, SHARE, KEEP[:, :4]]),
    "kl[K](p, y)": (
        TWO, lambda w, p, z: F.kl_div(z.log_softmax(1), p, reduction="batchmean"), [DISTRIBUTION[1:], Y[1:]]),
    "triplet[K](a, b, c)": (
        "a: [B, K=4], b: [B, K=4], c: [B, K=4]",
        lambda w, a, b, c: F.triplet_margin_with_distance_loss(
            a, b, c, distance_function=lambda x, z: ((x - z) ** 2).sum(1), margin=0.2), [A, B, C]),
    "hinge_classes[K](p, label)": (
        "p: [B, K=4], label: i32[B]", lambda w, p, y: 4 * F.multi_margin_loss(p, y.long()), [P, LABEL[:, 0]]),
    "cosine_distance[K](p, y)": (
        TWO, lambda w, p, y: F.cosine_embedding_loss(p, y, torch.ones(len(p))), [P, Y]),
}  # fmt: skip


@pytest.mark.parametrize("body", LOSSES)
def test_a_loss_is_pytorchs(body: str, agree: Agree) -> None:
    signature, twin, given = LOSSES[body]
    agree(compare(block(signature, body), twin, given))


def test_where_a_probability_is_0_its_share_of_the_divergence_is_0(agree: Agree) -> None:
    """The gradient for p, log p + 1, is infinite there: PyTorch gives none either, so only the logits' is compared."""
    errors = compare(block(TWO, "kl[K](stop(p), y)"), lambda w, p, z: F.kl_div(
        z.log_softmax(1), p.detach(), reduction="batchmean"), [DISTRIBUTION, Y])  # fmt: skip
    agree(errors)


@pytest.mark.parametrize("z", [-800.0, -40.0, 0.0, 40.0, 800.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_logits_far_out_give_pytorchs_loss_and_gradient(z: float, y: float, agree: Agree) -> None:
    m = block(TWO.replace("=4", "=1"), "binary_cross_entropy_logits(p, y)")
    twin = lambda w, z, y: F.binary_cross_entropy_with_logits(z, y)  # noqa: E731
    agree(compare(m, twin, [np.array([[z]]), np.array([[y]])], floor=1.0), tolerance=3e-16)


@pytest.mark.parametrize("far", [50.0, 800.0, 1e5])
def test_classes_far_out_give_pytorchs_loss_and_gradient(far: float, agree: Agree) -> None:
    z = np.array([[[far, 0, -far, 1.0]], [[-far, 0, 0, far]]])
    m = block(CLASSES, "cross_entropy[K](logits, label)")
    agree(compare(m, classes(), [z, np.array([[2], [3]], np.int32)]))
