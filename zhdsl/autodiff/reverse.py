"""Reverse mode: walk from outputs to operands, each op's `vjp` builds the cotangents as new nodes.

    y = tanh(x)          dx = g * (1 - y * y)

In: nodes and cotangents of the outputs. Out: nodes. Since rules build nodes of the same kind, gradients can be
differentiated again. New nodes carry the places of the node they differentiate, in the role `backward`.
"""

from __future__ import annotations

from collections.abc import Sequence

from zhdsl.autodiff.loops import scan_vjp
from zhdsl.autodiff.naming import name_cotangent
from zhdsl.ir.node import NOWHERE, Node, apply, builder
from zhdsl.ir.types import Type
from zhdsl.ops.loop import Project, Scan


def gradients(outputs: Sequence[Node], seeds: Sequence[Node | None], wrt: Sequence[Node]) -> tuple[Node | None, ...]:
    """Gradients of sum(outputs · seeds) with respect to the nodes `wrt`.

    Args:
        outputs: values that are differentiated.
        seeds: cotangent of each output, of its type or broadcastable to it; `None` counts as zero.
        wrt: nodes taken as independent, usually sources.

    Returns:
        One node of the same type per entry of `wrt`; `None` where the outputs do not depend on it.
    """
    sweep = _Sweep(wrt)
    order = _reaching(outputs, set(wrt))
    needed = _depending(order, set(wrt))
    for output, seed in zip(outputs, seeds, strict=True):
        if seed is not None and output in needed:
            sweep.add(output, fit(seed, output.type))
    for node in reversed(order):
        if node in needed and node not in sweep.leaves:
            sweep.back(node, needed)
    return tuple(sweep.cotangents.get(node) for node in wrt)


def fit(g: Node, type_: Type) -> Node:
    """The cotangent of a by-name broadcast: sum over labels the operand lacks, expand along those only it has."""
    surplus = tuple(label for label in g.type.labels if label not in type_.sizes)
    missing = tuple(axis for axis in type_.axes if axis[0] not in g.type.sizes)
    if surplus:
        g = apply("sum", g, labels=surplus)
    return apply("expand", g, axes=missing) if missing else g


def zeros(type_: Type) -> Node:
    """A node of zeros."""
    return fit(apply("const", value=0.0, dtype=type_.dtype), type_)


class _Sweep:
    """The cotangents found so far."""

    def __init__(self, wrt: Sequence[Node]):
        self.leaves = frozenset(wrt)
        self.cotangents: dict[Node, Node] = {}
        self.of_loops: dict[Node, dict[int, Node]] = {}

    def add(self, node: Node, g: Node) -> None:
        if isinstance(node.op, Project) and node not in self.leaves:
            found = self.of_loops.setdefault(node.operands[0], {})
            index = node.op.index
            found[index] = found[index] + g if index in found else g
        else:
            self.cotangents[node] = self.cotangents[node] + g if node in self.cotangents else g

    def back(self, node: Node, needed: set[Node]) -> None:
        """Hand a node's cotangent on to its operands."""
        b = builder()
        with b.at(o.in_role("backward") for o in b.origins.get(node, NOWHERE)):
            if isinstance(node.op, Scan):
                parts = scan_vjp(node, self.of_loops[node], gradients) if node in self.of_loops else ()
            elif node in self.cotangents:
                name_cotangent(self.cotangents[node], node)
                parts = node.op.vjp(self.cotangents[node], node, *node.operands)
            else:
                return
            for operand, g in zip(node.operands, parts, strict=False):
                if g is not None and operand in needed and operand.type.is_float:
                    self.add(operand, fit(g, operand.type))


def _reaching(outputs: Sequence[Node], leaves: set[Node]) -> list[Node]:
    """Nodes the outputs need, operands first, not looking behind leaves."""
    seen: set[Node] = set()
    order: list[Node] = []
    stack = [(o, False) for o in reversed(outputs)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            if node not in leaves:
                stack.extend((x, False) for x in reversed(node.operands))
    return order


def _depending(order: Sequence[Node], leaves: set[Node]) -> set[Node]:
    """Those of `order` that depend on a leaf."""
    needed = set(leaves)
    for node in order:
        if node.op.name != "stop" and any(x in needed for x in node.operands):
            needed.add(node)
    return needed
