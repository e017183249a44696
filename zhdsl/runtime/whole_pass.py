"""`split_pass`: metrics of a whole pass, exact, although a pass is computed batch by batch.

In `evaluate` of a recipe the batch axis stands for all samples. The graph is cut at its reductions over that axis:

    mean[B](hit) = sum[B](hit) / size(B)      per batch: sum[B](hit)      combined: sum      once: · / size(B)

What is before a cut runs for every batch, what comes after it once, on the combined values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, apply, rebuild, topological
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ops.loop import TUPLE, Scan
from zhdsl.ops.source import Const

__all__ = ["Graph", "PassSplit", "bound", "split_pass"]

CODE = "Z0790"
COMBINE = {"sum": "sum", "contract": "sum", "max": "max"}
# Movements that name the batch axis and yet keep every sample by itself.
KEEPS_SAMPLES = frozenset({"relabel", "merge", "expand", "uniform", "override"})


@dataclass(frozen=True)
class PassSplit:
    """A graph over a pass, cut in two.

    Attributes:
        per_batch: the inputs of the whole; outputs are the partial values (role metric) and the new states.
        combine: by name of a partial value, how those of two batches become one: `sum` or `max`.
        finish: partial values as data inputs, and parameters, states and counters as needed; outputs as the whole. The
            symbol of the batch in it means the number of samples of the pass, see `bound`.
        symbol: that symbol.
        averaged: names of losses that mix the samples of a batch, so that a pass has none: outputs of `per_batch` (role
            loss), of which the mean over batches, weighted by samples, is taken.
    """

    per_batch: Graph
    combine: Mapping[str, str]
    finish: Graph
    symbol: str
    averaged: tuple[str, ...] = ()


def split_pass(graph: Graph, batch_axis: str) -> PassSplit:
    """Cuts a graph at its reductions over the batch.

    Args:
        graph: outputs of roles loss, metric and result are cut; new states stay with the batches.
        batch_axis: the label of the batch in the data inputs.

    Raises:
        SpecError: a metric still has the batch axis, reduces over it within another reduction over it, or mixes
            samples in a way that batches cannot (sorting, indexing, comparing all with all).
    """
    symbol = _symbol(graph, batch_axis)
    mixing = [p for p in graph.results("loss") if not _can_be_cut(graph, symbol, p)]
    kept = [*mixing, *graph.results("state")]
    whole = [p for p in graph.outputs if p not in kept]
    cuts = _Cuts(graph, symbol, whole).found
    names = {node: f"partial{k}" for k, node in enumerate(cuts)}
    partials = [Port(names[n], n, n.type.labels, "metric") for n in cuts]
    with graph.building() as b:
        per_batch = close(f"{graph.name}.batch", graph.inputs, (*partials, *kept), b)
        finish = _finished(graph, b, names, whole)
    combine = {names[n]: COMBINE[n.op.name] for n in cuts}
    return PassSplit(per_batch, combine, finish, symbol, tuple(p.name for p in mixing))


def _can_be_cut(graph: Graph, symbol: str, port: Port) -> bool:
    try:
        _Cuts(graph, symbol, [port])
    except SpecError:
        return False
    return True


def bound(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph with these symbols replaced by numbers, in types and in constants."""
    values = {name: Size.of(n) for name, n in sizes.items()}
    with graph.building() as b:

        def renew(node: Node, operands: tuple[Node, ...]) -> Node:
            return b.make(node.op.substitute(values), operands)

        ports = (*graph.inputs, *graph.outputs)
        nodes = rebuild([p.node for p in ports], renew)
        new = [Port(p.name, node, p.order, p.role) for p, node in zip(ports, nodes, strict=True)]
        return close(graph.name, new[: len(graph.inputs)], new[len(graph.inputs) :], b)


def _symbol(graph: Graph, batch_axis: str) -> str:
    """The symbol that is the size of the batch axis; the label itself where no input has that axis."""
    for port in graph.of_role("data"):
        size = port.node.type.sizes.get(batch_axis)
        if size is not None and len(size.symbols) == 1:
            return min(size.symbols)
    return batch_axis


def _finished(graph: Graph, b: Builder, names: Mapping[Node, str], whole: Iterable[Port]) -> Graph:
    """What is computed once, from the partial values."""
    inputs = {node: apply("input", port=name, type=node.type) for node, name in names.items()}
    ports = list(whole)
    nodes = rebuild([p.node for p in ports], lambda node, operands: None, inputs)
    given = [Port(names[n], inputs[n], n.type.labels, "data") for n in names]
    others = [p for p in graph.inputs if p.role != "data"]
    outputs = [Port(p.name, n, p.order, p.role) for p, n in zip(ports, nodes, strict=True)]
    used = {x for port in outputs for x in _sources(port.node)}
    return close(f"{graph.name}.finish", (*given, *(p for p in others if p.node in used)), outputs, b)


def _sources(node: Node) -> Iterator[Node]:
    seen, stack = {node}, [node]
    while stack:
        top = stack.pop()
        if not top.operands:
            yield top
        new = [x for x in top.operands if x not in seen]
        seen.update(new)
        stack.extend(new)


class _Cuts:
    """Looks for the cuts, checking on the way that batches can be computed one by one.

    A node is *spread* if an axis of its type has the batch in its size; *done* if it is a cut or needs one; *local* if
    it is neither and yet needs something spread (the counter of a loop, say): it exists only inside a batch.
    """

    def __init__(self, graph: Graph, symbol: str, whole: Iterable[Port]):
        self.graph, self.symbol = graph, symbol
        self.spread: set[Node] = set()
        self.done: set[Node] = set()
        self.local: set[Node] = set()
        self.found: list[Node] = []
        ports = list(whole)
        for node in topological(p.node for p in ports):
            self._visit(node)
        for port in ports:
            if port.node in self.spread:
                self._refuse(port.node, f"{port.name} still has the axis of the batch", "write mean[…](…) around it")
            if port.node in self.local:
                self._refuse(port.node, f"{port.name} depends on a single batch", "reduce over the batch")

    def _visit(self, node: Node) -> None:
        inside = [x for x in node.operands if x in self.spread or x in self.local]
        mine = self._spread_labels(node.type)
        if mine or (isinstance(node.op, Scan) and self._is_spread_scan(node.op)):
            self._check_spread(node, mine)
            self.spread.add(node)
        elif inside:
            self._leave(node)
        if self.done.intersection(node.operands):
            if node in self.spread or inside:
                self._refuse_early(node)
            self.done.add(node)
        if self._counts_samples(node):
            self.done.add(node)  # the number of samples of the pass: known when it is over

    def _counts_samples(self, node: Node) -> bool:
        op = node.op
        return isinstance(op, Const) and isinstance(op.value, Size) and self.symbol in op.value.symbols

    def _refuse_early(self, node: Node) -> NoReturn:
        if any(self._counts_samples(x) for x in node.operands):
            cause = "within a reduction over the batch the number of samples is not known yet"
            self._refuse(node, cause, "divide the result of the reduction instead")
        self._refuse(node, "a metric may reduce over the batch once", "compute the inner value in `prepare`")

    def _leave(self, node: Node) -> None:
        """A node that is not spread although an operand is."""
        if node.op.name in COMBINE and any(x in self.spread for x in node.operands):
            self.found.append(node)
            self.done.add(node)
        elif node.op.name == "project" or all(x in self.local for x in node.operands if x not in self.done):
            self.local.add(node)
        else:
            self._refuse(node, f"a metric may not use {node.op.name} over the batch", "use sum, mean or max over it")

    def _check_spread(self, node: Node, mine: tuple[str, ...]) -> None:
        if len(mine) > 1:
            self._refuse(node, "a metric may not compare all samples with all others", "keep one axis for the batch")
        before = {label for x in node.operands for label in self._spread_labels(x.type)}
        touched = before.intersection(_names(node.op)) | set(mine).intersection(_names(node.op))
        if touched and node.op.name not in KEEPS_SAMPLES:
            self._refuse(node, f"a metric may not use {node.op.name} along the batch", "treat every sample by itself")

    def _spread_labels(self, type_: Type) -> tuple[str, ...]:
        return tuple(label for label, size in type_.axes if self.symbol in size.symbols)

    def _is_spread_scan(self, scan: Scan) -> bool:
        inner = [*scan.body.nodes, *scan.body.slots]
        for node in inner:
            if node.op.name in COMBINE and any(self._spread_labels(x.type) for x in node.operands):
                over = {label for x in node.operands for label in self._spread_labels(x.type)}
                if over.intersection(_names(node.op)):
                    self._refuse(node, "a metric may not reduce over the batch inside a scan", "reduce after the scan")
        return any(self._spread_labels(t) for t in scan.results if t.dtype != TUPLE)

    def _refuse(self, node: Node, message: str, fix: str) -> NoReturn:
        places = sorted((o.span for o in self.graph.origins.get(node, ())), key=lambda span: span.key)
        span = places[0] if places else None
        raise SpecError(Diagnostic(CODE, message, span, help=fix))


def _names(value: Any) -> set[str]:
    """All labels that an op names in its fields."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, tuple):
        return set().union(*map(_names, value))
    if hasattr(value, "infer"):
        skipped = {"type", "body", "path", "port", "dtype"}
        return set().union(*(_names(getattr(value, f.name)) for f in fields(value) if f.name not in skipped))
    return set()
