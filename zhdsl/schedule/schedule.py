"""Graph in, program out: the one function of this folder that others call.

layout     choose the order of axes of every value           layout.py
place      write steps on views of buffers                   rules.py, products.py, windows.py, loops.py → tape.py
forward    compute values where they are copied to           forward.py
in_pieces  make the taps of windows where they are needed    taps.py
fuse       group steps into kernels                          fuse.py, or tiling.py for backends that print loops
memory     lifetimes and shared memory                       memory.py
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Node, topological
from zhdsl.ops.loop import Project, Scan
from zhdsl.ops.window import Window
from zhdsl.schedule import layout, rules
from zhdsl.schedule.forward import forward
from zhdsl.schedule.fuse import Fusion, count_uses
from zhdsl.schedule.memory import with_memory
from zhdsl.schedule.program import Entry, Kernel, Loop, Program, Step
from zhdsl.schedule.tape import TOP, Item, Tape
from zhdsl.schedule.taps import in_pieces
from zhdsl.schedule.tiling import Tiling
from zhdsl.schedule.views import View

HELD_ROLES = ("param", "state")


def schedule(
    graph: Graph, keep: Mapping[str, Node] | None = None, verify: bool = False, direct: bool = False
) -> Program:
    """Make a program of a graph.

    Args:
        graph: inputs and outputs with roles. An output of role `param` or `state` that is also an input of that role
            and name is written over it at the end of a run.
        keep: further values to give out, as `kept/NAME`.
        verify: check the program.
        direct: for a backend that prints loops: it reads operands where they lie and runs kernels of all families in
            pieces. Otherwise for one of arrays, with a library for matrix products.

    Returns:
        Kernels over named buffers, for all sizes.

    Raises:
        CompilerError: the verifier found something.
    """
    ports = [*graph.outputs, *(Port(name, node, node.type.labels, "kept") for name, node in (keep or {}).items())]
    nodes = topological(port.node for port in ports)
    tape = Tape(layout.choose(graph, [p.node for p in ports]), direct)
    _count(nodes, [p.node for p in ports], tape)
    inputs = tuple(_input(tape, port) for port in graph.inputs)
    rules.place_all(tape, nodes)
    views = _commit(tape, inputs, ports, [tape.values[p.node] for p in ports])
    once, items = tape.lists
    items, views = forward(tape, items, views)
    fusion = Tiling if direct else Fusion
    items = items if direct else in_pieces(tape, items, count_uses(items, views))
    kernels = fusion(tape, count_uses(items, views), graph.origins).run(items)
    outputs = tuple(Entry(_key(p), v, p.order, p.node.type) for p, v in zip(ports, views, strict=True))
    names = count_uses([*once, *kernels], [e.view for e in (*inputs, *outputs)])
    used = {name: b for name, b in tape.buffers.items() if name in names}
    buffers = with_memory(used, kernels, outputs)
    alone = tuple(replace(k, name=f"c{i}") for i, k in enumerate(_alone(once)))
    program = Program(graph.name, alone, _named(kernels), buffers, inputs, outputs)
    return _verified(program) if verify else program


def _verified(program: Program) -> Program:
    from zhdsl.schedule.verify import verify

    verify(program)
    return program


def _key(port: Port) -> str:
    return f"{port.role}/{port.name}"


def _input(tape: Tape, port: Port) -> Entry:
    """The buffer of an input, laid out as the outside sees it."""
    place = "held" if port.role in HELD_ROLES else "input"
    axes = [(n, port.node.type.sizes[n]) for n in port.order]
    view = tape.buffer(port.node.type.dtype, axes, TOP, place, _key(port))
    tape.values.setdefault(port.node, view)
    return Entry(_key(port), view, port.order, port.node.type)


def _count(nodes: Iterable[Node], outputs: Iterable[Node], tape: Tape) -> None:
    """Count uses of nodes and collect which results of loops are asked for, in bodies too."""
    tape.uses.update(outputs)
    for node in nodes:
        tape.uses.update(node.operands)
        if isinstance(node.op, Window) and isinstance(node.operands[0].op, Window):
            tape.looked_through.update(node.operands)
        if isinstance(node.op, Project):
            tape.picked.setdefault(node.operands[0], set()).add(node.op.index)
        if isinstance(node.op, Scan):
            _count(node.op.body.nodes, node.op.body.outputs, tape)


def _commit(tape: Tape, inputs: Sequence[Entry], ports: Sequence[Port], views: list[View]) -> list[View]:
    """Write new parameters and states over the old ones; outputs that show old ones are saved before."""
    held = {entry.key: entry.view for entry in inputs if entry.role in HELD_ROLES}
    targets = {i: held[_key(p)] for i, p in enumerate(ports) if _key(p) in held and views[i] != held[_key(p)]}
    changing = {target.buffer for target in targets.values()}
    saved: dict[View, View] = {}
    for view in dict.fromkeys(views):
        if view.buffer in changing:
            saved[view] = _saved(tape, view)
    sources = [saved.get(v, v) for v in views]
    for i, target in targets.items():
        tape.move(sources[i], target, TOP)
    return [targets.get(i, source) for i, source in enumerate(sources)]


def _saved(tape: Tape, view: View) -> View:
    """A copy of what is held, made before anything is overwritten."""
    copy = tape.copy(view, view.labels)
    step = tape.lists[TOP + 1].pop()
    tape.lists[TOP + 1].insert(0, step)
    return copy


def _alone(items: Iterable[Item]) -> tuple[Kernel, ...]:
    """Kernels of what is run once: there is nothing to win by fusing them."""
    kernels = (Kernel("", i.op.family, (i,)) if isinstance(i, Step) else i for i in items)
    return tuple(k for k in kernels if isinstance(k, Kernel))


def _named(items: Sequence[Kernel | Loop]) -> tuple[Kernel | Loop, ...]:
    """The kernels and loops with names in order."""
    numbers = count()

    def walk(items: Sequence[Kernel | Loop]) -> Iterator[Kernel | Loop]:
        for item in items:
            named = replace(item, name=f"k{next(numbers)}")
            yield replace(named, body=tuple(walk(named.body))) if isinstance(named, Loop) else named

    return tuple(walk(items))
