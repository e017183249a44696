"""The finite-difference oracle: whether the symbolic derivative is the derivative, to first and second order.

    L(x) = sum(outputs(x) * r)        (L(x + h e) - L(x - h e)) / 2h   against   (dL/dx)[e]

The outputs are projected on random cotangents r, so one number per entry of an operand is compared. Everything is in
float64, where central differences have a relative error of some 1e-10. Order 2 applies the same check to the gradients
themselves, as functions of the operands and of r.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Builder, Node, apply, topological
from zhdsl.ops.evaluate import Evaluator

ENTRIES = 24  # of one operand that are compared, drawn at random if it has more
STEP = 6e-6  # ε^(1/3): rounding and truncation of a central difference are then alike


class GradientMismatch(Exception):
    """A symbolic gradient is not the numerical one.

    Attributes:
        operand: the node's position in `wrt` (behind it, at order 2: the cotangents of the outputs).
        entry: index of the entry, axes sorted by label.
        found: what the symbolic derivative gives.
        expected: what finite differences give.
    """

    def __init__(self, operand: int, entry: tuple[int, ...], found: float, expected: float):
        self.operand, self.entry, self.found, self.expected = operand, entry, found, expected
        super().__init__(f"operand {operand}{list(entry)}: gradient {found}, finite difference {expected}")


def check_gradients(
    outputs: Sequence[Node],
    wrt: Sequence[Node],
    values: Mapping[Node, Any],
    sizes: Mapping[str, int],
    order: int = 1,
    tol: float | None = None,
    seed: int = 0,
) -> float:
    """Compare the gradients of `outputs` with respect to `wrt` with central differences.

    Args:
        outputs: nodes; those that are not float are left out.
        wrt: float nodes, usually sources.
        values: arrays of all sources that are needed, `wrt` included, axes sorted by label.
        sizes: the value of every symbol.
        order: 1, or 2 to check the gradient's own gradient as well.
        tol: largest error that is accepted; `None` accepts all.
        seed: of the random cotangents and of the choice of entries.

    Returns:
        The largest |fd - g| / (1 + |g|) over the compared entries; infinite where one of the two is not finite.

    Raises:
        GradientMismatch: the error of an entry is above `tol`; it tells the worst one.
    """
    rng = np.random.default_rng(seed)
    given = {node: np.asarray(value) for node, value in values.items()}
    with Builder() as b:
        b.adopt(topological((*outputs, *wrt)), {}, {})
        worst = 0.0
        for function in _functions(outputs, wrt, given, Evaluator(sizes), order, rng):
            error, mismatch = function.compare(rng)
            if tol is not None and not error <= tol:
                raise mismatch
            worst = max(worst, error)
    return worst


@dataclass(frozen=True)
class _Function:
    """L = sum(outputs * seeds) at `values`, and what the symbolic derivative says of it."""

    outputs: Sequence[Node]
    seeds: Sequence[Node]
    wrt: Sequence[Node]
    gradients: Sequence[Node | None]
    values: Mapping[Node, Array]
    evaluator: Evaluator

    def compare(self, rng: Any) -> tuple[float, GradientMismatch]:
        """The largest error of all entries, and where it is."""
        symbolic = iter(self.evaluator.run([g for g in self.gradients if g is not None], self.values))
        worst, mismatch = 0.0, GradientMismatch(0, (), 0.0, 0.0)
        for i, (node, g) in enumerate(zip(self.wrt, self.gradients, strict=True)):
            gradient = np.zeros(self.values[node].shape) if g is None else next(symbolic)
            for entry in _entries(gradient.shape, rng):
                found, expected = float(gradient[entry]), self.difference(node, entry)
                error = abs(expected - found) / (1.0 + abs(found))
                error = error if math.isfinite(error) else math.inf
                if error > worst:
                    worst, mismatch = error, GradientMismatch(i, entry, found, expected)
        return worst, mismatch

    def difference(self, node: Node, entry: tuple[int, ...]) -> float:
        """The central difference of L in one entry of one node."""
        step = STEP * max(1.0, abs(float(self.values[node][entry])))
        up, down = (self._moved(node, entry, sign * step) for sign in (1.0, -1.0))
        total = 0.0
        for u, d, seed in zip(up, down, self.seeds, strict=True):
            # differences first, then sums: entries that do not move add no rounding, and may be infinite
            moved = u != d
            total += float(np.sum((u[moved] - d[moved]) * self.values[seed][moved]))
        return total / (2.0 * step)

    def _moved(self, node: Node, entry: tuple[int, ...], by: float) -> list[Array]:
        moved = np.array(self.values[node], np.float64)
        moved[entry] += by
        return self.evaluator.run(self.outputs, {**self.values, node: moved})


def _functions(
    outputs: Sequence[Node],
    wrt: Sequence[Node],
    values: Mapping[Node, Array],
    evaluator: Evaluator,
    order: int,
    rng: Any,
) -> Iterator[_Function]:
    """The outputs, then their gradients as functions of operands and cotangents, and so on up to the order."""
    from zhdsl.autodiff.reverse import gradients

    for k in range(order):
        outputs = [o for o in outputs if o.type.is_float]
        seeds = [apply("input", port=f"cotangent {k}.{i}", type=o.type) for i, o in enumerate(outputs)]
        shapes = [o.type.shape(evaluator.sizes) for o in outputs]
        values = {**values, **{s: rng.uniform(-1.0, 1.0, shape) for s, shape in zip(seeds, shapes, strict=True)}}
        found = gradients(outputs, seeds, wrt)
        yield _Function(outputs, seeds, wrt, found, values, evaluator)
        outputs, wrt = [g for g in found if g is not None], [*wrt, *seeds]


def _entries(shape: tuple[int, ...], rng: Any) -> Iterator[tuple[int, ...]]:
    """All entries, or `ENTRIES` of them."""
    count = math.prod(shape)
    chosen = range(count) if count <= ENTRIES else sorted(rng.choice(count, ENTRIES, replace=False).tolist())
    for flat in chosen:
        yield tuple(int(i) for i in np.unravel_index(flat, shape))
