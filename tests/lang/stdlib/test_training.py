"""optim.zh, schedule.zh, clip.zh: what a recipe's update, rate and clip graphs compute, by formula and PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, recipe
from zhdsl.ir.graph import Graph
from zhdsl.lang.model import Recipe
from zhdsl.ops.evaluate import evaluate

RNG = np.random.default_rng(17)


def run(graph: Graph, given: dict[str, Any]) -> dict[tuple[str, str], Array]:
    """Outputs by (role, name); inputs by name, axes in the order of their ports."""
    values = {}
    for port in graph.inputs:
        array = np.asarray(given[port.name], np.int32 if port.node.type.dtype == "i32" else np.float64)
        values[port.node] = array.transpose([port.order.index(label) for label in sorted(port.order)])
    found = {}
    for port, array in zip(graph.outputs, evaluate(graph, values, {}), strict=True):
        labels = sorted(port.order)
        found[port.role, port.name] = array.transpose([labels.index(label) for label in port.order])
    return found


def trajectory(r: Recipe, path: str, w: Array, gradients: list[Array], rate: float = 1.0) -> Array:
    """The parameter after one update for each gradient."""
    graph = r.update[path]
    slots = {name: np.zeros(slot.type.shape({}, slot.order)) for name, slot in r.slots.items() if f".{path}." in name}
    for name in slots:
        (slots[name],) = run(r.slots[name].init, {"seed": 0}).values()
    for step, g in enumerate(gradients):
        found = run(graph, {"w": w, "g": g, "rate": rate, "step": step, "epoch": 0, **slots})
        w = found["result", "w"]
        slots = {name: found["state", name] for name in slots}
    return w


def trained(entry: str, path: str, w: Array, gradients: list[Array], rate: float = 1.0) -> Array:
    return trajectory(recipe(f"  optimizer = {entry}"), path, w, gradients, rate)


W = RNG.normal(size=(64, 10))
GRADIENTS = [RNG.normal(size=(64, 10)) for _ in range(4)]


def test_sgd_goes_down_the_gradient() -> None:
    np.testing.assert_allclose(trained("sgd[lr = 0.1]", "dense.W", W, GRADIENTS), W - 0.1 * sum(GRADIENTS))


def test_the_rate_of_the_schedule_multiplies_the_learning_rate() -> None:
    found = trained("sgd[lr = 0.1]", "dense.W", W, GRADIENTS[:1], rate=0.5)
    np.testing.assert_allclose(found, W - 0.05 * GRADIENTS[0])


def test_momentum_starts_from_rest_and_adds_up() -> None:
    v, w = 0 * W, W
    for g in GRADIENTS:
        v = 0.9 * v + g
        w = w - 0.1 * v
    np.testing.assert_allclose(trained("sgd[lr = 0.1, momentum = 0.9]", "dense.W", W, GRADIENTS), w)


def test_the_first_step_of_adam_is_the_sign_of_the_gradient() -> None:
    found = trained("adam[lr = 0.1]", "dense.W", W, GRADIENTS[:1])
    np.testing.assert_allclose(found, W - 0.1 * np.sign(GRADIENTS[0]), atol=1e-6)


@pytest.mark.parametrize("entry", ["sgd[decay = 0.1]", "adam[decay = 0.1]", "adamw[decay = 0.1]", "lion[decay = 0.1]"])
def test_decay_pulls_weights_to_0_and_spares_biases(entry: str) -> None:
    none = [np.zeros((64, 10))]
    assert (np.abs(trained(entry, "dense.W", W, none)) < np.abs(W)).all()
    b = RNG.normal(size=10)
    np.testing.assert_array_equal(trained(entry, "dense.b", b, [np.zeros(10)]), b)
    spared = entry.replace("]", ', spare = ["dense.*"]]')
    np.testing.assert_array_equal(trained(spared, "dense.W", W, none), W)


def test_rprop_takes_longer_steps_while_the_sign_stays_and_stops_once_when_it_turns() -> None:
    one = np.ones((64, 10))
    found = trained("rprop[lr = 0.1]", "dense.W", W, [one, one, -one, one])
    np.testing.assert_allclose(found, W - 0.1 - 0.12 - 0 - 0.06)


def test_lion_moves_every_weight_by_the_same_amount() -> None:
    found = trained("lion[lr = 0.1]", "dense.W", W, GRADIENTS[:1])
    np.testing.assert_allclose(found, W - 0.1 * np.sign(GRADIENTS[0]))


@pytest.mark.torch
@pytest.mark.parametrize(
    ("entry", "make"),
    [
        ("sgd[lr = 0.1, momentum = 0.9, decay = 0.01]", lambda o, p: o.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)),
        ("sgd[lr = 0.1, momentum = 0.9, nesterov = true]", lambda o, p: o.SGD(p, 0.1, momentum=0.9, nesterov=True)),
        ("adam[lr = 0.1, decay = 0.01]", lambda o, p: o.Adam(p, 0.1, weight_decay=0.01)),
        ("adam[lr = 0.1, beta = (0.5, 0.9), eps = 0.1]", lambda o, p: o.Adam(p, 0.1, betas=(0.5, 0.9), eps=0.1)),
        ("adamw[lr = 0.1, decay = 0.2]", lambda o, p: o.AdamW(p, 0.1, weight_decay=0.2)),
        ("rmsprop[lr = 0.1]", lambda o, p: o.RMSprop(p, 0.1)),
        ("rmsprop[lr = 0.1, momentum = 0.9]", lambda o, p: o.RMSprop(p, 0.1, momentum=0.9)),
        ("adagrad[lr = 0.1]", lambda o, p: o.Adagrad(p, 0.1)),
        ("adadelta", lambda o, p: o.Adadelta(p)),
        ("rprop[lr = 0.1]", lambda o, p: o.Rprop(p, 0.1)),
    ],
)
def test_an_optimiser_is_that_of_pytorch(entry: str, make: Callable[[Any, Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    w = torch.tensor(W, requires_grad=True)
    theirs = make(torch.optim, [w])
    for g in GRADIENTS:
        w.grad = torch.tensor(g)
        theirs.step()
    np.testing.assert_allclose(trained(entry, "dense.W", W, GRADIENTS), w.detach().numpy(), rtol=1e-10)


# ---------------------------------------------------------------- schedules
def rates(entry: str, times: list[int]) -> list[float]:
    graph = recipe(f"  optimizer = sgd\n  schedule = {entry}").rate
    assert graph is not None
    return [float(next(iter(run(graph, {"step": t, "epoch": t}).values()))) for t in times]


def half_cosine(x: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * x))


@pytest.mark.parametrize(
    ("entry", "times", "wanted"),
    [
        ("steps[at = (82, 123), times = 0.1]", [0, 81, 82, 122, 123, 999], [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("exponential[0.5]", [0, 1, 4], [1, 0.5, 0.0625]),
        ("warmup[4]", [0, 1, 3, 4, 99], [0.25, 0.5, 1, 1, 1]),
        ("linear[100]", [0, 25, 100, 200], [1, 0.75, 0, 0]),
        ("linear[110, warmup = 10, least = 0.5]", [0, 9, 10, 60, 110], [0.1, 1, 1, 0.75, 0.5]),
        ("cosine[100]", [0, 25, 50, 100, 101], [1, half_cosine(0.25), 0.5, 0, 0]),
        ("cosine[110, warmup = 10, least = 0.2]", [0, 4, 10, 60, 110], [0.1, 0.5, 1, 0.6, 0.2]),
        (
            "noam[512, warmup = 4_000]",
            [0, 3_999, 15_999],
            [512**-0.5 * 4000**-1.5, 512**-0.5 * 4000**-0.5, 512**-0.5 * 16000**-0.5],
        ),
        ("one_cycle[100]", [0, 15, 30, 65, 100], [0.04, 0.52, 1, 0.5 + 0.5 / 250_000, 1 / 250_000]),
    ],
)
def test_a_schedule_is_its_curve(entry: str, times: list[int], wanted: list[float]) -> None:
    np.testing.assert_allclose(rates(entry, times), wanted, rtol=1e-9, atol=1e-15)


# ---------------------------------------------------------------- clips
def clipped(entry: str, g: Array, norm: float) -> Array:
    graph = recipe(f"  optimizer = sgd\n  clip = {entry}").clip["dense.W"]
    return next(iter(run(graph, {"g": g, "norm": norm}).values()))


def test_a_gradient_longer_than_the_limit_is_shortened_and_a_shorter_one_is_kept() -> None:
    g = GRADIENTS[0]
    np.testing.assert_allclose(clipped("clip_norm[2.0]", g, 8.0), g / 4)
    np.testing.assert_allclose(clipped("clip_norm[2.0]", g, 1.0), g)
    np.testing.assert_allclose(clipped("clip_norm[2.0]", 0 * g, 0.0), 0 * g)


def test_every_number_of_a_gradient_is_brought_into_the_interval() -> None:
    np.testing.assert_allclose(clipped("clip_value[0.5]", GRADIENTS[0], 1.0), np.clip(GRADIENTS[0], -0.5, 0.5))
