"""Parameters and states: declared in blocks, made once per instance, known by their path."""

from __future__ import annotations

import math
from typing import Any

from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT, Type
from zhdsl.lang import ast, statics
from zhdsl.lang.axes import axes_of
from zhdsl.lang.bounds import INPUT, shown
from zhdsl.lang.elaborator import Elaborator, counter, joined
from zhdsl.lang.expressions import evaluate
from zhdsl.lang.model import Weight
from zhdsl.lang.nearest import nearest
from zhdsl.lang.problem import Poisoned, Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.tensors import as_tensor, cast, expanded, renamed
from zhdsl.lang.values import POISON, Axes, AxisName, Builtin, Instance, Template, Tensor, is_number, kind_of
from zhdsl.source import Span

INITIALISERS = "write a number or an initialiser: `zeros`, `glorot[in = D, out = N]`, `normal_init[std = 0.02]`"


def declare_param(e: Elaborator, s: Scope, name: ast.Name, x: ast.Param) -> None:
    """`param W: type = init`: made at the instance's first call, the same at all others."""
    if s.instance is None:
        raise Problem(
            "Z0601", "`param` stands in a block only", x.span, help=f"make it `block …` instead of `{s.kind}`"
        )
    require_free(s, name)
    weight, order = _weight(e, s, s.instance, name, x, "param")
    e.params.setdefault(weight.path, weight)
    node = apply("param", path=weight.path, type=weight.type)
    made = renamed(Tensor(node, weight.order), dict(zip(weight.order, order, strict=True)))
    s.vars[name.id] = (
        cast(made, s.float) if weight.type.dtype == FLOAT else made
    )  # the master keeps the program's float


def require_free(s: Scope, name: ast.Name) -> None:
    """Raises `Problem` where a name is a size or static, which nothing can replace."""
    if name.id in s.statics or (name.id in s.sizes and name.id not in s.vars):
        what = f"{name.id} is a size or static here, it cannot be assigned"
        raise Problem("Z0203", what, name.span, help="choose another name for the value")


def declare_state(e: Elaborator, s: Scope, name: ast.Name, x: ast.State) -> None:
    """`state mu: type = init`: reads see the updates before them in program order."""
    if s.instance is None:
        raise Problem(
            "Z0604", "`state` stands in a block only", x.span, help=f"make it `block …` instead of `{s.kind}`"
        )
    require_free(s, name)
    weight, order = _weight(e, s, s.instance, name, x, "state")
    e.states.setdefault(weight.path, weight)
    before = e.current.get(weight.path) or Tensor(apply("state", path=weight.path, type=weight.type), weight.order)
    if s.frame is not None:
        before = _hidden_carry(s, weight.path, before)
        e.current[weight.path] = before
    s.vars[name.id] = renamed(before, dict(zip(weight.order, order, strict=True)))
    s.states[name.id] = (weight.path, s.vars[name.id], s.frame)


def _hidden_carry(s: Scope, path: str, before: Tensor) -> Tensor:
    """Inside a scan a state is carried from step to step."""
    frame = s.frame
    assert frame is not None
    if path not in frame.hidden:
        frame.index += 1
        slot = apply("slot", key=frame.key, index=frame.index, type=before.type)
        frame.hidden[path] = (Tensor(slot, before.order), before)
        return frame.hidden[path][0]
    return before


def update_state(e: Elaborator, s: Scope, x: ast.Update, value: Any) -> None:
    """`update mu = …`: takes effect with the step; the name is the new value from here on."""
    if s.vars.get(x.name.id) is POISON:
        raise Poisoned
    if x.name.id not in s.states:
        close = nearest(x.name.id, s.states)
        help_ = f"did you mean `{close}`?" if close else f"declare it: `state {x.name.id}: […] = zeros`"
        raise Problem("Z0605", f"{x.name.id} is no state of this block", x.name.span, help=help_)
    path, old, frame = s.states[x.name.id]
    weight = e.states[path]
    if frame is not s.frame:
        help_ = f"carry it, `from {x.name.id} = {x.name.id}`, and update it with the last one"
        raise Problem("Z0605", f"the state {x.name.id} is declared outside of this scan", x.name.span, help=help_)
    new = cast(as_tensor(value, old.type.dtype, x.span), old.type.dtype)
    surplus = [label for label in new.order if label not in old.type.sizes]
    if surplus or any(new.type.sizes[n] != old.type.sizes[n] for n in new.order):
        raise Problem("Z0606", f"the update of {x.name.id} is {s.show(new)}, the state is {s.show(old)}", x.value.span)
    new = expanded(new, old.type.axes, old.order)
    s.vars[x.name.id] = new
    e.current[path] = renamed(new, dict(zip(old.order, weight.order, strict=True)))


def _weight(
    e: Elaborator, s: Scope, instance: Instance, name: ast.Name, x: ast.Param | ast.State, what: str
) -> tuple[Weight, tuple[str, ...]]:
    """The record of a weight, and its labels in the graph here."""
    path = joined(s.path, name.id)
    axes = axes_of(e, s, x.type.axes)
    written = _interface(s, axes)
    typed_axes = [
        (label, _size(label, n, axis, name.id, what)) for label, (_, n, axis) in zip(written, axes, strict=True)
    ]
    type_ = Type(x.type.dtype or FLOAT, tuple(typed_axes))
    known = instance.weights.setdefault(path[len(instance.path) :].lstrip("."), type_)
    if known != type_:
        raise Problem(
            "Z0603",
            f"{path} was made as {s.show(known)}, here it would be {s.show(type_)}",
            x.span,
            help="an instance has one set of parameters: sizes must agree at all its calls",
        )
    count = math.prod(n.number or 1 for _, n in typed_axes)
    if count > INPUT:
        raise Problem("Z0903", f"{path} has {shown(count)} elements, the limit is {shown(INPUT)}", x.span)
    order = tuple(label for label, _, _ in axes)
    registry = e.params if what == "param" else e.states
    found = registry.get(path)
    if found is not None:
        if found.span != x.span:
            raise Problem("Z0202", f"{name.id} is declared twice", x.span, (found.span, "the first time"))
        if found.type != type_:
            raise Problem("Z0603", f"{path} was made as {s.show(found.type)}, here it would be {s.show(type_)}", x.span)
        return found, order
    same = e.weights.get(path)
    if same is not None and (same.type, same.order, same.span) == (type_, tuple(written), x.span):
        return same, order  # as in the other mode: first values are made once
    init = initial(e, s, path, type_, tuple(written), order, x)
    stream = what == "state" and any(n.number is None for _, n in typed_axes)
    weight = e.weights[path] = Weight(path, type_, tuple(written), init, x.span, stream)
    return weight, order


def _size(label: str, n: Size | None, axis: ast.Axis, name: str, what: str) -> Size:
    """The size of a weight's axis: known, a number for parameters, not 0."""
    if n is None:
        raise Problem("Z0602", f"the size of {label} of {name} is not known", axis.span, help=f"write `{label} = …`")
    if n.number is None and what == "param":  # a state may have data axes: it is stream state then
        size = label if n == Size.of(label) else f"{label} = {n}"
        message = f"the size {size} of {name} is no number: parameters do not depend on the data"
        help_ = f"give {n} a number in the model's signature, or leave the axis out"
        raise Problem("Z0602", message, axis.span, help=help_)
    if n.number == 0:
        raise Problem("Z0324", f"{label} of {name} is 0: it would have no elements", axis.span)
    return n


def _interface(s: Scope, axes: list[Any]) -> list[str]:
    """The labels of a weight as written in the block, axes given as statics under the caller's name."""
    names = []
    for actual, _, axis in axes:
        if axis.rest:
            names.append(actual)
        elif axis.label in s.axis_statics:
            names.append(s.labels[axis.label])
        else:
            names.append(axis.label)
    return names


def initial(
    e: Elaborator,
    s: Scope,
    path: str,
    type_: Type,
    written: tuple[str, ...],
    order: tuple[str, ...],
    x: ast.Param | ast.State,
) -> Graph:
    """The graph of the first value: no input but the seed, random streams named by the path."""
    value = evaluate(e, s, x.init)
    with Builder() as b:
        seed = counter("seed")
        maker = Elaborator("infer", b, e.diagnostics, (seed,))
        maker.spans, maker.depth = e.spans, e.depth
        with maker.at(x.init.span):
            t = make_initial(maker, s, value, type_, written, order, path, x.init.span)
        return close(f"{path}.init", [Port("seed", seed, (), "counter")], [Port("init", t.node, written, "result")], b)


def make_initial(
    e: Elaborator,
    s: Scope,
    value: Any,
    type_: Type,
    written: tuple[str, ...],
    order: tuple[str, ...],
    path: str,
    span: Span,
) -> Tensor:
    """A value of the weight's type, from an initialiser, a number or a tensor without axes of its own."""
    if isinstance(value, Builtin) and value.name in ("zeros", "ones"):
        value = 0.0 if value.name == "zeros" else 1.0
    if value is None:
        raise Problem("Z0617", "`none` is no initial value", span, help=INITIALISERS)
    if isinstance(value, Template):
        value = _initialised(e, s, value, type_, dict(zip(order, written, strict=True)), path, span)
    if not isinstance(value, Tensor | bool) and not is_number(value):
        raise Problem("Z0617", f"{kind_of(value)} is no initial value", span, help=INITIALISERS)
    t = cast(as_tensor(value, type_.dtype, span), type_.dtype)
    surplus = [label for label in t.order if label not in type_.sizes]
    if surplus or any(type_.sizes[n] != t.type.sizes[n] for n in t.order):
        raise Problem("Z0617", f"the initial value is {s.show(t)}, {path} is {s.show(type_)}", span)
    return expanded(t, type_.axes, written)


def _initialised(
    e: Elaborator, s: Scope, value: Template, type_: Type, names: dict[str, str], path: str, span: Span
) -> Any:
    """The value of an initialiser: its result's rest is bound to the weight's axes (`names`: here -> as written)."""
    from zhdsl.lang.calls import defaults, give_statics
    from zhdsl.lang.statements import run_body

    d, written = value.definition, tuple(names.values())
    if not statics.is_initialiser(value):
        raise Problem("Z0617", f"{d.name} is no initialiser: it takes tensors", span, help=INITIALISERS)
    inner = Scope(value.home, path, "infer")
    given = {n: _renamed_axes(v, names) for n, v in value.statics.items()}
    for label in (label for v in given.values() if isinstance(v, Axes) for label in v.labels):
        if label not in written:
            raise Problem("Z0302", f"{d.name}: {s.show(type_)} has no axis {s.shown(label)}", span)
    rest = next((a.label for r in d.results for a in r.type.axes if a.rest), "A")
    inner.rests[rest] = written
    inner.rest_sizes[rest] = tuple(type_.sizes[label] for label in written)
    inner.labels.update({label: label for label in written})
    inner.used |= set(written)
    give_statics(inner, given)
    with e.calling(span, d.name):
        defaults(e, inner, d, value, span)
        return run_body(e, inner, d.body)


def _renamed_axes(value: Any, names: dict[str, str]) -> Any:
    """Axes given to an initialiser, under the names that the weight's own type has."""
    if isinstance(value, Axes):
        return Axes(tuple(names.get(label, label) for label in value.labels))
    if isinstance(value, AxisName) and value.label is not None:
        return AxisName(names.get(value.label, value.label), value.size)
    return value


def weight_of(e: Elaborator, s: Scope, instance: Instance, x: ast.Attribute) -> Tensor:
    """`e.W`: a parameter of an instance, with the labels as written in the block."""
    path = joined(instance.path, x.name)
    weight = e.params.get(path) or e.states.get(path)
    if weight is None:
        if not instance.weights:
            what = f"{instance.template.name} has no parameters before its first call"
            raise Problem("Z0208", what, x.span, help="their sizes come from what it is called with: call it first")
        close = nearest(x.name, instance.weights)
        raise Problem(
            "Z0208",
            f"{instance.template.name} has no parameter {x.name}",
            x.span,
            help=f"did you mean `{close}`?" if close else "",
        )
    if path in e.params:
        t = Tensor(apply("param", path=path, type=weight.type), weight.order)
    else:
        t = e.current.get(path) or Tensor(apply("state", path=path, type=weight.type), weight.order)
    return renamed(t, {label: s.introduce(label) for label in weight.order})
