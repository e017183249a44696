"""A recipe made by hand, without a text: two layers, a running mean, momentum. Small enough to follow by eye.

h = tanh(x @ W1 + b1) - mean        p = h @ W2        loss = mean[B, K]((p - y)^2)        metric = mean[B](p near y)
"""

from __future__ import annotations

import hashlib
from typing import Any

import zhdsl.ops  # noqa: F401  (fills the registry of ops)
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, Origin, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang.model import DatasetUse, Model, Recipe, Weight
from zhdsl.source import Source, Span

TEXT = "model Line(x: [B, F=3]) -> p: [B, K=2] {\n  # made by hand in the tests\n}\n"
SOURCE = Source("line.zh", TEXT)
HERE = Span(SOURCE, 0, 5)
X = Type("float", (("B", Size.of("B")), ("F", Size.of(3))))
Y = Type("float", (("B", Size.of("B")), ("K", Size.of(2))))
SCALAR = Type("float")
SHAPES: dict[str, tuple[tuple[str, int], ...]] = {
    "first.W": (("F", 3), ("H", 4)),
    "first.b": (("H", 4),),
    "second.W": (("H", 4), ("K", 2)),
}


def port(name: str, type_: Type, order: tuple[str, ...], role: str = "data") -> Port:
    """An input port on its source node."""
    op, key = {"param": ("param", "path"), "state": ("state", "path")}.get(role, ("input", "port"))
    return Port(name, apply(op, **{key: name}, type=type_), order, role)


def counter(name: str) -> Port:
    return port(name, Type("i32"), (), "counter")


def number(value: float) -> Node:
    return apply("const", value=value, dtype="float")


def stream(path: str) -> int:
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big")


def weight(path: str, axes: tuple[tuple[str, int], ...], scale: float = 1.0) -> Weight:
    """Uniform in ±scale/2; scale 0 is zeros."""
    type_ = Type("float", tuple((n, Size.of(s)) for n, s in axes))
    with Builder() as b:
        seed = counter("seed")
        drawn = apply("uniform", seed.node, stream=stream(path), axes=type_.axes) if axes else number(0.5)
        value = scale * (drawn - 0.5)
        init = close("init", [seed], [Port("init", value, tuple(n for n, _ in axes), "result")], b)
    return Weight(path, type_, tuple(n for n, _ in axes), init, HERE)


MEAN = "norm.mean"
PARAMS = {path: weight(path, axes) for path, axes in SHAPES.items()}
STATES = {MEAN: weight(MEAN, (("H", 4),), 0.0)}


def inputs() -> dict[str, Port]:
    params = [port(p, w.type, w.order, "param") for p, w in PARAMS.items()]
    state = port(MEAN, STATES[MEAN].type, ("H",), "state")
    return {p.name: p for p in (port("x", X, ("B", "F")), port("y", Y, ("B", "K")), *params, state)}


def hidden(p: dict[str, Port], noise: bool) -> Node:
    h = apply("contract", p["x"].node, p["first.W"].node, labels=("F",)) + p["first.b"].node
    if noise:
        coin = apply("uniform", counter("seed").node, counter("step").node, stream=9, axes=(("H", Size.of(4)),))
        h = h * apply("where", apply("lt", coin, number(0.1)), number(0.0), number(1.0))
    return apply("tanh", h)


def loss_of(result: Node, y: Node) -> Node:
    error = result - y
    total = apply("sum", error * error, labels=("B", "K"))
    return total / apply("const", value=Size.of("B") * 2, dtype="float")


def forward(noise: bool) -> Graph:
    """Train mode: the running mean moves towards that of the batch."""
    with Builder() as b, b.at([Origin(HERE)]):
        p = inputs()
        h = hidden(p, noise)
        mean = apply("sum", h, labels=("B",)) / apply("const", value=Size.of("B"), dtype="float")
        result = apply("contract", h - p[MEAN].node, p["second.W"].node, labels=("H",))
        loss = Port("loss", loss_of(result, p["y"].node), (), "loss")
        new = Port(MEAN, 0.9 * p[MEAN].node + 0.1 * apply("stop", mean), ("H",), "state")
        return close("Line", (*p.values(), counter("seed"), counter("step"), counter("epoch")), (loss, new), b)


def evaluation() -> Graph:
    with Builder() as b, b.at([Origin(HERE)]):
        p = inputs()
        result = apply("contract", hidden(p, False) - p[MEAN].node, p["second.W"].node, labels=("H",))
        near = apply("lt", apply("ipow", result - p["y"].node, exponent=2), number(0.05))
        hit = apply("sum", apply("cast", near, dtype="float"), labels=("B", "K"))
        worst = apply("max", apply("ipow", result - p["y"].node, exponent=2), labels=("B", "K"))
        outputs = (
            Port("loss", loss_of(result, p["y"].node), (), "loss"),
            Port("near", hit / apply("const", value=Size.of("B") * 2, dtype="float"), (), "metric"),
            Port("worst", apply("sqrt", worst), (), "metric"),
        )
        return close("Line.evaluate", p.values(), outputs, b)


def prediction(train: bool = False) -> Graph:
    with Builder() as b, b.at([Origin(HERE)]):
        p = inputs()
        result = apply("contract", hidden(p, False) - p[MEAN].node, p["second.W"].node, labels=("H",))
        ports = [p for name, p in p.items() if name != "y"]
        outputs = [Port("p", result, ("B", "K"), "result")]
        if train:
            outputs.append(Port(MEAN, p[MEAN].node * 0.5, ("H",), "state"))
        return close("Line", ports, outputs, b)


def momentum(path: str, axes: tuple[tuple[str, int], ...]) -> tuple[Graph, dict[str, Weight]]:
    """v' = 0.9 v + g, w' = w - 0.1 rate v'."""
    name = f"optimizer.{path}.v"
    slot, order = weight(name, axes, 0.0), tuple(n for n, _ in axes)
    with Builder() as b:
        w, g, rate = port("w", slot.type, order), port("g", slot.type, order), port("rate", SCALAR, ())
        v = port(name, slot.type, order, "state")
        new = 0.9 * v.node + g.node
        outputs = (Port("w", w.node - 0.1 * (rate.node * new), order, "result"), Port(name, new, order, "state"))
        return close("momentum", (w, g, rate, v), outputs, b), {name: slot}


def clip(path: str) -> Graph:
    """g * min(1, 1 / norm)."""
    type_ = PARAMS[path].type
    with Builder() as b:
        g, norm = port("g", type_, PARAMS[path].order), port("norm", SCALAR, ())
        over = apply("lt", number(1.0), norm.node)
        new = g.node * apply("where", over, 1.0 / norm.node, number(1.0))
        return close("clip", (g, norm), (Port("g", new, PARAMS[path].order, "result"),), b)


def schedule() -> Graph:
    """1 / (1 + epoch)."""
    with Builder() as b:
        epoch = counter("epoch")
        rate = 1.0 / (1.0 + apply("cast", epoch.node, dtype="float"))
        return close("schedule", (epoch,), (Port("rate", rate, (), "result"),), b)


def recipe(**changed: Any) -> Recipe:
    """The recipe; keywords replace its attributes, `noise` makes it draw."""
    made = {path: momentum(path, axes) for path, axes in SHAPES.items()}
    noise = changed.pop("noise", False)
    model = Model("Line", "model", prediction(), prediction(True), PARAMS, STATES, (), HERE)
    with Builder():
        fields = (port("x", X, ("B", "F")), port("y", Y, ("B", "K")))
    settings: dict[str, Any] = {
        "name": "Line",
        "model": model,
        "data": DatasetUse("line_of_the_tests", {}, fields, HERE),
        "valid": None,
        "batch_axis": "B",
        "forward": forward(noise),
        "evaluate": evaluation(),
        "predict": prediction(),
        "fit": None,
        "update": {path: graph for path, (graph, _) in made.items()},
        "slots": {name: slot for _, slots in made.values() for name, slot in slots.items()},
        "clip": {},
        "rate": None,
        "frozen": frozenset(),
        "batch": 8,
        "epochs": 3,
        "steps": None,
        "seed": 7,
        "stop": None,
        "expect": (),
        "precision": None,
        "guards": (),
        "span": HERE,
    }
    return Recipe(**{**settings, **changed})
