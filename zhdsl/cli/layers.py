"""A model as a table of layers: one row for each prefix of parameter paths, with what it costs.

A row's operations are those that take its parameters; what takes none (activations, sums, attention scores) is counted
in a row of its own, so the rows add up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from zhdsl.ir.cost import flops_of
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang import ast
from zhdsl.lang.files import File, library_index
from zhdsl.lang.model import Model, Weight
from zhdsl.lang.problem import is_library

BYTES = {"bool": 1, "i32": 4, "f16": 2, "bf16": 2, "f32": 4, "f64": 8, "float": 4}  # the program's float in float32
OTHERS = "(no parameters)"


class Layer(NamedTuple):
    """One row; `output` is `None` where it is not known."""

    path: str
    block: str
    output: Type | None
    params: int
    bytes: int
    flops: Size


def layers(model: Model, file: File) -> list[Layer]:
    """The rows of a model, in the order of the text, then the operations without parameters if there are any."""
    weights: dict[str, list[Weight]] = {}
    for path, weight in model.params.items():
        weights.setdefault(layer_of(path), []).append(weight)
    work = _Work()
    work.walk(model.infer.nodes, _sources(model.infer), Size.of(1))
    rows = [_row(path, own, work, model.infer, file) for path, own in weights.items()]
    rest = work.flops.get("", Size.of(0))
    return [*rows, Layer(OTHERS, "", None, 0, 0, rest)] if rest != 0 else rows


def layer_of(path: str) -> str:
    """`stage1.2.conv` for `stage1.2.conv.W`; the path itself for a parameter of the model's own."""
    return path.rpartition(".")[0] or path


def _row(path: str, weights: list[Weight], work: _Work, graph: Graph, file: File) -> Layer:
    counts = [w.type.count().evaluate({}) for w in weights]
    size = sum(n * BYTES[w.type.dtype] for n, w in zip(counts, weights, strict=True))
    last = work.last.get(path)
    output = _shown(last, graph) if last is not None else None
    return Layer(path, block_of(weights[0], file), output, sum(counts), size, work.flops.get(path, Size.of(0)))


def _shown(node: Node, graph: Graph) -> Type | None:
    """The type of what a layer gives: a loop's first result, under the names it gets from its caller."""
    while users := [user for user, _ in graph.users.get(node, ())]:
        follows = [u for u in users if u.op.name == "project"] or [u for u in users if u.op.name == "relabel"]
        if not follows or (follows[0].op.name == "relabel" and len(users) > 1):
            break
        node = follows[0]
    return node.type if node.op.name != "scan" else None


def block_of(weight: Weight, file: File) -> str:
    """The name of the definition in which a parameter is declared; empty where that is not known."""
    if is_library(weight.span):
        room, at = weight.span.source.name.removeprefix("std/").removesuffix(".zh"), weight.span.start
        return next((n for n, (r, start, end) in library_index().items() if r == room and start <= at < end), "")
    for item in _definitions(file):
        if item.span.source is weight.span.source and item.span.start <= weight.span.start < item.span.end:
            return item.name
    return ""


def _definitions(file: File) -> Iterator[ast.Definition]:
    """Those of a file and of all files that it uses."""
    if not file.is_library:
        yield from (item for item in file.items.values() if isinstance(item, ast.Definition))
        for used in (*file.uses, *file.named.values()):
            yield from _definitions(used)


def _sources(graph: Graph) -> dict[Node, str]:
    """The layers of parameters."""
    return {p.node: layer_of(p.name) for p in graph.of_role("param")}


@dataclass
class _Work:
    """Operations by layer ("" for those of none), and the last node of each layer."""

    flops: dict[str, Size] = field(default_factory=dict)
    last: dict[str, Node] = field(default_factory=dict)

    def walk(self, nodes: Iterable[Node], params: Mapping[Node, str], times: Size) -> None:
        """Counts nodes (operands first) that run `times` times; `params` says which sources are whose parameters."""
        given = dict(params)  # nodes made of parameters and constants alone, by layer
        for node in nodes:
            if node in given:
                continue
            owners = [given[x] for x in node.operands if x in given]
            owner = next((o for o in owners if o), "")
            if node.op.name == "const" or (owners and len(owners) == len(node.operands)):
                given[node] = owner
            if node.op.name == "scan":
                self._scan(node, given, times)
            else:
                self._count(node, owner, times)

    def _count(self, node: Node, owner: str, times: Size) -> None:
        self.flops[owner] = self.flops.get(owner, Size.of(0)) + flops_of(node) * times
        if owner:
            self.last[owner] = node

    def _scan(self, node: Node, given: Mapping[Node, str], times: Size) -> None:
        op: Any = node.op
        slots = zip(op.body.slots, node.operands, strict=True)
        inside = {slot: given[x] for slot, x in slots if x in given}
        before = dict(self.last)
        self.walk(op.body.nodes, inside, times * op.size)
        for layer in {owner for owner in inside.values() if owner}:
            if self.last.get(layer) is not before.get(layer) and len({o for o in inside.values() if o}) == 1:
                self.last[layer] = node  # the loop is this layer's own
