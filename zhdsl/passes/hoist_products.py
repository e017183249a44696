"""Moves products that do not depend on the carried values out of a loop: one product over the axis, not one a step.

    scan[T](h; x, W):                                 %1 = contract[D](x, W)          over all of T
      z = contract[D](x_t, W) + contract[N](h, U)     scan[T](h; %1, U):
                                                        z = %1_t + contract[N](h, U)

What follows such a product element by element, without growing, goes with it: the bias; in the backward loop, which
has the carries on entry as slices, the whole forward step that it computes again. A value that depends
on no slice at all never was in the loop: checking captures it from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, make, rebuild, topological
from zhdsl.ops.loop import Scan
from zhdsl.passes.loop_body import Lifting, extra_slots
from zhdsl.passes.rewriting import changed, settle

SMALLER = ("slice", "drop", "relabel")  # moves that never grow a value


def hoist_products(graph: Graph) -> Graph:
    """The graph with every such product outside of its loop."""
    return changed(graph, lambda outputs: settle(outputs, {"scan": (_hoist,)}))


def _hoist(node: Node) -> Node | None:
    """The scan with its products before it, `None` if it has none."""
    scan = node.op
    assert isinstance(scan, Scan)
    moved = _worth(scan.body, scan.label)
    if not moved:
        return None
    lifting = Lifting(node)
    whole = [lifting.lift(n) for n in moved]
    body, slots = scan.body, extra_slots(scan.body, [n.type for n in moved])
    given = {slot: slot for slot in body.slots} | dict(zip(moved, slots, strict=True))
    outputs = rebuild(body.outputs, lambda n, operands: None, given)
    first = body.carries + body.slices
    new = Body(
        body.carries,
        body.slices + len(slots),
        (*body.slots[:first], *slots, *body.slots[first:]),
        outputs[: len(body.next)],
        outputs[len(body.next) :],
    )
    return make(replace(scan, body=new), *node.operands[:first], *whole, *node.operands[first:])


def _worth(body: Body, label: str) -> list[Node]:
    """Products of slices and captured values, with what follows them, as far up as they go.

    What has an axis of the loop's name in a step stays: outside, the two would be one. So does what comes from a loop
    within: it runs for one step.
    """
    slices = set(body.slots[body.carries : body.carries + body.slices])
    carried = _depending(body.nodes, set(body.slots[: body.carries]))
    sliced = _depending(body.nodes, slices)
    clashing = _depending(body.nodes, {n for n in body.nodes if label in n.type.sizes or n.op.family == "loop"})
    fit: set[Node] = set()
    for n in body.nodes:
        if n in sliced - carried - clashing and (n.op.name == "contract" or _follows(n, fit)):
            fit.add(n)
    users = _users(body)
    return [n for n in body.nodes if n in fit and any(u not in fit for u in users[n])]


def _follows(n: Node, fit: set[Node]) -> bool:
    if n.op.name in SMALLER:
        return n.operands[0] in fit
    return n.op.family == "elementwise" and any(x in fit and x.type.axes == n.type.axes for x in n.operands)


def _depending(nodes: Sequence[Node], roots: set[Node]) -> set[Node]:
    found = set(roots)
    for n in nodes:
        if any(x in found for x in n.operands):
            found.add(n)
    return found


def _users(body: Body) -> Mapping[Node, list[Node | None]]:
    """Who uses a node; `None` stands for the body's outputs."""
    users: dict[Node, list[Node | None]] = {n: [] for n in body.nodes}
    for n in topological(body.outputs):
        for x in n.operands:
            users[x].append(n)
    for n in body.outputs:
        users[n].append(None)
    return users
