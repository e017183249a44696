"""What a graph costs: floating-point operations, counted from the types alone and exact for all sizes.

contract      2 for each point of the union of its operands' axes: a product and a sum
elementwise   1 for each element of the result (`stop` is free)
reduce        1 for each element of the operand
random        1 for each element
loop          its body, once for every step
others        0: they move numbers and compute none
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type

FREE_OPS = ("stop",)


def flops(nodes: Iterable[Node]) -> Size:
    """Floating-point operations of these nodes, as an expression in the symbols of their sizes."""
    total = Size.of(0)
    for node in nodes:
        total = total + flops_of(node)
    return total


def flops_of(node: Node) -> Size:
    """Floating-point operations of one node, without those of its operands."""
    family, op = node.op.family, node.op
    if op.name == "scan":
        scan: Any = op  # rooms above define it; every loop has a size and a body
        return Size.of(scan.size * flops(scan.body.nodes))
    if op.name in FREE_OPS:
        return Size.of(0)
    if family == "contract":
        return Type(node.type.dtype, tuple({a: n for x in node.operands for a, n in x.type.axes}.items())).count() * 2
    if family == "reduce":
        return node.operands[0].type.count()
    return node.type.count() if family in ("elementwise", "random") else Size.of(0)
