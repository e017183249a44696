"""How tables of rules are applied: from the operands to the results, until no rule has an answer.

A rule looks at a node whose operands no rule changes any more, and answers with a node of the same type or with `None`.
It sees the node and what is below it, never who uses it: so what one sweep leaves is left by every further sweep.

    mul(add(x, 0.0), 1.0)      add(x, 0.0) is settled first: x; then mul(x, 1.0): x
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any

from zhdsl.errors import CompilerError
from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import NOWHERE, Builder, Node, builder, topological
from zhdsl.ir.op import Op
from zhdsl.ir.text import describe

Rule = Callable[[Node], Node | None]
Rules = Mapping[str, tuple[Rule, ...]]  # by the op's name; `elementwise/*` for all of a family

ANSWERS_PER_NODE = 100  # far more than any chain of rules needs: beyond it they run in a circle


def rewrite(graph: Graph, *tables: Rules) -> Graph:
    """The graph, and the loop bodies in it, with all rules applied. Raises `CompilerError` if they never end."""
    rules = joined(*tables)
    return changed(graph, lambda outputs: settle(outputs, rules))


def joined(*tables: Rules) -> Rules:
    """One table of several; rules of earlier ones come first."""
    names = dict.fromkeys(chain.from_iterable(tables))
    return {name: tuple(chain.from_iterable(t.get(name, ()) for t in tables)) for name in names}


def changed(graph: Graph, change: Callable[[Sequence[Node]], Sequence[Node]]) -> Graph:
    """The graph with its output nodes, and those of the bodies in it, put through `change`."""
    with graph.building() as b:
        for node in graph.origins.keys() | graph.names.keys():  # those in bodies too
            b.note(node, graph.origins.get(node, NOWHERE), graph.names.get(node))
        inside = in_bodies([p.node for p in graph.outputs], change)
        new = graph.with_nodes(b, change(inside))
        nodes = [*topological(p.node for p in (*new.inputs, *new.outputs))]
        nodes += [n for body in nested(nodes) for n in (*body.slots, *body.nodes)]
        origins = {n: b.origins[n] for n in nodes if b.origins.get(n)}
        return replace(new, origins=origins, names={n: b.names[n] for n in nodes if n in b.names})


def in_bodies(outputs: Sequence[Node], change: Callable[[Sequence[Node]], Sequence[Node]]) -> Sequence[Node]:
    """The nodes, made anew in the builder in force where a body below them changes."""
    order = topological(outputs)
    if not any(bodies(n.op) for n in order):
        return outputs
    b, new = builder(), dict[Node, Node]()
    for node in order:
        op = with_bodies(node.op, lambda body: changed_body(body, change))
        with b.at(b.origins.get(node, NOWHERE)):
            new[node] = b.make(op, tuple(new[x] for x in node.operands))
        b.note(new[node], b.origins.get(node, NOWHERE), b.names.get(node))
    return [new[o] for o in outputs]


def changed_body(body: Body, change: Callable[[Sequence[Node]], Sequence[Node]]) -> Body:
    """The body with its outputs put through `change`: the same object if nothing changes."""
    outer = builder()
    with Builder() as b:
        b.adopt((*body.slots, *body.nodes), outer.origins, outer.names)
        outputs = change(in_bodies(body.outputs, change))
    if same(outputs, body.outputs):
        return body
    for node in topological(outputs):
        outer.note(node, b.origins.get(node, NOWHERE), b.names.get(node))
    return body.with_outputs(outputs)


def bodies(op: Op) -> list[Body]:
    """The bodies among an op's fields."""
    return [value for f in fields(op) if isinstance(value := getattr(op, f.name), Body)]


def nested(nodes: Iterable[Node]) -> Iterator[Body]:
    """Every body below the nodes, outer ones first."""
    for node in nodes:
        for body in bodies(node.op):
            yield body
            yield from nested(body.nodes)


def with_bodies(op: Op, change: Callable[[Body], Body]) -> Op:
    """The op with its bodies changed: the same op if they stay what they are."""
    old = {f.name: value for f in fields(op) if isinstance(value := getattr(op, f.name), Body)}
    new: dict[str, Any] = {name: change(body) for name, body in old.items()}
    return replace(op, **new) if any(new[name] is not old[name] for name in old) else op


def same(left: Sequence[Node], right: Sequence[Node]) -> bool:
    """Whether they are the very same nodes."""
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))


# ---------------------------------------------------------------- one graph, without its bodies
def settle(outputs: Sequence[Node], rules: Rules) -> tuple[Node, ...]:
    """The nodes with the rules applied to everything below them, made in the builder in force."""
    settling = _Settling(rules, ANSWERS_PER_NODE * (len(topological(outputs)) + 10))
    for node in outputs:
        settling.settle(node)
    return tuple(settling.settled[node] for node in outputs)


class _Settling:
    """What every node has become so far: an explicit stack, since graphs are deeper than Python's."""

    def __init__(self, rules: Rules, answers: int):
        self.rules = rules
        self.left = answers
        self.settled: dict[Node, Node] = {}
        self.answered: dict[Node, Node] = {}

    def settle(self, root: Node) -> None:
        stack = [root]
        while stack:
            node = stack[-1]
            pending = [] if node in self.settled else self._step(node)
            if not pending:
                stack.pop()
            stack.extend(reversed(pending))

    def _step(self, node: Node) -> list[Node]:
        """Settle the node, or answer which nodes must be settled before."""
        if node in self.answered:
            return self._become(node, self.answered[node])
        pending = [x for x in node.operands if x not in self.settled]
        if pending:
            return pending
        b = builder()
        origins = b.origins.get(node, NOWHERE)
        with b.at(origins):
            fresh = b.make(node.op, tuple(self.settled[x] for x in node.operands))
            b.note(fresh, origins, b.names.get(node))
            if fresh is node:
                return self._become(node, self._answer(fresh))
        return self._become(node, fresh)

    def _become(self, node: Node, successor: Node) -> list[Node]:
        if successor is not node and successor not in self.settled:
            self._spend(node)
            self.answered[node] = successor
            return [successor]
        self.settled[node] = final = node if successor is node else self.settled[successor]
        b = builder()
        b.note(final, b.origins.get(node, NOWHERE), b.names.get(node))
        return []

    def _answer(self, node: Node) -> Node:
        """The first answer of a rule, else the node itself."""
        for rule in chain(self.rules.get(node.op.name, ()), self.rules.get(f"{node.op.family}/*", ())):
            answer = rule(node)
            if answer is not None and answer is not node:
                if answer.type != node.type:
                    raise CompilerError(f"passes: {rule.__name__} made {answer.type} of {describe(node)}")
                return answer
        return node

    def _spend(self, node: Node) -> None:
        self.left -= 1
        if self.left < 0:
            raise CompilerError(f"passes: the rules do not come to an end at {describe(node)}")
