"""Makes the interface of loops narrow: what is the same at every step is not sliced, carried or stacked.

scan[T]: slice m = expand[T](%keep)              capture m = %keep
scan[T]: capture m = expand[B](true)             true, in the body
scan[T]: carry c from %0, next c                 capture c = %0
scan[T]: slice x = %1, slice y = %1              slice x = %1
scan[T]: emit x, a slice of %1; project[0]       %1
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, make, rebuild
from zhdsl.ops.loop import Project, Scan, project
from zhdsl.passes.loop_body import extra_slots
from zhdsl.passes.patterns import is_op, spread
from zhdsl.passes.rewriting import Rules, rewrite
from zhdsl.passes.rules.broadcast import axes_of, bare


def simplify_loops(graph: Graph) -> Graph:
    """The graph with narrower loops; results that nobody reads are left to `drop_dead_code`."""
    return rewrite(graph, RULES)


@dataclass(frozen=True)
class Interface:
    """A scan with its operands beside its slots, kind by kind.

    Attributes:
        scan: the op; its body's outputs are kept.
        carries, slices, captures: pairs of a slot and what is given for it.
        inside: slots that are gone, and what stands for them in the body.
    """

    scan: Scan
    carries: tuple[tuple[Node, Node], ...]
    slices: tuple[tuple[Node, Node], ...]
    captures: tuple[tuple[Node, Node], ...]

    @staticmethod
    def of(node: Node) -> Interface:
        assert isinstance(node.op, Scan)
        body, pairs = node.op.body, tuple(zip(node.op.body.slots, node.operands, strict=True))
        first = body.carries + body.slices
        return Interface(node.op, pairs[: body.carries], pairs[body.carries : first], pairs[first:])

    def made(self, inside: dict[Node, Node]) -> Node:
        """The scan with these slots, the others replaced in the body."""
        pairs = (*self.carries, *self.slices, *self.captures)
        given = {slot: slot for slot, _ in pairs} | inside
        outputs = rebuild(self.scan.body.outputs, lambda node, operands: None, given)
        n = len(self.carries)
        slots = tuple(slot for slot, _ in pairs)
        new = Body(n, len(self.slices), slots, outputs[:n], outputs[n:])
        return make(replace(self.scan, body=new), *(operand for _, operand in pairs))


# ---------------------------------------------------------------- what is given
def slice_of_repeated(n: Node) -> Node | None:
    """A slice of something expanded along the axis of the loop is the same at every step: captured."""
    loop = Interface.of(n)
    label = loop.scan.label
    repeated = [(slot, x) for slot, x in loop.slices if label in axes_of(x)]
    if not repeated:
        return None
    captured = tuple((slot, spread(bare(x), x.type.without([label]))) for slot, x in repeated)
    sliced = tuple(pair for pair in loop.slices if pair not in repeated)
    return replace(loop, slices=sliced, captures=(*loop.captures, *captured)).made({})


def capture_of_constant(n: Node) -> Node | None:
    """A captured constant, expanded or not, is written in the body."""
    loop = Interface.of(n)
    constant = {slot: x for slot, x in loop.captures if is_op(bare(x), "const")}
    if not constant:
        return None
    inside = {slot: spread(make(bare(x).op), slot.type) for slot, x in constant.items()}
    return replace(loop, captures=tuple(p for p in loop.captures if p[0] not in constant)).made(inside)


def given_twice(n: Node) -> Node | None:
    """Two slices, or two captured values, of one operand are one."""
    loop = Interface.of(n)
    inside: dict[Node, Node] = {}
    kept: list[tuple[tuple[Node, Node], ...]] = []
    for pairs in (loop.slices, loop.captures):
        first: dict[Node, Node] = {}
        for slot, operand in pairs:
            if first.setdefault(operand, slot) is not slot:
                inside[slot] = first[operand]
        kept.append(tuple(pair for pair in pairs if pair[0] not in inside))
    return replace(loop, slices=kept[0], captures=kept[1]).made(inside) if inside else None


def carry_as_capture(n: Node) -> Node | None:
    """A carried value that never changes is read as a captured one; the carry itself is then dead."""
    loop = Interface.of(n)
    steady = [loop.carries[c] for c in never_changing(n) if loop.scan.body.next[c] is loop.carries[c][0]]
    if not steady:
        return None
    slots = extra_slots(loop.scan.body, [slot.type for slot, _ in steady])
    captured = tuple((new, x) for new, (_, x) in zip(slots, steady, strict=True))
    inside = {slot: new for new, (slot, _) in zip(slots, steady, strict=True)}
    return replace(loop, captures=(*loop.captures, *captured)).made(inside)


# ---------------------------------------------------------------- what comes out
def never_changing(n: Node) -> list[int]:
    """Positions of carried values that every step hands on as they were given."""
    loop = Interface.of(n)
    captured = dict(loop.captures)
    following = zip(loop.carries, loop.scan.body.next, strict=True)
    return [c for c, ((slot, x), new) in enumerate(following) if new is slot or captured.get(new) is x]


def result_of_constant(n: Node) -> Node | None:
    """What comes out of a loop as it went in: a carried value that never changes, a slice or captured value emitted.

    An axis without steps has no emits, and hands the carried values on too.
    """
    (node,) = n.operands
    if not isinstance(n.op, Project) or not isinstance(node.op, Scan):
        return None
    scan, index = node.op, n.op.index
    body, given = scan.body, dict(zip(scan.body.slots, node.operands, strict=True))
    if index < len(body.emits):
        emitted = body.emits[index]
        outside = given.get(emitted) if emitted not in body.slots[: body.carries] else None
        if outside is None and is_op(bare(emitted), "const"):
            outside = make(bare(emitted).op)
        return None if outside is None else spread(outside, n.type)
    carry = (index - len(body.emits)) % body.carries
    return spread(node.operands[carry], n.type) if carry in never_changing(node) else None


def emitted_twice(n: Node) -> Node | None:
    """A value that is emitted before, or as it is carried, is that result."""
    (node,) = n.operands
    if not isinstance(n.op, Project) or not isinstance(node.op, Scan) or n.op.index >= len(node.op.body.emits):
        return None
    scan, index = node.op, n.op.index
    emitted = scan.body.emits[index]
    if emitted in scan.body.slots[: scan.body.carries]:
        return project(node, scan.entry(scan.body.slots.index(emitted)))
    first = scan.body.emits.index(emitted)
    return project(node, first) if first != index else None


RULES: Rules = {
    "scan": (slice_of_repeated, carry_as_capture, capture_of_constant, given_twice),
    "project": (result_of_constant, emitted_twice),
}
