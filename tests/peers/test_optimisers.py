"""Optimisers and schedules: five steps on the same gradients, rates over a whole run, and whole training steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.twin import Errors, F, nn, relative, session, torch
from zhdsl.runtime import pipeline
from zhdsl.runtime.session import Session

pytestmark = pytest.mark.torch
optim, S = torch.optim, torch.optim.lr_scheduler
STEPS = 5
TEXT = """
dataset pairs[file = "pairs.csv"] -> (x: [B, D=5], y: i32[B])
model M(x: [B, D=5]) -> logits: [B, K=3] {{ return x -> Dense[3] }}
train M {{
  data = pairs[]
  loss = cross_entropy[K](logits, y)
  batch = 8
  steps = 100
{}
}}
"""


def recipe(*entries: str) -> Session:
    """A model of one layer, `dense.W` and `dense.b`, with these entries in its recipe."""
    return session(TEXT.format("".join(f"  {entry}\n" for entry in entries)))


# ---------------------------------------------------------------- an optimiser alone
# Decay spares biases, so their group in PyTorch has none.
OPTIMISERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "sgd[0.1]": (optim.SGD, {"lr": 0.1}),
    "sgd[0.1, momentum = 0.9]": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "sgd[0.1, momentum = 0.9, nesterov = true]": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "sgd[0.1, decay = 0.05]": (optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
    "sgd[0.1, momentum = 0.8, decay = 0.05]": (optim.SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05}),
    "sgd[0.1, momentum = 0.8, decay = 0.05, nesterov = true]": (
        optim.SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05, "nesterov": True}),
    "adam": (optim.Adam, {}),
    "adam[lr = 0.02, beta = (0.8, 0.95), eps = 1e-3]": (optim.Adam, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}),
    "adam[lr = 0.02, decay = 0.1]": (optim.Adam, {"lr": 0.02, "weight_decay": 0.1}),
    "adamw[lr = 0.02]": (optim.AdamW, {"lr": 0.02}),
    "adamw[lr = 0.02, decay = 0.3, beta = (0.9, 0.99)]": (
        optim.AdamW, {"lr": 0.02, "weight_decay": 0.3, "betas": (0.9, 0.99)}),
    "rmsprop": (optim.RMSprop, {}),
    "rmsprop[lr = 0.03, alpha = 0.9, momentum = 0.8]": (optim.RMSprop, {"lr": 0.03, "alpha": 0.9, "momentum": 0.8}),
    "adagrad": (optim.Adagrad, {}),
    "adagrad[lr = 0.3, eps = 1e-3]": (optim.Adagrad, {"lr": 0.3, "eps": 1e-3}),
    "adadelta": (optim.Adadelta, {}),
    "adadelta[lr = 0.5, rho = 0.8, eps = 1e-4]": (optim.Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-4}),
    "rprop": (optim.Rprop, {}),
    "rprop[lr = 0.1, up = 1.5, down = 0.4, least = 0.06, most = 0.2]": (
        optim.Rprop, {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (0.06, 0.2)}),
}  # fmt: skip


def stepped(m: Session, gradients: list[dict[str, Any]]) -> dict[str, Any]:
    """Weights after one update for each gradient, without clip and schedule."""
    update = m.recipe.update
    programs = {path: pipeline.compile_graph(graph, m.device, m.dtype) for path, graph in update.items()}
    for k, step in enumerate(gradients):
        for path, g in step.items():
            given = {("data", "w"): m.params[path], ("data", "g"): g, ("data", "rate"): 1.0, ("counter", "step"): k}
            ports = {(p.role, p.name) for p in update[path].inputs}
            known = {key: np.asarray(a) for key, a in given.items() if key in ports}
            states = {key: m.arrays[key] for key in ports if key[0] == "state"}
            for (role, name), array in programs[path].run({**known, **states}).items():
                m.arrays[("param", path) if role == "result" else (role, name)] = array
    return dict(m.params)


def stepped_there(m: Session, optimiser: Any, named: dict[str, Any], gradients: list[dict[str, Any]]) -> dict[str, Any]:
    weights = {path: torch.tensor(a, requires_grad=True) for path, a in m.params.items()}
    groups: list[dict[str, Any]] = [{"params": [weights["dense.W"]]}, {"params": [weights["dense.b"]]}]
    if named.get("weight_decay") or optimiser is optim.AdamW:
        groups[1]["weight_decay"] = 0.0
    there = optimiser(groups, **named)
    for step in gradients:
        for path, g in step.items():
            weights[path].grad = torch.tensor(g)
        there.step()
    return {path: w.detach().numpy() for path, w in weights.items()}


def moved(found: dict[str, Any], wanted: dict[str, Any], before: dict[str, Any]) -> Errors:
    """Errors of the ways from the first values, which are finer than those of the weights."""
    return {path: relative(found[path] - before[path], wanted[path] - before[path]) for path in wanted}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_five_steps_on_the_same_gradients_are_pytorchs(name: str, agree: Agree) -> None:
    m, rng = recipe(f"optimizer = {name}"), np.random.default_rng(16)
    gradients = [{path: rng.normal(size=a.shape) for path, a in m.params.items()} for _ in range(STEPS)]
    before = {path: a.copy() for path, a in m.params.items()}
    wanted = stepped_there(m, *OPTIMISERS[name], gradients)
    agree(moved(stepped(m, gradients), wanted, before))


# ---------------------------------------------------------------- schedules
def one_after_the_other(warm: int, rest: Any) -> Any:
    """A line up to 1 in `warm` steps, then another schedule."""
    return lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / warm, 1.0, warm - 1), rest(o)], [warm])


# Per step, where the name is of a step; steps and exponential count epochs.
SCHEDULES: dict[str, Any] = {
    "steps[at = (30, 60), times = 0.1]": lambda o: S.MultiStepLR(o, [30, 60], 0.1),
    "exponential[times = 0.95]": lambda o: S.ExponentialLR(o, 0.95),
    "warmup[20]": lambda o: S.LinearLR(o, 1 / 20, 1.0, 19),
    "linear[80]": lambda o: S.LinearLR(o, 1.0, 0.0, 80),
    "linear[80, warmup = 10, least = 0.2]": one_after_the_other(10, lambda o: S.LinearLR(o, 1.0, 0.2, 70)),
    "cosine[100]": lambda o: S.CosineAnnealingLR(o, 100),
    "cosine[100, least = 0.1]": lambda o: S.CosineAnnealingLR(o, 100, 0.1),
    "cosine[100, warmup = 10]": one_after_the_other(10, lambda o: S.CosineAnnealingLR(o, 90)),
    "noam[64, warmup = 20]": lambda o: S.LambdaLR(o, lambda s: 64**-0.5 * min((s + 1) ** -0.5, (s + 1) * 20**-1.5)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_has_pytorchs_values(name: str, agree: Agree) -> None:
    m = recipe("optimizer = sgd", f"schedule = {name}")
    graph = m.recipe.rate
    assert graph is not None
    (counter,) = graph.of_role("counter")
    program = pipeline.compile_graph(graph, m.device, m.dtype)
    found = [
        float(program.run({("counter", counter.name): np.asarray(k, np.int32)})["result", "rate"]) for k in range(100)
    ]
    there = optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, wanted = SCHEDULES[name](there), []
    for _ in range(100):
        wanted.append(schedule.get_last_lr()[0])
        there.step()
        schedule.step()
    agree({name: relative(np.array(found), np.array(wanted))})


# ---------------------------------------------------------------- clips, and whole steps
def batches(n: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(17)
    return [{"x": 3 * rng.normal(size=(8, 5)), "y": rng.integers(0, 3, 8).astype(np.int32)} for _ in range(n)]


WHOLE: dict[str, tuple[tuple[str, ...], Any, Any, Any]] = {
    "sgd, no clip": (("optimizer = sgd[0.1, momentum = 0.9]",), lambda p: optim.SGD(p, 0.1, 0.9), None, None),
    "sgd, clip by norm": (
        ("optimizer = sgd[0.5]", "clip = clip_norm[0.7]"),
        lambda p: optim.SGD(p, 0.5), lambda p: _clip_exactly(p, 0.7), None),
    "sgd, clip by norm, which is never reached": (
        ("optimizer = sgd[0.5]", "clip = clip_norm[1e3]"),
        lambda p: optim.SGD(p, 0.5), lambda p: nn.utils.clip_grad_norm_(p, 1e3), None),
    "sgd, clip by value": (
        ("optimizer = sgd[0.5]", "clip = clip_value[0.1]"),
        lambda p: optim.SGD(p, 0.5), lambda p: nn.utils.clip_grad_value_(p, 0.1), None),
    "adam, clip, schedule": (
        ("optimizer = adam[lr = 0.05]", "clip = clip_norm[0.7]", "schedule = cosine[20, warmup = 3]"),
        lambda p: optim.Adam(p, 0.05), lambda p: _clip_exactly(p, 0.7),
        one_after_the_other(3, lambda o: S.CosineAnnealingLR(o, 17))),
}  # fmt: skip


def _clip_exactly(parameters: list[Any], most: float) -> None:
    """PyTorch's clip without the 1e-6 that it adds to the norm."""
    norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters)).item()
    nn.utils.clip_grad_norm_(parameters, most * (norm + 1e-6) / norm)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_training_steps_are_pytorchs(name: str, agree: Agree) -> None:
    entries, optimiser, clip, schedule = WHOLE[name]
    m = recipe(*entries)
    before = {path: a.copy() for path, a in m.params.items()}
    weights = {path: torch.tensor(a, requires_grad=True) for path, a in m.params.items()}
    there = optimiser(list(weights.values()))
    rates = schedule(there) if schedule else None
    losses: Errors = {}
    for k, batch in enumerate(batches(10)):
        loss = F.cross_entropy(
            torch.tensor(batch["x"]) @ weights["dense.W"] + weights["dense.b"], torch.tensor(batch["y"]).long()
        )
        there.zero_grad()
        loss.backward()
        if clip:
            clip(list(weights.values()))
        there.step()
        if rates:
            rates.step()
        losses[f"loss {k}"] = abs(m.step(**batch) / loss.item() - 1)
    agree(moved(dict(m.params), {p: w.detach().numpy() for p, w in weights.items()}, before) | losses)


def test_pytorchs_clip_differs_by_what_it_adds_to_the_norm() -> None:
    """g c / norm here (Pascanu et al. 2013, alg. 1), g c / (norm + 1e-6) there."""
    m, batch = recipe("optimizer = sgd[1.0]", "clip = clip_norm[0.7]"), batches(1)[0]
    _, gradients = m.value_and_grad(**batch)
    before = {path: a.copy() for path, a in m.params.items()}
    m.step(**batch)
    there = [nn.Parameter(torch.zeros(g.shape)) for g in gradients.values()]
    for p, g in zip(there, gradients.values(), strict=True):
        p.grad = torch.tensor(g)
    norm = float(nn.utils.clip_grad_norm_(there, 0.7))
    assert norm > 0.7
    for p, path in zip(there, gradients, strict=True):
        ours = before[path] - m.params[path]
        assert relative(ours * norm / (norm + 1e-6), p.grad.numpy()) < 1e-12
