"""The training step as one graph, and gradients as graphs.

    forward  →  loss  →  gradients  →  global norm  →  clipped gradients  →  optimiser, once per parameter

In: a checked recipe. Out: a graph from (batch, parameters, states, counters) to (loss, new parameters, new states).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from zhdsl.autodiff import reverse
from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Node, Origin, apply
from zhdsl.ir.types import FLOAT
from zhdsl.lang.model import Model, Recipe
from zhdsl.lang.nearest import nearest
from zhdsl.passes import BEFORE_DERIVATIVE, run_passes
from zhdsl.runtime.splice import merged, open_inputs, splice

NORM, RATE = "grad_norm", "rate"


def trained(recipe: Recipe, forward: Graph | None = None) -> tuple[Port, ...]:
    """The parameters that a step changes: not frozen, with an optimiser, and known to the loss's graph."""
    ports = (forward or recipe.forward).of_role("param")
    return tuple(p for p in ports if p.name in recipe.update and p.name not in recipe.frozen)


def step_graph(recipe: Recipe, norm: bool = False) -> Graph:
    """One training step.

    Args:
        recipe: what is trained and how.
        norm: whether the global norm of the gradients is an output even if no clip needs it.

    Returns:
        A graph with all inputs of `recipe.forward`, the optimiser's states and the counters they use. Outputs: `loss`
        (role loss; of the weights before the step), `grad_norm` and `rate` (role metric; where they exist), new
        parameters (role param) and new states with the optimiser's (role state). Parameters on which the loss does not
        depend have no new value.
    """
    forward = run_passes(recipe.forward, BEFORE_DERIVATIVE)  # a stable loss has a stable derivative
    with forward.building() as b, b.at([Origin(recipe.span, "update")]):
        loss = forward.output("loss", "loss")
        ports = trained(recipe, forward)
        found = reverse.gradients([loss.node], [_one(loss.node)], [p.node for p in ports])
        grads = {p.name: g for p, g in zip(ports, found, strict=True) if g is not None}
        inputs, metrics = list(forward.inputs), []
        if recipe.clip or norm:
            metrics.append(Port(NORM, _norm(grads.values()), (), "metric"))
            grads = _clipped(recipe, grads, metrics[0].node, inputs)
        if recipe.rate is not None:
            metrics.append(Port(RATE, splice(recipe.rate, {})["rate"], (), "metric"))
            inputs += open_inputs(recipe.rate, ())
        rate = metrics[-1].node if recipe.rate is not None else apply("const", value=1.0, dtype=FLOAT)
        news = [n for p in ports if p.name in grads for n in _updated(recipe, p, grads[p.name], rate, inputs)]
        outputs = (loss, *metrics, *news, *forward.results("state"))
        return close(f"{recipe.name}.step", merged(inputs), outputs, b)


def _one(node: Node) -> Node:
    return apply("const", value=1.0, dtype=node.type.dtype)


def _norm(grads: Iterable[Node]) -> Node:
    """The square root of the sum of the squares of all elements."""
    total = apply("const", value=0.0, dtype=FLOAT)
    for g in grads:
        square = apply("sum", g * g, labels=g.type.labels)
        total = total + (square if square.type.dtype == FLOAT else apply("cast", square, dtype=FLOAT))
    return apply("sqrt", total)


def _clipped(recipe: Recipe, grads: Mapping[str, Node], norm: Node, inputs: list[Port]) -> dict[str, Node]:
    """The gradients after their clips; what clips need from outside is added to `inputs`."""
    clipped = dict(grads)
    for path, clip in recipe.clip.items():
        if path in grads:
            given = {"g": grads[path], "norm": norm}
            clipped[path] = splice(clip, given)["g"]
            inputs += open_inputs(clip, given)
    return clipped


def _updated(recipe: Recipe, port: Port, grad: Node, rate: Node, inputs: list[Port]) -> list[Port]:
    """The new value of one parameter and of its optimiser's states."""
    update = recipe.update[port.name]
    given = {"w": port.node, "g": grad, "rate": rate}
    made = splice(update, given)
    inputs += open_inputs(update, given)
    states = [replace(p, node=made[p.name]) for p in update.results("state")]
    return [replace(port, node=made["w"]), *states]


# ---------------------------------------------------------------- gradients for the user
def gradient_graph(source: Recipe | Model, wrt: Sequence[str] | None = None, order: int = 1) -> Graph:
    """The joint program of values and gradients.

    Args:
        source: a recipe (its loss is differentiated) or a model in train mode (its float results are: a lone scalar as
            it is, otherwise weighted by an extra data input `d<result>` for each).
        wrt: paths of parameters or names of float inputs; by default the trained parameters of a recipe, all parameters
            of a model, its float inputs where it has no parameters.
        order: 1, or more to differentiate again. Order k differentiates the derivatives of order k - 1, each weighted
            by an extra data input `v<k>.<name>` (a product with the Hessian for k = 2); a lone scalar needs no weight.

    Returns:
        A graph with the outputs of the source, and per entry of `wrt` its gradient of the highest order (role grad).

    Raises:
        TrainingError: a name in `wrt` is not known, or nothing float is there to be differentiated.
    """
    graph = source.forward if isinstance(source, Recipe) else source.train
    with graph.building() as b, b.at([Origin(source.span, "backward")]):
        ports = _independent(source, graph, wrt)
        leaves = [p.node for p in ports]
        values, seeds, extra = _seeded([p for p in graph.results("loss", "result") if p.node.type.is_float], "d")
        if not values or order < 1:
            raise TrainingError(f"{source.name}: there is nothing to differentiate\nhelp: give it a float result")
        grads = _gradients(values, seeds, leaves)
        for k in range(2, order + 1):
            again = [replace(p, node=g) for p, g in zip(ports, grads, strict=True)]
            values, seeds, more = _seeded(again, f"v{k}.")
            extra += more
            grads = _gradients(values, seeds, leaves)
        outputs = [Port(p.name, g, p.order, "grad") for p, g in zip(ports, grads, strict=True)]
        return close(f"{source.name}.grad", (*graph.inputs, *extra), (*graph.outputs, *outputs), b)


def _independent(source: Recipe | Model, graph: Graph, wrt: Sequence[str] | None) -> list[Port]:
    """The input ports to differentiate with respect to."""
    params = trained(source) if isinstance(source, Recipe) else graph.of_role("param")
    inputs = [p for p in graph.of_role("data") if p.node.type.is_float]
    if wrt is None:
        return list(params or inputs)
    known = {p.name: p for p in (*inputs, *graph.of_role("param"))}
    for name in wrt:
        if name not in known:
            like = nearest(name, known)
            fix = f"did you mean {like}?" if like else f"known: {', '.join(known) or 'none'}"
            raise TrainingError(f"{source.name}: there is no parameter or float input {name}\nhelp: {fix}")
    return [known[name] for name in wrt]


def _seeded(ports: Sequence[Port], prefix: str) -> tuple[list[Node], list[Node], list[Port]]:
    """Values, the cotangents they start from, and the inputs that give those."""
    values = [p.node for p in ports]
    if len(values) == 1 and not values[0].type.axes:
        return values, [_one(values[0])], []
    nodes = [apply("input", port=f"{prefix}{p.name}", type=p.node.type) for p in ports]
    extra = [Port(f"{prefix}{p.name}", n, p.order, "data") for p, n in zip(ports, nodes, strict=True)]
    return values, nodes, extra


def _gradients(values: Sequence[Node], seeds: Sequence[Node], leaves: Sequence[Node]) -> list[Node]:
    found = reverse.gradients(values, seeds, leaves)
    return [reverse.zeros(leaf.type) if g is None else g for leaf, g in zip(leaves, found, strict=True)]
