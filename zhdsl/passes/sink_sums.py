"""Moves products out of the end of a loop: weight gradients and emitted products become one product over the axis.

    scan[T](dW = 0; h, dz):                        scan[T](; …): emit dz
      dW = dW + contract[B](h_t, dz_t)             dW = 0 + contract[B, T](h, dz)
      emit contract[N](dz_t, W)                    contract[N](dz, W)

A carried value qualifies if a step only adds to it, and what it adds is a product, a sum, or sums and renames of these.
An emitted product qualifies if the loop uses it for nothing else and all but one of its factors are known outside.
Operands that are slices are used as they are; others are emitted, each once. Sums of anything else stay in the loop:
every step's summand would have to be stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, apply, make, topological
from zhdsl.ops.loop import Project, Scan, project
from zhdsl.passes.loop_body import Lifting
from zhdsl.passes.rewriting import changed, settle

SUMS = ("contract", "mul", "sum")
THROUGH = ("add", "sub", "neg", "relabel")


def sink_sums(graph: Graph) -> Graph:
    """The graph with every such sum behind its loop."""
    known: dict[Node, _Sunk | None] = {}

    def rule(node: Node) -> Node | None:
        scan = node.operands[0]
        assert isinstance(node.op, Project)
        if scan not in known:
            known[scan] = _sink(scan)
        sunk = known[scan]
        return sunk.result(node.op.index) if sunk else None

    return changed(graph, lambda outputs: settle(outputs, {"project": (rule,)}))


@dataclass(eq=False)
class _Sunk:
    """A scan without its sums, and how its results are had."""

    old: Scan
    scan: Node
    kept: list[int]
    sums: dict[int, Node]
    emits: list[int]
    products: dict[int, Node]
    new: Scan = field(init=False)

    def __post_init__(self) -> None:
        assert isinstance(self.scan.op, Scan)
        self.new = self.scan.op

    def result(self, index: int) -> Node | None:
        """What stands for the old scan's result of this index."""
        emits, carries = len(self.old.body.emits), self.old.body.carries
        if index < emits:
            return self.products.get(index) or project(self.scan, self.emits.index(index))
        carry, final = (index - emits) % carries, index - emits >= carries
        if carry in self.sums:
            return self.sums[carry] if final else None
        at = self.kept.index(carry)
        return project(self.scan, self.new.final(at) if final else self.new.entry(at))


def _sink(node: Node) -> _Sunk | None:
    """The scan with its sums behind it, `None` if it has none."""
    scan = node.op
    assert isinstance(scan, Scan)
    body = scan.body
    lifting = Lifting(node)
    sums_of = {i: g for i in range(body.carries) if (g := _added(body, i)) is not None}
    added = {i: g for i, g in sums_of.items() if not lifting.clashes(g)}
    given = {i: n for i, n in enumerate(body.emits) if _product(body, n, lifting)}
    if not added and not given:
        return None
    kept = [i for i in range(body.carries) if i not in added]
    still = [i for i in range(len(body.emits)) if i not in given]
    emits = [body.emits[i] for i in still]
    leaves = dict.fromkeys(x for g in added.values() for x in _leaves(g))
    leaves.update(dict.fromkeys(x for n in given.values() for x in n.operands))
    stacked = {x: _emitted(emits, x) for x in leaves if not lifting.can(x)}
    slots = (*(body.slots[i] for i in kept), *body.slots[body.carries :])
    new = Body(len(kept), body.slices, slots, tuple(body.next[i] for i in kept), tuple(emits))
    operands = (*(node.operands[i] for i in kept), *node.operands[body.carries :])
    after = make(replace(scan, body=new), *operands)
    lifting.known.update({x: project(after, i) for x, i in stacked.items()})
    sums = {i: apply("add", node.operands[i], _total(g, lifting)) for i, g in added.items()}
    return _Sunk(scan, after, kept, sums, still, {i: lifting.lift(n) for i, n in given.items()})


def _emitted(emits: list[Node], x: Node) -> int:
    """The place of a value among the emits, where it is put if it is not there."""
    if x not in emits:
        emits.append(x)
    return emits.index(x)


def _product(body: Body, n: Node, lifting: Lifting) -> bool:
    """Whether an emit is a product that can be made behind the loop from one emitted factor."""
    if n.op.name != "contract" or body.outputs.count(n) != 1:
        return False
    if any(n in x.operands for x in body.nodes) or lifting.clashes(n):
        return False
    return sum(not lifting.can(x) for x in n.operands) == 1


def _added(body: Body, i: int) -> Node | None:
    """What a step adds to carry i, if that is all that happens with it and it can be summed behind the loop."""
    slot, new = body.slots[i], body.next[i]
    if new.op.name != "add" or new.operands.count(slot) != 1:
        return None
    added = next(x for x in new.operands if x is not slot)
    others = [n for n in body.outputs if n is not new]
    if slot in topological([*others, added]) or body.outputs.count(new) != 1 or not _summable(added):
        return None
    return added


def _summable(g: Node) -> bool:
    """Whether the sum over the steps is a product or a sum behind the loop, not a stack of results."""
    if g.op.name in THROUGH:
        return all(_summable(x) for x in g.operands if x.op.name != "const") and g.type == g.operands[0].type.renamed(
            dict(getattr(g.op, "names", ()))
        )
    return g.op.name in SUMS


def _leaves(g: Node) -> list[Node]:
    """The values of each step that the sum is made of."""
    if g.op.name in THROUGH:
        return [leaf for x in g.operands for leaf in _leaves(x)]
    return list(g.operands) if g.op.name in SUMS else [g]


def _total(g: Node, lifting: Lifting) -> Node:
    """The sum over all steps."""
    if g.op.name in THROUGH:
        return make(g.op, *(_total(x, lifting) for x in g.operands))
    whole = [lifting.over_steps(x) for x in g.operands]
    labels = (*getattr(g.op, "labels", ()), lifting.label)
    return apply("sum" if g.op.name == "sum" else "contract", *whole, labels=labels)
