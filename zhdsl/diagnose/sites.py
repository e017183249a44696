"""Where a graph can be listened to: layers by depth, activations, loops, and the inputs as the first layers see them.

In: the graph of a loss. Out: sites, in the order in which they are computed, each with its place in the user's text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from zhdsl.ir.graph import Graph
from zhdsl.ir.node import NOWHERE, Builder, Node, Origins
from zhdsl.lang.decompile.formulas import Formula, Relu, Sigmoid, Softplus
from zhdsl.ops.loop import Project, Scan
from zhdsl.source import Span

LIBRARY = "std/"
VIEWS = ("relabel", "split", "merge", "slice", "drop", "expand", "window", "pad", "flip", "cast")
FORMULAS: tuple[type[Formula], ...] = (Relu, Sigmoid, Softplus)
BENDS = ("relu", "sigmoid", "tanh")  # activations that die or saturate


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear map with a parameter of its own.

    Attributes:
        node: its result, before the bias: [B, …].
        kind: `linear` (a product, so convolutions too), `embed` (rows of a table) or `loop` (what a scan gives out).
        path: of the parameter; for loops, of the first one.
        reads: what it multiplies, before it was cut into windows and the like; `None` for the other kinds.
        weight: how the parameter is multiplied: a node with the axes of the product.
        depth: how many layers there are on the longest way to it, itself included.
        place: where the user's text asks for it.
    """

    node: Node
    kind: str
    path: str
    reads: Node | None
    weight: Node | None
    depth: int
    place: Span | None


@dataclass(frozen=True, eq=False)
class Bend:
    """An activation.

    Attributes:
        depth: of the last layer before it.
        units: the axes that count its units: those that the layer before it makes. All others are samples, positions
            and steps, at which one unit is looked at many times.
        layer: where the user's text asks for that layer.
        loop: the scan node in whose body it stands, or `None`.
    """

    node: Node
    kind: str
    depth: int
    place: Span | None
    layer: Span | None
    units: frozenset[str]
    loop: Node | None = None


@dataclass(frozen=True, eq=False)
class Input:
    """A float value that comes from data alone, read by a first layer or a loop. `features`: the axes of its parts."""

    node: Node
    features: frozenset[str]


@dataclass(frozen=True, eq=False)
class Sites:
    """All sites of a graph; `loops` are its scans."""

    graph: Graph
    layers: tuple[Layer, ...]
    bends: tuple[Bend, ...]
    loops: tuple[Node, ...]
    inputs: tuple[Input, ...]

    def place(self, node: Node) -> Span | None:
        """Where the user's text asks for a node; the library's lines are of no interest."""
        return place_of(self.graph.origins, node)


def sites_of(graph: Graph, batch_axis: str) -> Sites:
    """The sites of the graph of a loss."""
    return _Search(graph, batch_axis).found()


def root(node: Node) -> Node:
    """The value behind views of it."""
    while node.op.name in VIEWS:
        node = node.operands[0]
    return node


def place_of(origins: Mapping[Node, Origins], node: Node) -> Span | None:
    """The first place in the user's own text that a node comes from."""
    spans = [o.span for o in origins.get(node, NOWHERE) if not o.span.source.name.startswith(LIBRARY)]
    return min(spans, key=lambda span: span.key, default=None)


class _Search:
    def __init__(self, graph: Graph, batch_axis: str):
        self.graph, self.batch_axis = graph, batch_axis
        self.depths: dict[Node, int] = {}
        self.trained: set[Node] = set()  # values that depend on a parameter

    def found(self) -> Sites:
        layers: list[Layer] = []
        for node in self.graph.nodes:
            if node.op.name == "param" or any(x in self.trained for x in node.operands):
                self.trained.add(node)
            depth = max((self.depths[x] for x in node.operands), default=0)
            layer = self._layer(node, depth + 1)
            self.depths[node] = depth + (layer is not None)
            layers += [layer] if layer else []
        loops = tuple(n for n in self.graph.nodes if isinstance(n.op, Scan))
        return Sites(self.graph, tuple(layers), tuple(self._bends(loops)), loops, self._inputs(layers, loops))

    # ------------------------------------------------------------ layers
    def _layer(self, node: Node, depth: int) -> Layer | None:
        place = place_of(self.graph.origins, node)
        if node.op.name == "gather" and root(node.operands[0]).op.name == "param":
            return Layer(node, "embed", _path(root(node.operands[0])), None, None, depth, place)
        if isinstance(node.op, Project) and node.type.is_float:
            params = [r for x in node.operands[0].operands if (r := root(x)).op.name == "param"]
            return Layer(node, "loop", _path(params[0]), None, None, depth, place) if params else None
        if node.op.name != "contract" or not getattr(node.op, "labels", ()):
            return None
        weights = [x for x in node.operands if _is_matrix(root(x))]
        if len(weights) != 1:
            return None
        (reads,) = (x for x in node.operands if x is not weights[0])
        if root(reads).op.name == "param":
            return None
        return Layer(node, "linear", _path(root(weights[0])), root(reads), weights[0], depth, place)

    # ------------------------------------------------------------ activations
    def _bends(self, loops: Iterable[Node]) -> Iterator[Bend]:
        yield from self._bends_among(self.graph.nodes, None)
        for loop in loops:
            assert isinstance(loop.op, Scan)
            yield from self._bends_among(loop.op.body.nodes, loop)

    def _bends_among(self, nodes: tuple[Node, ...], loop: Node | None) -> Iterator[Bend]:
        """Those that depend on parameters, for what only prepares the data is not trained; and that are no gates."""
        gates = gates_of(nodes)
        for node, kind in kinds_of(nodes).items():
            if node not in gates and (loop is not None or node in self.trained):
                product, units = product_before(node)
                layer = self._place(product, loop) if product else None
                yield Bend(node, kind, self.depths[loop or node], self._place(node, loop), layer, units, loop)

    def _place(self, node: Node, loop: Node | None) -> Span | None:
        return place_of(self.graph.origins, node) or (place_of(self.graph.origins, loop) if loop else None)

    # ------------------------------------------------------------ inputs
    def _inputs(self, layers: Iterable[Layer], loops: Iterable[Node]) -> tuple[Input, ...]:
        read = [(layer.reads, set(layer.node.type.labels)) for layer in layers if layer.reads is not None]
        for loop in loops:
            assert isinstance(loop.op, Scan)
            first = loop.op.body.carries
            read += [
                (root(x), {loop.op.label, self.batch_axis}) for x in loop.operands[first : first + loop.op.body.slices]
            ]
        found: dict[Node, Input] = {}
        for x, kept in read:
            if x.type.is_float and x.type.axes and x not in self.trained and x in self._data:
                found.setdefault(x, Input(x, frozenset(x.type.labels) - kept))
        return tuple(found.values())

    @cached_property
    def _data(self) -> frozenset[Node]:
        known = {p.node for p in self.graph.of_role("data")}
        for node in self.graph.nodes:
            if any(x in known for x in node.operands):
                known.add(node)
        return frozenset(known)


def kinds_of(nodes: tuple[Node, ...]) -> dict[Node, str]:
    """The activations among nodes; the tanh in a sigmoid is none, nor the relu in a softplus."""
    found: dict[Node, str] = {}
    with Builder() as b:
        b.adopt(nodes, {}, {})
        for node in nodes:
            for formula in FORMULAS:
                candidate = formula.candidate(node)
                if candidate and candidate[0].written(*candidate[1]) is node:
                    found[node] = formula.name
    inner = {node.operands[1].operands[1] for node, kind in found.items() if kind == "sigmoid"}
    inner |= {node.operands[0] for node, kind in found.items() if kind == "softplus"}
    tanhs = {n: "tanh" for n in nodes if n.op.name == "tanh" and n not in inner}
    kinds = {n: kind for n in nodes if (kind := found.get(n) or tanhs.get(n))}
    return {n: kind for n, kind in kinds.items() if kind in BENDS and n not in inner}


def gates_of(nodes: tuple[Node, ...]) -> frozenset[Node]:
    """What other values are multiplied by, as gates of highways and recurrent cells are: they may be shut at first."""
    factors = (x for n in nodes if n.op.name == "mul" and all(y.type.axes for y in n.operands) for x in n.operands)
    return frozenset(map(root, factors))


def product_before(node: Node) -> tuple[Node | None, frozenset[str]]:
    """The product with weights that an activation bends, and those of its axes that the weights brought in.

    Without such a product, all of its axes.
    """
    names = {label: label for label in node.type.labels}  # here -> at the product
    at = node
    while at.operands:
        if at.op.name == "contract" and (made := _made(at)):
            found = frozenset(here for here, there in names.items() if there in made)
            return at, found or frozenset(node.type.labels)
        if at.op.name == "relabel":
            back = {new: old for old, new in getattr(at.op, "names", ())}
            names = {here: back.get(there, there) for here, there in names.items()}
        at = max(at.operands, key=lambda x: (len(x.type.axes), x.op.family != "source"))
    return None, frozenset(node.type.labels)


def _made(product: Node) -> frozenset[str]:
    """The axes that only the weight of a product has."""
    weights = [x for x in product.operands if root(x).op.name in ("param", "slot")]
    others = [x for x in product.operands if x not in weights]
    if not weights or len(others) != 1:
        weights, others = list(product.operands[-1:]), list(product.operands[:-1])
    return frozenset(weights[0].type.labels) - frozenset(others[0].type.labels)


def _path(param: Node) -> str:
    path: str = getattr(param.op, "path", "")
    return path


def _is_matrix(node: Node) -> bool:
    return node.op.name == "param" and len(node.type.axes) > 1
