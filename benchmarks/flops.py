"""What a step has to compute, counted from the forward graph: products only, and independent of how a side does it.

A product of two operands costs as much again for the gradient of each operand that depends on a parameter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.workloads import Start, load


def products(start: Start, training: bool) -> int:
    """Floating-point operations of all products of a training step, or of inference."""
    model = load(start.work, start.sizes, "numpy", "float32").spec.model
    sizes = {"B": len(start.x), "T": start.work.time and start.x.shape[1]}
    return _of(model.train.nodes if training else model.infer.nodes, sizes, training, set())


def _of(nodes: Iterable[Any], sizes: Mapping[str, int], training: bool, moving: set[Any]) -> int:
    """`moving` are the nodes that depend on a parameter; nodes come after their operands."""
    total = 0
    for node in nodes:
        touched = [n for n in node.operands if n in moving]
        if touched or node.op.name == "param":
            moving.add(node)
        if node.op.name == "scan":  # everything in a loop over parameters depends on them after the first step
            body = node.op.body.nodes
            total += node.op.size.evaluate(sizes) * _of(body, sizes, training, set(body) if touched else set())
        elif node.op.family == "contract":
            axes = {label: size for x in node.operands for label, size in x.type.axes}
            cost = 2 * math.prod(size.evaluate(sizes) for size in axes.values())
            total += cost * (1 + len(touched) if training else 1)
    return total
