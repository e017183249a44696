"""Graph → Scene: every node an item, the calls and rounds it was made in are the groups around it.

A loop is a group: what one step computes, and in the end the node of the loop itself, which its operands reach through
the slots. A call that makes a single node is no group, its name is the node's label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zhdsl.ir.cost import flops_of
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import NOWHERE, Frame, Node
from zhdsl.schedule.memory import ITEM
from zhdsl.viz.formula import formula
from zhdsl.viz.groups import Groups, Path, common, merged, parts_of, path_key, phase_of, place_text
from zhdsl.viz.scene import Edge, Item, Scene


def scene_of_graph(
    graph: Graph, sizes: Mapping[str, int] | None = None, float_bytes: int = 4, about: str = ""
) -> Scene:
    """The scene of a graph.

    Args:
        graph: any graph of any stage.
        sizes: values of symbols, to count bytes and operations; a symbol that is left out counts as 1.
        float_bytes: of an element of the program's float.
        about: one line on what is shown.
    """
    known = dict.fromkeys(sorted(_symbols(graph)), 1) | dict(sizes or {})
    work = _Work(graph, known, float_bytes)
    paths = work.walk(graph.nodes, ())
    return work.scene(paths, about)


def nodes_of(graph: Graph) -> tuple[Node, ...]:
    """The nodes of a scene's items, in their order: those of loops come before the loop."""
    work = _Work(graph, dict.fromkeys(_symbols(graph), 1), 4)
    work.walk(graph.nodes, ())
    return tuple(work.nodes)


def _symbols(graph: Graph) -> set[str]:
    return {s for node in (*graph.nodes, *(p.node for p in graph.inputs)) for _, n in node.type.axes for s in n.symbols}


@dataclass
class _Work:
    """Items and edges as they are found; `paths` say in which groups the items are."""

    graph: Graph
    sizes: Mapping[str, int]
    float_bytes: int
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)  # how often a node is computed in a run
    places: dict[Node, Path] = field(default_factory=dict)

    def walk(self, nodes: Sequence[Node], around: Path, times: int = 1) -> list[Path]:
        """Numbers nodes and those of loops in them. Returns the groups around each."""
        paths: list[Path] = []
        self._walk(nodes, around, {}, times, paths)
        return paths

    def _walk(
        self, nodes: Sequence[Node], around: Path, numbers: dict[Node, int], times: int, paths: list[Path]
    ) -> None:
        for node in nodes:
            path = self._path(node, around)
            if node.op.family == "loop" and hasattr(node.op, "body"):
                path = (*path, f"scan {len(self.nodes)}")
                given = self._body(node, path, numbers, times, paths)
            else:
                given = {}
            number = numbers[node] = self._add(node, path, times, paths)
            for slot, operand in enumerate(node.operands):
                if slot not in given:
                    self.edges.append(Edge(numbers[operand], number, slot))
            for slot, (source, back) in enumerate(given.get(-1, ())):
                self.edges.append(Edge(source, number if back < 0 else back, slot, back >= 0))

    def _add(self, node: Node, path: Path, times: int, paths: list[Path]) -> int:
        self.nodes.append(node)
        self.steps.append(times)
        paths.append(path)
        return len(self.nodes) - 1

    def _body(self, node: Node, path: Path, outer: Mapping[Node, int], times: int, paths: list[Path]) -> dict[int, Any]:
        """The nodes of one step. Returns the operands that reach slots; under -1, what goes from the body to the loop
        (number, -1) or to the next round (number, slot's number)."""
        op: Any = node.op
        inner: dict[Node, int] = {}
        steps = times * max(op.size.evaluate(self.sizes), 0)
        self._walk(op.body.nodes, path, inner, steps, paths)
        given: dict[int, Any] = {}
        for slot, (operand, place) in enumerate(zip(node.operands, op.body.slots, strict=True)):
            if place in inner:
                given[slot] = place
                self.edges.append(Edge(outer[operand], inner[place], slot))
        out = [(inner[x], -1) for x in op.body.outputs if x in inner]
        carried = zip(op.body.next, op.body.slots, strict=False)
        out += [(inner[new], inner[old]) for new, old in carried if old in inner and new in inner and new is not old]
        given[-1] = out
        return given

    def _path(self, node: Node, around: Path) -> Path:
        """The groups around a node: its phase, then the frames that all its places have in common."""
        origins = self.graph.origins.get(node, NOWHERE)
        frames = common([o.frames for o in origins])
        frames = frames[1:] if frames and frames[0].kind == "model" else frames
        own: Path = (phase_of(origins), *(part for frame in frames for part in parts_of(frame)))
        if not around:
            return own
        return (*around, *(p for p in own[1:] if p not in around))  # a loop's nodes stay in it

    # ------------------------------------------------------------ the scene
    def scene(self, paths: list[Path], about: str) -> Scene:
        phases = {p[0] for p in paths}
        paths = paths if len(phases) > 1 else [p[1:] for p in paths]
        names = _single(paths, self.nodes)
        paths = [p[: len(p) - len(names[i])] for i, p in enumerate(paths)]
        paths = merged(paths)
        groups = Groups()
        where = [groups.number(path) for path in paths]
        outputs: dict[Node, list[str]] = {}
        for port in self.graph.outputs:
            outputs.setdefault(port.node, []).append(port.name if port.role == "result" else f"{port.role} {port.name}")
        users = self.graph.users
        items = tuple(
            self._item(node, where[i], names[i], paths[i], tuple(outputs.get(node, ())), users)
            for i, node in enumerate(self.nodes)
        )
        edges = tuple(self.edges)
        items = tuple(_with_flops(item, steps) for item, steps in zip(items, self.steps, strict=True))
        return Scene(self.graph.name, items, groups.finished(), edges, dict(self.sizes), about)

    def _item(
        self, node: Node, group: int, called: tuple[Any, ...], path: Path, outputs: tuple[str, ...], users: Any
    ) -> Item:
        origins = self.graph.origins.get(node, NOWHERE)
        phase, size = phase_of(origins), self._bytes(node)
        later = phase == "forward" and any(
            phase_of(self.graph.origins.get(user, NOWHERE)) == "backward" for user, _ in users.get(node, ())
        )
        source = node.op.arity == 0 and node.op.family == "source"
        name = self.graph.names.get(node, "")
        kind, label = _source(node, name) if source else (node.op.family, _label(node, called))
        return Item(
            label=label,
            op=node.op.name,
            family=kind,
            type=str(node.type),
            group=group,
            name=name if kind not in ("param", "state") else label,
            phase=phase,
            place=place_text(origins),
            formula=formula(node),
            params=self._count(node) if kind == "param" else 0,
            flops=flops_of(node).evaluate(self.sizes) if node.op.name != "scan" else 0,
            bytes=size,
            saved=size if later and not source else 0,
            value=literal(node),
            outputs=outputs,
            key=path_key(path, origins),
        )

    def _count(self, node: Node) -> int:
        return node.type.count().evaluate(self.sizes)

    def _bytes(self, node: Node) -> int:
        return 0 if node.type.dtype == "tuple" else self._count(node) * ITEM.get(node.type.dtype, self.float_bytes)


def _with_flops(item: Item, steps: int) -> Item:
    return item if steps == 1 or not item.flops else replace(item, flops=item.flops * steps)


def literal(node: Node) -> str | None:
    """The text of a scalar constant."""
    if node.op.name != "const":
        return None
    value: Any = getattr(node.op, "value", None)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _source(node: Node, name: str) -> tuple[str, str]:
    """Kind and label of a node without operands."""
    op: Any = node.op
    if node.op.name in ("param", "state"):
        return node.op.name, op.path
    if node.op.name == "input":
        return ("counter" if not node.type.axes and node.type.dtype == "i32" else "data"), op.port
    return "source", literal(node) or name or node.op.name


def _label(node: Node, called: tuple[Any, ...]) -> str:
    """The innermost call that made this node alone, or the op."""
    names = [f.of for f in called if isinstance(f, Frame) and f.of]
    return names[0] if names else LABELS.get(node.op.name, node.op.name)


LABELS = {"contract": "contract", "ipow": "power"}


def _is_call(part: Any) -> bool:
    return isinstance(part, Frame) and part.kind != "repeat"


def _single(paths: list[Path], nodes: list[Node]) -> list[tuple[Any, ...]]:
    """For every node the innermost groups that hold nothing else but constants: they are not drawn."""
    sizes: dict[Path, int] = {}
    for path, node in zip(paths, nodes, strict=True):
        weight = 0 if node.op.name == "const" else 1
        for depth in range(1, len(path) + 1):
            sizes[path[:depth]] = sizes.get(path[:depth], 0) + weight
    found = []
    for path in paths:
        depth = len(path)
        while (
            depth
            and isinstance(path[depth - 1], Frame)
            and sizes[path[:depth]] <= 1
            and path[depth - 1].kind != "repeat"
        ):
            depth -= 1
        found.append(tuple(path[depth:]))
    return found
