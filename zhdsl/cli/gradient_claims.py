"""Claims about gradients: `check gradient[f]`, and what a function with a derivative of its own claims.

In: a claim that holds a model. Out: the largest relative error against central differences in float64, or a Z0803.
Sizes are small numbers that the function allows, inputs are random and away from where its values are not finite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

import numpy as np

from zhdsl.autodiff.check import GradientMismatch, check_gradients
from zhdsl.errors import Diagnostic
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Node
from zhdsl.ir.types import TypeProblem
from zhdsl.lang.model import Claim, Model
from zhdsl.ops.evaluate import evaluate

SMALL = (3, 2, 4, 5, 6, 8, 7, 9, 12, 16)  # sizes that are tried for each symbol
TRIES, RUNS = 20_000, 50  # combinations that are looked at, and those that are run
TOLERANCE = 1e-6  # a right derivative is within 1e-8, a wrong one is off by something like 1
# Where floats are drawn: most functions take the first; logarithms and probabilities the second; `acosh` the last.
DOMAINS = ((-1.0, 1.0), (0.1, 0.9), (1.1, 2.0))


def compare(claim: Claim) -> tuple[Diagnostic | None, float | None]:
    """What is wrong with the claim, if anything, and the largest |difference - gradient| / (1 + |gradient|)."""
    model = claim.model
    assert model is not None
    graph = model.train
    wrt = [p for p in graph.of_role("data", "param") if p.node.type.is_float]
    if not wrt or not any(p.node.type.is_float for p in graph.results("result")):
        return _wrong(claim, f"{model.name} has no floats to differentiate", "a gradient needs float in and out"), None
    sizes = small_sizes(model)
    if sizes is None:
        return _wrong(claim, f"no small sizes meet the requirements of {model.name}", "give its sizes numbers"), None
    values = finite_values(graph, sizes)
    if values is None:
        return _wrong(claim, f"{model.name} is not finite at random inputs", "guard logarithms, roots, divisions"), None
    outputs = [p.node for p in graph.results("result")]
    try:
        return None, check_gradients(outputs, [p.node for p in wrt], values, sizes, tol=TOLERANCE)
    except GradientMismatch as found:
        return _mismatch(claim, wrt, found), None


def _wrong(claim: Claim, message: str, help: str) -> Diagnostic:
    return Diagnostic("Z0803", message, claim.span, help=help)


def _mismatch(claim: Claim, wrt: list[Port], found: GradientMismatch) -> Diagnostic:
    port = wrt[found.operand]
    at = ", ".join(f"{label}={i}" for label, i in zip(port.node.type.labels, found.entry, strict=True))
    place = f"{port.name}[{at}]" if at else port.name
    name = claim.model.name if claim.model else ""
    numbers = f"{found.found:.8g}, finite differences give {found.expected:.8g}"
    help = "compare the `grad` with the derivative of the body" if claim.kind == "adjoint" else ""
    return _wrong(claim, f"the gradient of {name} in {place} is {numbers}", help)


# ---------------------------------------------------------------- sizes
def small_sizes(model: Model) -> dict[str, int] | None:
    """The first small values of all symbols that the model's guards, types and ops allow.

    Axes of one element are avoided where that is possible: much is trivial on them.
    """
    symbols = sorted(model.train.symbols)
    choices = [SMALL[k % 3 :] + SMALL[: k % 3] for k in range(len(symbols))]
    for least in (2, 1):
        possible = (dict(zip(symbols, numbers, strict=True)) for numbers in islice(product(*choices), TRIES))
        plausible = (sizes for sizes in possible if _plausible(model, sizes, least))
        for sizes in islice(plausible, RUNS):
            if _runs(model.train, sizes):
                return sizes
    return None


def _plausible(model: Model, sizes: Mapping[str, int], least: int) -> bool:
    """Whether the guards hold and every axis has elements, those of unknown size at least so many."""
    try:
        return all(g.holds(sizes) for g in model.guards) and all(
            size.evaluate(sizes) >= (least if size.number is None else 1)
            for node in model.train.nodes
            for _, size in node.type.axes
        )
    except (KeyError, ValueError, ZeroDivisionError):
        return False


def _runs(graph: Graph, sizes: Mapping[str, int]) -> bool:
    try:
        evaluate([p.node for p in graph.results("result")], next(_candidates(graph, sizes)), sizes)
    except (TypeProblem, ValueError):
        return False
    return True


# ---------------------------------------------------------------- values
def finite_values(graph: Graph, sizes: Mapping[str, int]) -> dict[Node, Any] | None:
    """Random values of all inputs at which all results are finite."""
    for values in _candidates(graph, sizes):
        found = evaluate([p.node for p in graph.results("result")], values, sizes)
        if all(np.isfinite(a).all() for a in found):
            return values
    return None


def _candidates(graph: Graph, sizes: Mapping[str, int]) -> Iterator[dict[Node, Any]]:
    for low, high in DOMAINS:
        rng = np.random.default_rng(0)
        yield {port.node: _drawn(port, sizes, rng, low, high) for port in graph.inputs}


def _drawn(port: Port, sizes: Mapping[str, int], rng: np.random.Generator, low: float, high: float) -> Any:
    """Axes sorted by label. Indices are 0 or 1, which every axis has; states are positive, as variances are."""
    type_ = port.node.type
    shape = type_.shape(sizes)
    if port.role == "counter":
        return np.zeros(shape, np.int32)
    if type_.dtype == "i32":
        return rng.integers(0, 2, shape, np.int32) if math.prod(shape) else np.zeros(shape, np.int32)
    if type_.dtype == "bool":
        return rng.random(shape) < 0.75
    return rng.uniform(*((0.5, 1.5) if port.role == "state" else (low, high)), shape)
