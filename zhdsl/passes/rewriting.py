"""How tables of rules are applied: from the operands to the results, until no rule has an answer.

A rule looks at a node whose operands no rule changes any more, and answers with a node of the same type or with `None`.
It sees the node and what is below it, never who uses it: so what one sweep leaves is left by every further sweep.

    mul(add(x, 0.0), 1.0)      add(x, 0.0) is settled first: x; then mul(x, 1.0): x
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import Any

from zhdsl.errors import CompilerError
from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph, everything
from zhdsl.ir.node import NOWHERE, Builder, Node, builder, topological
from zhdsl.ir.op import REGISTRY, Op
from zhdsl.ir.text import attributes, describe

Rule = Callable[[Node], Node | None]
Rules = Mapping[str, tuple[Rule, ...]]  # by the op's name; `elementwise/*` for all of a family
Change = Callable[[Sequence[Node]], Sequence[Node]]

ANSWERS_PER_NODE = 100  # far more than any chain of rules needs: beyond it they run in a circle


def rewrite(graph: Graph, *tables: Rules) -> Graph:
    """The graph, and the loop bodies in it, with all rules applied. Raises `CompilerError` if they never end."""
    rules = joined(*tables)
    if not any(rules_of(node.op.name, node.op.family, rules) for node in everything(graph.nodes)):
        return graph
    return changed(graph, lambda outputs: settle(outputs, rules))


def joined(*tables: Rules) -> Rules:
    """One table of several; rules of earlier ones come first."""
    names = dict.fromkeys(chain.from_iterable(tables))
    return {name: tuple(chain.from_iterable(t.get(name, ()) for t in tables)) for name in names}


def rules_of(name: str, family: str, rules: Rules) -> tuple[Rule, ...]:
    """The rules for an op: its own first, then those of its family."""
    return (*rules.get(name, ()), *rules.get(f"{family}/*", ()))


def changed(graph: Graph, change: Change) -> Graph:
    """The graph with its output nodes, and those of the bodies in it, put through `change`: the same if nothing is."""
    before = [p.node for p in graph.outputs]
    with graph.building() as b:
        after = change(in_bodies(before, change))
        return graph if same(before, after) else graph.with_nodes(b, after)


# ---------------------------------------------------------------- bodies
@cache
def body_fields(op: str) -> tuple[str, ...]:
    """The fields of an op that are bodies."""
    return tuple(name for name, hint in attributes(op) if hint is Body) if op in REGISTRY else ()


def in_bodies(outputs: Sequence[Node], change: Change) -> Sequence[Node]:
    """The nodes, made anew in the builder in force where a body below them changes."""
    order = topological(outputs)
    if not any(body_fields(n.op.name) for n in order):
        return outputs
    b, new = builder(), dict[Node, Node]()
    for node in order:
        op = with_bodies(node.op, lambda body: changed_body(body, change))
        with b.at(b.origins.get(node, NOWHERE)):
            new[node] = b.make(op, tuple(new[x] for x in node.operands))
        b.note(new[node], b.origins.get(node, NOWHERE), b.names.get(node))
    return [new[o] for o in outputs]


def with_bodies(op: Op, change: Callable[[Body], Body]) -> Op:
    """The op with its bodies changed: the same op if they stay what they are."""
    old = {name: getattr(op, name) for name in body_fields(op.name)}
    new: dict[str, Any] = {name: change(body) for name, body in old.items()}
    return replace(op, **new) if any(new[name] is not old[name] for name in old) else op


def changed_body(body: Body, change: Change) -> Body:
    """The body with its outputs put through `change`: the same object if nothing changes."""
    outer = builder()
    with Builder() as b:
        b.adopt((*body.slots, *body.nodes), outer.origins, outer.names)
        for node in everything(body.nodes):
            b.note(node, outer.origins.get(node, NOWHERE), outer.names.get(node))
        outputs = change(in_bodies(body.outputs, change))
    if same(outputs, body.outputs):
        return body
    for node in everything(topological(outputs)):
        outer.note(node, b.origins.get(node, NOWHERE), b.names.get(node))
    return body.with_outputs(outputs)


def same(left: Sequence[Node], right: Sequence[Node]) -> bool:
    """Whether they are the very same nodes."""
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))


# ---------------------------------------------------------------- one graph, without its bodies
def settle(outputs: Sequence[Node], rules: Rules) -> tuple[Node, ...]:
    """The nodes with the rules applied to everything below them, made in the builder in force."""
    settling = _Settling(rules, builder())
    for node in outputs:
        settling.settle(node)
    return tuple(settling.settled[node] for node in outputs)


class _Settling:
    """What every node has become so far: an explicit stack, since graphs are deeper than Python's."""

    def __init__(self, rules: Rules, b: Builder):
        self.rules = rules
        self.builder = b
        self.left = ANSWERS_PER_NODE * (len(b.origins) + 10)
        self.settled: dict[Node, Node] = {}
        self.answered: dict[Node, Node] = {}
        self.known: dict[str, tuple[Rule, ...]] = {}

    def settle(self, root: Node) -> None:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.settled:
                stack.pop()
                continue
            pending = [x for x in node.operands if x not in self.settled]
            if pending:
                stack.extend(reversed(pending))
                continue
            successor = self.answered.get(node) or self._successor(node)
            if successor is node or successor in self.settled:
                self._become(node, successor)
            else:
                self._spend(node)
                self.answered[node] = successor
                stack.append(successor)

    def _successor(self, node: Node) -> Node:
        """The node on its settled operands, or if it stands on them already: what the rules answer to it."""
        b = self.builder
        operands = tuple(self.settled[x] for x in node.operands)
        if any(x is not y for x, y in zip(operands, node.operands, strict=True)):
            with b.at(b.origins.get(node, NOWHERE)):
                return b.make(node.op, operands)
        return self._answer(node)

    def _answer(self, node: Node) -> Node:
        """The first answer of a rule, else the node itself."""
        name = node.op.name
        if name not in self.known:
            self.known[name] = rules_of(name, node.op.family, self.rules)
        if not self.known[name]:
            return node
        with self.builder.at(self.builder.origins.get(node, NOWHERE)):
            for rule in self.known[name]:
                answer = rule(node)
                if answer is not None and answer is not node:
                    if answer.type != node.type:
                        raise CompilerError(f"passes: {rule.__name__} made {answer.type} of {describe(node)}")
                    return answer
        return node

    def _become(self, node: Node, successor: Node) -> None:
        final = self.settled[node] = node if successor is node else self.settled[successor]
        if final is not node:
            self.builder.note(final, self.builder.origins.get(node, NOWHERE), self.builder.names.get(node))

    def _spend(self, node: Node) -> None:
        self.left -= 1
        if self.left < 0:
            raise CompilerError(f"passes: the rules do not come to an end at {describe(node)}")
