"""The whole definition: signature, sections, comments.

A graph is first written as rough lines; parsing and formatting them gives the tree and the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Node, Origin, apply, topological
from zhdsl.lang import ast
from zhdsl.lang.decompile import syntax
from zhdsl.lang.decompile.formulas import PRINTABLE, roll
from zhdsl.lang.decompile.names import Names, gradient, legal
from zhdsl.lang.decompile.rebuilding import rebuilt, remade
from zhdsl.lang.decompile.value import Value
from zhdsl.lang.decompile.writer import Line, Notes, Writer
from zhdsl.lang.decompile.writer import text as one_line
from zhdsl.lang.format import format
from zhdsl.lang.parser import parse
from zhdsl.source import Source

LIBRARY = "std/"  # sources of the library: their lines are of no interest here


def program(graph: Graph, name: str) -> ast.Definition:
    """The graph as a `fn`.

    Args:
        graph: any closed graph; its formulas need not be rolled.
        name: of the function; what is no NAME is made one.

    Raises:
        CompilerError: it has a node that the language has no words for.
    """
    (definition,) = module(graph, name).items
    assert isinstance(definition, ast.Definition)
    return definition


def text(graph: Graph, name: str, notes: Sequence[str] = ()) -> str:
    """The graph as the formatted text of a `fn`, with comments above it."""
    return format(module(graph, name, notes))


def module(graph: Graph, name: str, notes: Sequence[str] = ()) -> ast.Module:
    """The same as a file."""
    lines = [*(f"# {note}" for note in notes), *_lines(_prepared(graph), legal(name))]
    return parse(Source(f"{legal(name)}.zh", "".join(f"{line}\n" for line in lines)))


def _prepared(graph: Graph) -> Graph:
    """Formulas in the place of primitives, values in the place of `override`s, products by their names."""

    def plain(old: Node, new: dict[Node, Node]) -> Node | None:
        return new[old.operands[0]] if old.op.name == "override" else None

    values = rebuilt(graph, lambda outputs: remade(outputs, plain))
    return roll(rebuilt(values, _products), PRINTABLE)


def _products(outputs: Sequence[Node]) -> Sequence[Node]:
    """sum[B](g) for contract[B](a, b), or a * sum[B](b), where g = a * b is there: what the checker makes of it."""
    there = set(topological(outputs))

    def summed(old: Node, new: dict[Node, Node]) -> Node | None:
        factors, labels = _factors(old)
        if not labels or apply("mul", *factors) not in there:
            return None
        return apply("sum", apply("mul", *(new[x] for x in factors)), labels=labels)

    return remade(outputs, summed)


def _factors(node: Node) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The factors of a product summed along labels; a sum of which only one factor has the labels is its own."""
    if node.op.name == "contract":
        return node.operands, getattr(node.op, "labels", ())
    for i, x in enumerate(node.operands if node.op.name == "mul" else ()):
        labels: tuple[str, ...] = getattr(x.op, "labels", ()) if x.op.name == "sum" else ()
        other = node.operands[1 - i]
        if labels and not any(label in other.type.sizes for label in labels):
            return tuple(x.operands[0] if k == i else other for k in (0, 1)), labels
    return (), ()


# ---------------------------------------------------------------- lines
def _lines(graph: Graph, name: str) -> Iterator[str]:
    inputs = [p for p in graph.inputs if p.role in ("data", "param") or p.node in graph.nodes]
    names = Names(_labels(graph) | {p.name for p in inputs if p.role == "counter"})
    arguments = {p: p.name if p.role == "counter" else names.fresh(p.name) for p in inputs}
    forward = frozenset(topological(p.node for p in graph.outputs if p.role != "grad"))
    results, hints = _results(graph, names)
    batch = next((p.order[0] for p in graph.of_role("data") if len(p.order) > 1), "")
    notes = Notes(graph.names, graph.origins, hints, forward, batch)
    writer = Writer(names, notes, [p.node for p in graph.outputs], 1)
    for port, argument in arguments.items():
        writer.values[port.node] = Value(syntax.name(argument), port.order)
    writer.write(topological(p.node for p in _in_order(graph.outputs)))
    given = [f"{argument}: {_type(port)}" for port, argument in arguments.items()]
    yield f"fn {name}{_listed(given)} -> {_listed([f'{results[p]}: {_type(p)}' for p in graph.outputs])} {{"
    yield from _commented(writer.lines, forward, graph)
    yield f"  return {_listed([one_line(writer.values[p.node].expr) for p in graph.outputs])}"
    yield "}"


def _listed(parts: Sequence[str]) -> str:
    """`(a, b)`, each on a line of its own: a line has a limit. The formatter joins them where they fit."""
    return "({})".format(",\n".join(parts))


def _labels(graph: Graph) -> set[str]:
    """All labels and size names."""
    from zhdsl.ir.graph import everything

    types = [n.type for n in everything(graph.nodes)] + [p.node.type for p in graph.inputs]
    return {label for t in types for label in t.labels} | {s for t in types for _, n in t.axes for s in n.symbols}


def _type(port: Port) -> str:
    return one_line(syntax.type_(port.node.type, port.order))


def _results(graph: Graph, names: Names) -> tuple[dict[Port, str], dict[Node, str]]:
    """A name for every output; and for every node that is one, unless it is the only one or an input."""
    found, hints = dict[Port, str](), dict[Node, str]()
    own = Names(())
    for port in graph.outputs:
        wanted = gradient(port.name) if port.role == "grad" else port.name
        wanted = f"new_{wanted}" if port.role in ("state", "param") else wanted
        if port.node.op.family == "source" or port.node in hints or len(graph.outputs) == 1:
            found[port] = own.fresh(wanted)
        else:
            found[port] = hints[port.node] = own.fresh(names.fresh(wanted))
    return found, hints


def _in_order(outputs: Sequence[Port]) -> list[Port]:
    """Values first; then the gradients from the last layer to the first, as they are computed."""
    grads = [p for p in outputs if p.role == "grad"]
    return [p for p in outputs if p.role != "grad"] + grads[::-1]


# ---------------------------------------------------------------- comments
def _commented(lines: Sequence[Line], forward: frozenset[Node], graph: Graph) -> Iterator[str]:
    """The lines with `# forward` and `# backward` before the parts, and behind each the place it comes from."""
    split = any(p.role == "grad" for p in graph.outputs)
    section = before = ""
    for line in lines:
        place = ""
        if line.level == 1 and line.node is not None:
            here = "forward" if line.node in forward else "backward"
            if split and here != section:
                section = here
                yield f"  # {here}"
        if line.node is not None:
            place = _place(graph, line.node)
        yield "  " * line.level + line.text + (f"  # {place}" if place and place != before else "")
        before = place or before


def _place(graph: Graph, node: Node) -> str:
    """`spirals.zh:5`: where the user's text says what the node computes."""
    origins = [o for o in graph.origins.get(node, ()) if not o.span.source.name.startswith(LIBRARY)]
    if not origins:
        return ""
    first: Origin = min(origins, key=lambda o: o.key)
    return f"{PurePosixPath(first.span.source.name).name}:{first.span.line}"
