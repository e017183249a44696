"""Entry points: a model (or a function, a block) elaborated in both modes into closed graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, apply, topological
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT, Type
from zhdsl.lang import ast
from zhdsl.lang.axes import at_least_0, axis_size
from zhdsl.lang.bounds import INPUT, bounded
from zhdsl.lang.calls import call_template
from zhdsl.lang.elaborator import Diagnostics, Elaborator, counter
from zhdsl.lang.expressions import size
from zhdsl.lang.model import Model, Weight
from zhdsl.lang.problem import Poisoned, Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.values import Axes, AxisName, Instance, Many, Template, Tensor
from zhdsl.source import Span


@dataclass(eq=False)
class Names:
    """Names of instances by place, shared by the modes in which one entry point is elaborated."""

    sites: dict[tuple[str, Any], str] = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)


def elaborator(mode: str, b: Builder, diagnostics: Diagnostics, names: Names) -> Elaborator:
    """A fresh elaborator whose draws are keyed by seed and step."""
    return Elaborator(mode, b, diagnostics, (counter("seed"), counter("step")), names.sites, names.taken, names.weights)


def build_model(template: Template, diagnostics: Diagnostics, samples: Mapping[str, Any] | None = None) -> Model:
    """The model in both modes. Raises `Poisoned` if anything in it is wrong (and reported)."""
    d, names = template.definition, Names()
    found: dict[str, tuple[Elaborator, Graph]] = {}
    for mode in ("train", "infer"):
        with Builder() as b:
            e = elaborator(mode, b, diagnostics, names)
            with diagnostics.collecting():
                found[mode] = (e, _graph(e, template, mode, samples or {}))
    if len(found) < 2:
        raise Poisoned
    (train, train_graph), (infer, infer_graph) = found["train"], found["infer"]
    params = {**train.params, **infer.params}
    states = {**train.states, **infer.states}
    guards = {**train.guards, **infer.guards}
    inputs = (*signature_ports(infer_graph), *weight_ports(params, states))
    graphs = [_with_inputs(g, inputs) for g in (infer_graph, train_graph)]
    return Model(d.name, d.kind, graphs[0], graphs[1], params, states, tuple(guards.values()), d.name_span)


def _with_inputs(graph: Graph, inputs: Sequence[Port]) -> Graph:
    """The graph with the ports of its own nodes for these inputs (nodes of another builder are found by structure)."""
    nodes = topological(p.node for p in (*graph.inputs, *graph.outputs))
    own = {n.op: n for n in nodes if n.op.name in ("input", "param", "state")}
    counters = tuple(p for p in graph.inputs if p.role == "counter")
    ports = tuple(Port(p.name, own.get(p.node.op, p.node), p.order, p.role) for p in inputs)
    return Graph(graph.name, (*ports, *counters), graph.outputs, graph.origins, graph.names)


def signature_ports(graph: Graph) -> tuple[Port, ...]:
    return graph.of_role("data")


def weight_ports(params: Mapping[str, Weight], states: Mapping[str, Weight]) -> tuple[Port, ...]:
    """Ports of parameters and states, made in the builder in force or in one of their own."""
    with Builder():
        made = [
            Port(w.path, apply(role, path=w.path, type=w.type), w.order, role)
            for role, weights in (("param", params), ("state", states))
            for w in weights.values()
        ]
    return tuple(made)


def _graph(e: Elaborator, template: Template, mode: str, samples: Mapping[str, Any]) -> Graph:
    d = template.definition
    outer = Scope(template.home, "", mode, kind="entry")
    statics = {**sample_statics(template, outer, samples), **template.statics}
    inputs = signature(e, outer, d)
    result = enter(e, outer, Template(d, template.home, statics), [t for _, t in inputs])
    outputs = result_ports(d, result)
    ports = [Port(name, t.node, t.order, "data") for name, t in inputs]
    return finish(e, f"{d.name}.{mode}", ports, outputs)


def finish(e: Elaborator, name: str, data: Sequence[Port], outputs: Sequence[Port]) -> Graph:
    """A closed graph: data, weights, counters that are used; results and new states."""
    updates = [Port(path, t.node, t.order, "state") for path, t in e.current.items()]
    outs = (*outputs, *updates)
    used = set(topological(p.node for p in outs))
    weights = [
        Port(w.path, apply(role, path=w.path, type=w.type), w.order, role)
        for role, registry in (("param", e.params), ("state", e.states))
        for w in registry.values()
    ]
    counters = [
        Port(n.op.port, n, n.type.labels, "counter")  # type: ignore[attr-defined]  # counters are inputs
        for n in sorted((n for n in used if n.op.name == "input" and n not in {p.node for p in data}), key=_port_name)
    ]
    return close(name, (*data, *weights, *counters), outs, e.builder)


def _port_name(node: Node) -> str:
    return str(getattr(node.op, "port", ""))


def enter(e: Elaborator, outer: Scope, template: Template, arguments: Sequence[Tensor], at: Span | None = None) -> Any:
    """Call an entry point: parameters have no path around them. `at` is where the arguments come from."""
    d = template.definition
    instance = Instance(template, "") if d.kind != "fn" else None
    spans = [at or p.span for p in d.params]
    return call_template(e, outer, template, list(arguments), spans, {}, at or d.name_span, instance, entry=True)


def result_ports(d: ast.Definition, result: Any) -> list[Port]:
    """Results by name: as declared, else `result`, `result2`, …"""
    values = list(result.values) if isinstance(result, Many) else [result]
    ports = []
    for i, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise Problem("Z0411", f"{d.name} returns something that is no tensor", d.name_span)
        name = d.results[i].name if i < len(d.results) and d.results[i].name else f"result{i + 1 if i else ''}"
        ports.append(Port(name, value.node, value.order, "result"))
    return ports


# ---------------------------------------------------------------- signatures
def signature(e: Elaborator, s: Scope, d: ast.Definition) -> list[tuple[str, Tensor]]:
    """Input nodes for the parameters: a bare axis is its size's symbol, or the number of a `const` of that name."""
    for p in d.params:
        for axis in p.type.axes if p.type else ():
            symbol = axis.label if axis.size is None else axis.size.id if isinstance(axis.size, ast.Name) else ""
            if (
                symbol
                and not axis.rest
                and symbol not in s.vars
                and axis_size(e, s, ast.Axis(symbol, span=axis.span)) is None
            ):
                s.sizes[symbol] = Size.of(symbol)
    found = []
    for p in d.params:
        if p.type is None:
            raise Problem("Z0301", f"{p.name} of {d.name} needs a type: it is an entry point", p.span)
        axes = [a for axis in p.type.axes for a in _input_axes(e, s, axis, d)]
        _distinct(s, axes, p.span)
        type_ = Type(p.type.dtype or FLOAT, tuple(axes))
        t = Tensor(apply("input", port=p.name, type=type_), tuple(label for label, _ in axes))
        found.append((p.name, bounded(t, p.span, INPUT)))
    return found


def _input_axes(e: Elaborator, s: Scope, axis: ast.Axis, d: ast.Definition) -> list[tuple[str, Size]]:
    if axis.rest:
        if d.kind == "model":
            raise Problem("Z0301", "a model names all its axes", axis.span, help="write them out: `[B, C, H, W]`")
        labels = s.rest(axis.label) or (f"{axis.label}_1", f"{axis.label}_2")
        s.rests[axis.label] = labels
        return [(label, Size.of(label)) for label in labels]
    if not axis.label:
        raise Problem("Z0301", "an axis needs a name", axis.span, help=f"write `N = {axis.span.text}`")
    n = axis_size(e, s, axis) if axis.size is None else size(e, s, axis.size, f"the size of {axis.label}")
    assert n is not None
    if n.number is not None and n.number < 1:
        raise Problem("Z0324", f"{axis.label} is {n}: an axis has at least one element", axis.span)
    at_least_0(n, axis.label, axis.span)
    return [(s.introduce(axis.label), n)]


def _distinct(s: Scope, axes: Sequence[tuple[str, Size]], span: Span) -> None:
    labels = [label for label, _ in axes]
    for label in labels:
        if labels.count(label) > 1:
            raise Problem(
                "Z0311", f"two axes are called {s.shown(label)}", span, help=f"prime one: `{s.shown(label)}'`"
            )


def sample_statics(template: Template, s: Scope, samples: Mapping[str, Any]) -> dict[str, Any]:
    """Values for statics that an entry point leaves open: only where a function is taken as an example of itself."""
    found: dict[str, Any] = {}
    d = template.definition
    rest = next((a.label for p in d.params for a in (p.type.axes if p.type else ()) if a.rest), "A")
    own = {a.label for p in d.params for a in (p.type.axes if p.type else ()) if not a.rest}
    for p in d.statics:
        if p.name in template.statics or p.default is not None:
            continue
        if p.name in samples:
            found[p.name] = samples[p.name]
        elif p.kind == "axis":
            if p.name not in own:
                s.rests.setdefault(rest, (f"{rest}_1", p.name))
            s.labels[p.name] = p.name
            found[p.name] = AxisName(p.name, Size.of(p.name))
        elif p.rest:
            s.rests.setdefault(rest, (f"{rest}_1", f"{rest}_2"))
            found[p.name] = Axes(s.rests[rest][-1:])
    for labels in s.rests.values():
        s.labels.update({label: label for label in labels})
    return found
