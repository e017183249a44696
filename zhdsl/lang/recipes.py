"""`train M { … }`: the recipe's expressions are elaborated over the data's fields and the model's outputs.

Three graphs come of it: `forward` (train mode, prepared and augmented data, the loss), `evaluate` (infer mode, loss and
metrics over a whole pass), `predict` (infer mode, the model's results); and, per parameter, the optimiser's graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, apply, rebuild, topological
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT, Type
from zhdsl.lang import ast, options
from zhdsl.lang.calls import call_template
from zhdsl.lang.elaborator import Diagnostics, Elaborator, Failures, counter
from zhdsl.lang.entry import Names, elaborator, enter, finish
from zhdsl.lang.expressions import evaluate
from zhdsl.lang.fields import Field, bind_fields, dataset_of
from zhdsl.lang.files import File
from zhdsl.lang.keys import EXAMPLE, KEYS, OTHER_KEYS
from zhdsl.lang.model import DatasetUse, Model, Recipe, Weight
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Poisoned, Problem, listing
from zhdsl.lang.scope import Scope
from zhdsl.lang.tensors import as_tensor, to_float, typed
from zhdsl.lang.updates import build_updates
from zhdsl.lang.values import POISON, Many, Template, Tensor, shown
from zhdsl.source import Span


@dataclass(eq=False)
class Work:
    """A recipe while it is checked."""

    item: ast.Train
    file: File
    template: Template
    model: Model
    diagnostics: Diagnostics
    names: Names
    entries: dict[tuple[str, ...], ast.Entry]
    data: DatasetUse
    fields: tuple[Field, ...]
    batch: str
    fitted: dict[str, Weight] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)

    def entry(self, *key: str) -> ast.Expr | None:
        found = self.entries.get(key)
        return found.value if found else None


def build_recipe(
    item: ast.Train, file: File, model_of: Callable[[Template], Model], diagnostics: Diagnostics
) -> Recipe:
    """The recipe. Raises `Poisoned` if something in it is wrong (and reported)."""
    work = _begin(item, file, model_of, diagnostics)
    graphs: dict[str, Any] = {}
    for name, make in (("forward", _forward), ("evaluate", _evaluate), ("predict", _predict)):
        with diagnostics.collecting():
            graphs[name] = make(work)
    settings: dict[str, Any] = {}
    failed = len(graphs) < 3

    def on_problem() -> None:
        nonlocal failed
        failed = True

    for name, read in options.READERS.items():
        with diagnostics.collecting(on_problem):
            settings[name] = read(work)
    with diagnostics.collecting(on_problem):
        settings["frozen"] = options.frozen(work)
    with diagnostics.collecting(on_problem):
        settings.update(build_updates(work, settings.get("frozen", frozenset())))
    if failed:
        raise Poisoned
    forward, guards, fit = graphs["forward"]
    return Recipe(
        name=item.alias.id if item.alias else work.model.name,
        model=work.model,
        data=work.data,
        batch_axis=work.batch,
        forward=forward,
        evaluate=graphs["evaluate"],
        predict=graphs["predict"],
        fit=fit,
        guards=guards,
        span=item.span,
        **settings,
    )


def _begin(item: ast.Train, file: File, model_of: Callable[[Template], Model], diagnostics: Diagnostics) -> Work:
    entries = _entries(item, diagnostics)
    missing = [key for key in ("data", "loss", "optimizer") if (key,) not in entries]
    if missing:
        what = f"the recipe has {listing(f'no `{key}`' for key in missing)}"
        help_ = f"add {listing(f'`{EXAMPLE[key]}`' for key in missing)}"
        diagnostics.add(Problem("Z0703", what, item.model.span, help=help_))
    with Builder() as b:
        e = elaborator("infer", b, diagnostics, Names())
        template = file.find(e, item.model.id)
        if template is POISON:
            raise Poisoned
        if not isinstance(template, Template) or template.definition.kind != "model":
            raise _no_model(file, item.model, template)
        if ("data",) not in entries:
            raise Poisoned
        data, fields = bind_fields(e, file, dataset_of(e, file, entries[("data",)].value), template)
        model = _model(template, model_of, fields)
    names = Names(weights={**model.params, **model.states})
    return Work(item, file, template, model, diagnostics, names, entries, data, fields, data.fields[0].order[0])


def _no_model(file: File, name: ast.Name, found: Any) -> Problem:
    """The problem of a recipe for something that is no model."""
    if isinstance(found, Template):
        d = found.definition
        inputs = ", ".join(" ".join(p.span.text.split()) for p in d.params)
        call = f"`model M({inputs}) -> y: […] {{ return {d.name}({', '.join(p.name for p in d.params)}) }}`"
        what = f"{name.id} is a {d.kind}, no model"
        help_ = f"a model is an entry point: {call}"
        return Problem("Z0713", what, name.span, (d.name_span, "defined here"), help=help_)
    models = [n for n, i in file.items.items() if isinstance(i, ast.Definition) and i.kind == "model"]
    close = nearest(name.id, models)
    help_ = f"did you mean `{close}`?" if close else f"models are {listing(models)}" if models else ""
    return Problem("Z0713", f"there is no model {name.id}", name.span, help=help_)


def _model(template: Template, model_of: Callable[[Template], Model], fields: tuple[Field, ...]) -> Model:
    return model_of(template)


def _entries(item: ast.Train, diagnostics: Diagnostics) -> dict[tuple[str, ...], ast.Entry]:
    """Entries by key; unknown and double keys are reported."""
    found: dict[tuple[str, ...], ast.Entry] = {}
    for entry in item.entries:
        key, name = entry.key, ".".join(entry.key)
        dotted = len(key) == 2 and key[0] in ("prepare", "augment")
        if key[0] not in KEYS or (len(key) > 1 and not dotted):
            close = OTHER_KEYS.get(key[0]) or nearest(key[0], KEYS)
            help_ = f"did you mean `{close}`?" if close else f"keys: {', '.join(KEYS)}"
            diagnostics.add(Problem("Z0701", f"a recipe has no key {name}", entry.span, help=help_))
        elif key in found:
            diagnostics.add(Problem("Z0702", f"{name} is given twice", entry.span, (found[key].span, "the first time")))
        else:
            found[key] = entry
    if ("epochs",) in found and ("steps",) in found:
        diagnostics.add(
            Problem(
                "Z0710",
                "`epochs` and `steps`: give one",
                found[("steps",)].span,
                (found[("epochs",)].span, "the other"),
            )
        )
    return found


# ---------------------------------------------------------------- graphs
@dataclass(eq=False)
class Stage:
    """One graph of a recipe while it is made."""

    e: Elaborator
    s: Scope
    ports: list[Port]
    fits: dict[str, Node]
    inputs: dict[str, Tensor]


def _start(work: Work, b: Builder, mode: str, only_inputs: bool = False) -> Stage:
    """Fields as inputs, prepared (and augmented in train mode), and the model called on them."""
    e = elaborator(mode, b, work.diagnostics, work.names)
    s = Scope(work.file, "", mode, kind="recipe")
    raw: dict[str, Tensor] = {}
    for f in work.fields:
        if only_inputs and f.input is None:
            continue
        raw[f.name] = Tensor(apply("input", port=f.name, type=f.type), f.order)
        for label in f.order:
            s.labels.setdefault(label, label)
            s.used.add(label)
    s.sizes.update(_named_sizes(work.fields))
    s.vars.update(raw)
    stage = Stage(e, s, [Port(n, t.node, t.order, "data") for n, t in raw.items()], {}, raw)
    _prepare(work, stage)
    if mode == "train":
        _augment(work, stage)
    return stage


def _named_sizes(fields: tuple[Field, ...]) -> dict[str, Size]:
    """A field's label names its size, where all fields agree on it."""
    found: dict[str, set[Size]] = {}
    for f in fields:
        for label, n in f.type.axes:
            found.setdefault(label, set()).add(n)
    return {label: sizes.pop() for label, sizes in found.items() if len(sizes) == 1}


def _call_model(work: Work, stage: Stage) -> Any:
    d = work.template.definition
    arguments = []
    for p in d.params:
        f = next((f for f in work.fields if f.input == p.name), None)
        if f is None:
            raise Poisoned
        arguments.append(stage.s.vars[f.name])
        if p.type and not typed(arguments[-1].type, p.type.dtype):
            dtypes = arguments[-1].type.dtype, p.type.dtype or "float"
            what = f"the field {f.name} of {work.data.name} is {dtypes[0]}, the input {dtypes[1]}"
            help_ = f"declare the input so, or convert the field: `prepare.{f.name} = …`"
            raise Problem("Z0706", what, work.data.span, (p.span, "the input"), help=help_)
    result = enter(stage.e, stage.s, work.template, arguments, work.data.span)
    values = list(result.values) if isinstance(result, Many) else [result]
    for i, value in enumerate(values):
        name = d.results[i].name if i < len(d.results) else ""
        if not name:
            continue
        if name in stage.inputs:
            raise Problem(
                "Z0708",
                f"{name} is a result of {d.name} and a field of {work.data.name}",
                d.results[i].span,
                (work.data.span, "the data"),
                help="rename the result",
            )
        stage.s.vars[name] = value
    return result


def _prepare(work: Work, stage: Stage) -> None:
    """`prepare.image = …`: what no longer has the batch axis is fitted once on the training split."""
    failed = Failures(work.diagnostics)
    for key, entry in work.entries.items():
        if key[0] != "prepare":
            continue
        with failed.collecting():
            names, values = _transformed(work, stage, key, entry)
            for name, value in zip(names, values, strict=True):
                old = stage.inputs[name]
                if set(value.order) != set(old.order) and work.batch not in value.order:
                    what = f"prepare.{name} loses the batch axis {work.batch}: {stage.s.show(value)}"
                    raise Problem("Z0712", what, entry.value.span)
                stage.s.vars[name] = _fitted(work, stage, name, value, entry.span)
    failed.stop()


def _augment(work: Work, stage: Stage) -> None:
    """`augment.image = …`: draws are keyed by seed, epoch and sample."""
    counters = stage.e.counters
    batch = next(size for label, size in work.fields[0].type.axes if label == work.batch)
    sample = apply("input", port="sample", type=Type("i32", ((work.batch, batch),)))
    stage.e.counters = (counter("seed"), counter("epoch"), sample)
    failed = Failures(work.diagnostics)
    for key, entry in work.entries.items():
        if key[0] == "augment":
            with failed.collecting():
                names, values = _transformed(work, stage, key, entry)
                stage.s.vars.update(zip(names, values, strict=True))
    failed.stop()
    stage.e.counters = counters


def _transformed(work: Work, stage: Stage, key: tuple[str, ...], entry: ast.Entry) -> tuple[list[str], list[Tensor]]:
    """The fields that a `prepare` or `augment` entry changes, with their new values."""
    value = evaluate(stage.e, stage.s, entry.value)
    if len(key) == 2:
        names, values = [key[1]], [value]
    elif isinstance(value, Many) and all(value.names):
        names, values = list(value.names), list(value.values)
    else:
        raise Problem("Z0712", f"`{key[0]}` says which field it changes", entry.span, help=f"`{key[0]}.image = …`")
    for name in names:
        if name not in stage.inputs:
            if any(f.name == name for f in work.fields):
                continue  # a field that this graph does not have
            close = nearest(name, stage.inputs)
            raise Problem(
                "Z0712", f"the data has no field {name}", entry.span, help=f"did you mean `{close}`?" if close else ""
            )
    kept = [(n, as_tensor(v, FLOAT, entry.span)) for n, v in zip(names, values, strict=True) if n in stage.inputs]
    return [n for n, _ in kept], [v for _, v in kept]


def _fitted(work: Work, stage: Stage, name: str, value: Tensor, span: Span) -> Tensor:
    """Replace statistics (values from data without the batch axis) by states that are fitted once."""
    nodes = topological([value.node])
    depends = {t.node for t in stage.inputs.values()}
    for node in nodes:
        if any(x in depends for x in node.operands):
            depends.add(node)
    cuts: dict[Node, Node] = {}
    for node in nodes:
        if work.batch in node.type.sizes:
            for x in node.operands:
                if x in depends and work.batch not in x.type.sizes and x not in cuts:
                    path = f"prepare.{name}.{len(cuts)}"
                    cuts[x] = apply("state", path=path, type=x.type)
                    stage.fits[path] = x
                    _state(work, stage, path, x.type, span)
    (node,) = rebuild([value.node], lambda n, operands: None, cuts)
    return Tensor(node, value.order)


def _state(work: Work, stage: Stage, path: str, type_: Type, span: Span) -> None:
    """The record of a fitted statistic; its first value is zero, `fit` gives the real one."""
    if path not in work.fitted:
        with Builder() as b:
            zero = apply("const", value=0, dtype=type_.dtype)
            node = apply("expand", zero, axes=type_.axes) if type_.axes else zero
            seed = Port("seed", counter("seed"), (), "counter")
            init = close(f"{path}.init", [seed], [Port("init", node, type_.labels, "result")], b)
        work.fitted[path] = Weight(path, type_, type_.labels, init, span)
    stage.e.states.setdefault(path, work.fitted[path])


def _forward(work: Work) -> tuple[Graph, tuple[Any, ...], Graph | None]:
    with Builder() as b:
        stage = _start(work, b, "train")
        _call_model(work, stage)
        loss = _loss(work, stage)
        outputs = [Port("loss", loss.node, (), "loss")]
        graph = finish(stage.e, f"{work.model.name}.forward", stage.ports, outputs)
        fit = None
        if stage.fits:
            ports = [Port(p, n, n.type.labels, "state") for p, n in stage.fits.items()]
            fit = close(f"{work.model.name}.fit", stage.ports, ports, b)
    return graph, tuple(stage.e.guards.values()), fit


def _loss(work: Work, stage: Stage) -> Tensor:
    expression = work.entry("loss")
    if expression is None:
        raise Poisoned
    value = evaluate(stage.e, stage.s, expression)
    loss = to_float(value, stage.s, expression.span)
    if loss.order:
        raise Problem(
            "Z0704",
            f"the loss must be one number, this is {stage.s.show(loss)}",
            expression.span,
            help="reduce it: `mean(…)`",
        )
    stage.s.vars["loss"] = loss
    return loss


def _evaluate(work: Work) -> Graph:
    with Builder() as b:
        stage = _start(work, b, "infer")
        _call_model(work, stage)
        loss = _loss(work, stage)
        outputs = [Port("loss", loss.node, (), "loss")]
        failed = False

        def on_problem() -> None:
            nonlocal failed
            failed = True

        for name, expression in metric_expressions(work):
            with work.diagnostics.collecting(on_problem):
                outputs.append(_metric(work, stage, name, expression))
        if failed:
            raise Poisoned
        streams = {path for path, weight in work.model.states.items() if weight.stream}
        return _pure(finish(stage.e, f"{work.model.name}.evaluate", stage.ports, outputs), streams)


def _pure(graph: Graph, streams: Set[str] = frozenset()) -> Graph:
    """Evaluation updates no state but streams, which go on from batch to batch of a pass as in training."""
    outputs = tuple(p for p in graph.outputs if p.role != "state" or p.name in streams)
    return Graph(graph.name, graph.inputs, outputs, graph.origins, graph.names)


def metric_expressions(work: Work) -> list[tuple[str, ast.Expr]]:
    """Names and expressions of the metrics; an unnamed one has the name of its function."""
    expression = work.entry("metric")
    if expression is None:
        return []
    items = expression.items if isinstance(expression, ast.Tuple) else (expression,)
    found: list[tuple[str, ast.Expr]] = []
    for item in items:
        if isinstance(item, ast.Keyword) and not isinstance(item.value, ast.Range | ast.Rest):
            found.append((item.name, item.value))
        elif isinstance(item, ast.Call | ast.Pipe | ast.Name | ast.Index):
            found.append((_function_name(item), item))
        else:
            raise Problem("Z0709", "a metric needs a name", item.span, help="`metric = (acc = …)`")
    return found


def _function_name(x: Any) -> str:
    while not isinstance(x, ast.Name):
        x = (
            x.function
            if isinstance(x, ast.Call | ast.Pipe)
            else x.base
            if isinstance(x, ast.Index | ast.Attribute)
            else None
        )
        if x is None:
            return "metric"
    return str(x.id)


def _metric(work: Work, stage: Stage, name: str, expression: ast.Expr) -> Port:
    if name in stage.inputs or (name in stage.s.vars and name != "loss"):
        other = "another metric" if name in work.metrics else "a field" if name in stage.inputs else "a result"
        what = f"the metric {name} has the name of {other}"
        raise Problem("Z0708", what, expression.span, help=f"name it: `metric = ({name}2 = …)`")
    value = to_float(evaluate(stage.e, stage.s, expression), stage.s, expression.span)
    if value.order:
        what = "still has the batch axis" if work.batch in value.order else "must be one number"
        raise Problem(
            "Z0705", f"the metric {name} {what}: {stage.s.show(value)}", expression.span, help="reduce it: `mean(…)`"
        )
    work.metrics.append(name)
    stage.s.vars[name] = value
    return Port(name, value.node, (), "metric")


def _predict(work: Work) -> Graph:
    from zhdsl.lang.entry import result_ports

    with Builder() as b:
        stage = _start(work, b, "infer", only_inputs=True)
        result = _call_model(work, stage)
        outputs = result_ports(work.template.definition, result)
        return _pure(finish(stage.e, f"{work.model.name}.predict", stage.ports, outputs))


def optimiser_of(work: Work, e: Elaborator, s: Scope, key: str) -> tuple[Template, ast.Expr] | None:
    """The definition that a key names: the optimiser, the schedule or the clipping."""
    expression = work.entry(key)
    if expression is None:
        return None
    value = evaluate(e, s, expression)
    if not isinstance(value, Template):
        what = f"`{key}` is a definition, this is {shown(value)}"
        raise Problem("Z0709", what, expression.span, help=f"e.g. `{EXAMPLE[key]}`")
    return value, expression


def called(e: Elaborator, s: Scope, template: Template, given: Mapping[str, Tensor], span: Span, path: str) -> Any:
    """Call an optimiser, schedule or clip: its parameters are matched by name."""
    from zhdsl.lang.values import Instance

    d = template.definition
    arguments = []
    for p in d.params:
        if p.name not in given:
            what = f"{d.name} asks for {p.name}, there are {listing(given)}"
            raise Problem("Z0714", what, span, (p.span, "asked for here"))
        arguments.append(given[p.name])
    instance = Instance(template, f"optimizer.{path}", path) if d.kind == "block" else None
    return call_template(e, s, template, arguments, [span] * len(arguments), {}, span, instance)
