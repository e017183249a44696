"""Primitives that make, move and pick axes: iota, zeros, expand, concat, pad, flip, split, merge, window, fold, …"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zhdsl.ir.node import Node, apply
from zhdsl.ir.sizes import Size
from zhdsl.lang import ast, tensors
from zhdsl.lang.axes import at_least_0, axis_size, rest_axes
from zhdsl.lang.bounds import added, multiplied
from zhdsl.lang.builtins import builtin, compare_now, options, take, whole_option
from zhdsl.lang.elaborator import Elaborator, constant
from zhdsl.lang.expressions import VALUES, evaluate, lacking, size, static
from zhdsl.lang.indexing import axis_of
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.statics import axis_names
from zhdsl.lang.values import Axes, Builtin, Many, Tensor, is_number, kind_of, shown, sized
from zhdsl.source import Span


def named_axes(e: Elaborator, s: Scope, b: Builtin, at: Span, skip: Sequence[str] = ()) -> list[tuple[str, Size]]:
    """`[B, C=3, ...S]` of a primitive that makes axes; every size must be known."""
    found: list[tuple[str, Size]] = []
    for arg in b.args or ():
        if isinstance(arg, ast.Keyword) and arg.name in skip:
            continue
        found += _made_axes(e, s, arg, b.name)
    labels = [label for label, _ in found]
    if len(set(labels)) < len(labels):
        raise Problem("Z0311", f"{b.name}: two axes of one name", at)
    return found


def _made_axes(e: Elaborator, s: Scope, arg: ast.Arg, name: str) -> list[tuple[str, Size]]:
    if isinstance(arg, ast.Keyword) and not isinstance(arg.value, ast.Range | ast.Rest):
        stated = size(e, s, arg.value, f"the size of {arg.name}")
        at_least_0(stated, arg.name, arg.span)
        return [(s.introduce(arg.name), stated)]
    if isinstance(arg, ast.Rest):
        labels = s.rest(arg.name)
        if labels is None:
            raise Problem("Z0201", f"unknown rest ...{arg.name}", arg.span)
        known = s.rest_sizes.get(arg.name) or s.sizes_of(labels)
        if known is None:
            raise Problem("Z0322", f"the sizes of ...{arg.name} are not known here", arg.span)
        return list(zip(labels, known or (), strict=True))
    if isinstance(arg, ast.RestSized):
        axes = rest_axes(e, s, ast.Axis(arg.name, arg.size, rest=True, span=arg.span))
        return [(label, n) for label, n, _ in axes if n is not None]
    if isinstance(arg, ast.Name):
        n = axis_size(e, s, ast.Axis(arg.id, span=arg.span))
        if n is None:
            raise Problem(
                "Z0322",
                f"{name}[{arg.id}]: the size of {arg.id} is not known here",
                arg.span,
                help=f"give it: `{name}[{arg.id} = n]`, or `x.{arg.id}` of a tensor x",
            )
        return [(s.labels.get(arg.id) or s.introduce(arg.id), n)]
    raise Problem("Z0301", "an axis needs a name", arg.span, help=f"write `N = {arg.span.text}`")


def iota(e: Elaborator, s: Scope, b: Builtin, at: Span) -> Tensor:
    axes = named_axes(e, s, b, at)
    if len(axes) != 1:
        raise Problem("Z0402", f"iota takes one axis, {len(axes)} given", at)
    label, n = axes[0]
    return Tensor(apply("iota", label=label, size=n), (label,))


def filled(e: Elaborator, s: Scope, b: Builtin, at: Span) -> Tensor:
    axes = named_axes(e, s, b, at)
    t = constant(1.0 if b.name == "ones" else 0.0, s.float)
    return tensors.expanded(t, axes, tuple(label for label, _ in axes))


def uniform(e: Elaborator, s: Scope, b: Builtin, at: Span) -> Tensor:
    """Draws from [0, 1), keyed by the seed, the step, the place in the program, the element.

    `stream = k` says the place, `key = (seed, step)` what takes the part of seed and step: so do printed programs.
    """
    axes = named_axes(e, s, b, at, ("stream", "key"))
    _, named = options(e, s, b, at, ("stream", "key"))
    stream = whole_option(e, s, named, "stream", -1)
    if not isinstance(stream, int):
        raise Problem("Z0406", "stream is a number", at)
    e.samplings.append(at)
    if stream < 0:
        stream = e.stream(s.path)
    counters = _key(e, s, named["key"]) if "key" in named else e.counters
    shared = {label for c in counters for label in c.type.labels}
    own = tuple(a for a in axes if a[0] not in shared)
    node = apply("uniform", *counters, stream=stream, axes=own)
    return Tensor(node, tuple(label for label, _ in axes) + tuple(sorted(shared - {a for a, _ in axes})))


def _key(e: Elaborator, s: Scope, x: ast.Expr) -> tuple[Node, ...]:
    """The counters of `key = (seed, step, …)`: i32, one or more."""
    value = evaluate(e, s, x)
    parts = value.values if isinstance(value, Many) else value if isinstance(value, tuple) else (value,)
    counters = [tensors.as_tensor(part, "i32", x.span) for part in parts]
    for t in counters:
        if t.type.dtype != "i32":
            raise Problem("Z0504", f"a key is i32, this is {s.show(t)}", x.span, help="convert: `i32(x)`")
    return tuple(t.node for t in counters)


def listed(e: Elaborator, s: Scope, b: Builtin, at: Span) -> Tensor:
    """`values[I = (82, 123)]`: numbers known at compile time along an axis."""
    if not b.args or len(b.args) != 1 or not isinstance(b.args[0], ast.Keyword):
        raise Problem("Z0402", "values takes one axis with its numbers", at, help="`values[I = (82, 123)]`")
    arg = b.args[0]
    if isinstance(arg.value, ast.Range | ast.Rest):
        raise Problem("Z0406", "a list of numbers is wanted", arg.span)
    numbers = static(e, s, arg.value, "a list of numbers")
    if not isinstance(numbers, tuple) or not numbers or not all(is_number(n) for n in numbers):
        raise Problem("Z0406", "a list of numbers is wanted", arg.span)
    dtype = s.float if any(isinstance(n, float) for n in numbers) else "i32"
    label = s.introduce(arg.name)
    e.spend(at, len(numbers))
    parts = [apply("expand", constant(n, dtype).node, axes=((label, Size.of(1)),)) for n in numbers]
    return Tensor(apply("concat", *parts, label=label) if len(parts) > 1 else parts[0], (label,))


def chosen_axes(e: Elaborator, s: Scope, b: Builtin, at: Span) -> Axes:
    """`first[...A]` is the first axis of a list, `others[...A]` the rest."""
    labels = tuple(label for arg in b.args or () for label in axis_names(e, s, arg))
    return Axes(labels[:1] if b.name == "first" else labels[1:])


def path_matches(e: Elaborator, s: Scope, b: Builtin, at: Span) -> bool:
    """`matches[path, globs]`: whether a path fits one of the patterns, as in a shell."""
    from fnmatch import fnmatchcase

    given = [
        a for a in b.args or () if not isinstance(a, ast.Keyword | ast.Range | ast.Relabel | ast.Rest | ast.RestSized)
    ]
    parts = [static(e, s, a, "a path and its patterns") for a in given]
    if len(parts) != 2 or not isinstance(parts[0], str):
        raise Problem("Z0402", "matches takes a path and a list of patterns", at)
    globs = parts[1] if isinstance(parts[1], tuple) else (parts[1],)
    return any(isinstance(g, str) and fnmatchcase(parts[0], g) for g in globs)


@builtin("iota", "zeros", "ones", "uniform", "values", "first", "others", "matches")
def _uncalled(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    """These are values without a call: `zeros[B, N]`. With empty `( )` they are the same, without `[ ]` scalars."""
    take(b, values, 0, at)
    return VALUES[b.name](e, s, b, at)


# ---------------------------------------------------------------- moving axes
@builtin("expand")
def _expand(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    axes = named_axes(e, s, b, at)
    for label, n in axes:
        if label in t.type.sizes and t.type.sizes[label] != n:
            raise Problem("Z0312", f"expand: {s.show(t)} has an axis {s.shown(label)} already", at)
    new = tuple(label for label, _ in axes if label not in t.type.sizes)
    return tensors.expanded(t, axes, new + t.order)


@builtin("concat")
def _concat(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    label, parts = _parts_along(e, s, b, values, spans, at)
    for t, span in zip(parts, spans, strict=True):
        if label not in t.type.sizes:
            raise lacking(s, t, s.shown(label), span, "concat")
    return _joined(e, s, label, parts, spans, at)


@builtin("stack")
def _stack(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    """`stack[G](a, b)`: tensors without G side by side along a new first axis G."""
    label, parts = _parts_along(e, s, b, values, spans, at)
    one = [(label, Size.of(1))]
    for t, span in zip(parts, spans, strict=True):
        if label in t.type.sizes:
            name = s.shown(label)
            raise Problem(
                "Z0311", f"stack: {s.show(t)} has an axis {name} already", span, help=f"write `concat[{name}](…)`"
            )
    return _joined(e, s, label, [tensors.expanded(t, one, (label, *t.order)) for t in parts], spans, at)


def _parts_along(
    e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span
) -> tuple[str, list[Tensor]]:
    """The one axis that is named, and what is put together along it."""
    labels = tuple(n for a in b.args or () for n in axis_names(e, s, a))
    if len(labels) != 1:
        raise Problem("Z0402", f"{b.name} takes one axis", at, help=f"`{b.name}[C](a, b)`")
    if not values:
        raise Problem("Z0402", f"{b.name} of nothing", at)
    return labels[0], [tensors.as_tensor(v, s.float, p) for v, p in zip(values, spans, strict=True)]


def _joined(e: Elaborator, s: Scope, label: str, parts: Sequence[Tensor], spans: Sequence[Span], at: Span) -> Tensor:
    """The parts one behind the other along an axis that all have; those that lack another axis are repeated."""
    dtype = tensors.common_dtype(parts, s, at)
    e.spend(at, len(parts))
    tensors.meet(e, s, parts, spans, at, label)
    added((t.type.sizes[label] for t in parts), at)
    order = tensors.order_of(parts)
    axes = [(n, next(t.type.sizes[n] for t in parts if n in t.type.sizes)) for n in order if n != label]
    full = [tensors.expanded(tensors.cast(t, dtype), axes, order).node for t in parts]
    return Tensor(apply("concat", *full, label=label) if len(full) > 1 else full[0], order)


@builtin("pad")
def _pad(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    positional, named = options(e, s, b, at, ("value",))
    fill = fill_value(e, s, named)
    for arg in positional:
        if not isinstance(arg, ast.Keyword) or isinstance(arg.value, ast.Range | ast.Rest):
            raise Problem("Z0408", "pad names its axes: `pad[T = (1, 2)](x)`", arg.span)
        label = axis_of(s, t, arg.name, arg.span)
        amount = evaluate(e, s, arg.value)
        low, high = amount if isinstance(amount, tuple) and len(amount) == 2 else (amount, amount)
        for n in (low, high):
            if isinstance(n, bool) or not isinstance(n, int | Size):
                raise Problem("Z0406", f"padding is a whole number, this is {shown(n)}", arg.span)
            if compare_now(n, 0) == -1:
                raise Problem("Z0324", f"padding is at least 0, not {n}", arg.span, help="`x[T=1..]` takes some away")
        node = apply("pad", t.node, label=label, low=Size.of(low), high=Size.of(high), fill=fill)
        t = Tensor(node, t.order)
    return t


def fill_value(e: Elaborator, s: Scope, named: dict[str, ast.Expr]) -> float:
    if "value" not in named:
        return 0.0
    value = static(e, s, named["value"], "value")
    if not isinstance(value, int | float):
        raise Problem("Z0406", f"value is a number, this is {kind_of(value)}", named["value"].span)
    return float(value)


@builtin("flip")
def _flip(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    for arg in b.args or ():
        for label in axis_names(e, s, arg):
            if label not in t.type.sizes:
                raise lacking(s, t, s.shown(label), arg.span, "flip")
            t = Tensor(apply("flip", t.node, label=label), t.order)
    return t


@builtin("split")
def _split(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    for arg in b.args or ():
        if not isinstance(arg, ast.Keyword) or not isinstance(arg.value, ast.Tuple | ast.List | ast.Rest):
            raise Problem("Z0402", "split names an axis and its parts: `split[D = (H = 8, E)](x)`", arg.span)
        label = axis_of(s, t, arg.name, arg.span)
        if isinstance(arg.value, ast.Rest):
            parts = _made_axes(e, s, arg.value, "split")
        else:
            parts = _parts(e, s, arg.value, t.type.sizes[label], arg.name)
        names = [n for n, _ in parts]
        others = set(t.type.sizes) - {label}
        if len(set(names)) < len(names) or others & set(names):
            raise Problem("Z0311", f"split: two axes of one name among {', '.join(map(s.shown, names))}", arg.span)
        node = apply("split", t.node, label=label, parts=tuple(parts))
        i = t.order.index(label)
        t = Tensor(node, (*t.order[:i], *names, *t.order[i + 1 :]))
    return t


def _parts(e: Elaborator, s: Scope, x: ast.Tuple | ast.List, whole: Size, name: str) -> list[tuple[str, Size]]:
    """The parts of a split; at most one without a size, which is inferred."""
    parts: list[tuple[str, Size | None]] = []
    for item in x.items:
        if isinstance(item, ast.Name):
            parts.append((s.introduce(item.id), None))
        elif isinstance(item, ast.Keyword) and not isinstance(item.value, ast.Range | ast.Rest):
            parts.append((s.introduce(item.name), size(e, s, item.value, f"the size of {item.name}")))
        else:
            raise Problem("Z0301", "a part needs a name", item.span, help="`split[D = (H = 8, E)](x)`")
    known = multiplied((n for _, n in parts if n is not None), x.span)
    open_ones = [label for label, n in parts if n is None]
    if len(open_ones) > 1:
        raise Problem("Z0326", "split: at most one part may be without a size", x.span)
    if open_ones:
        rest = divided(e, s, whole, known, x.span, f"split: {name} = {whole} into parts of {known}")
        return [(label, rest if n is None else n) for label, n in parts]
    if known != whole:
        raise Problem("Z0326", f"split: the parts make {known}, {name} is {whole}", x.span)
    return [(label, n) for label, n in parts if n is not None]


def divided(e: Elaborator, s: Scope, a: Size, b: Size, span: Span, text: str) -> Size:
    """a / b, which must be whole: now, or as a guard."""
    from zhdsl.ir.sizes import Undecided

    try:
        q = a / b
    except (Undecided, ZeroDivisionError):
        raise Problem("Z0326", f"{text} does not come out even", span) from None
    if q.number is None and all(not m for m, _ in q.terms):
        raise Problem("Z0326", f"{text} does not come out even", span)
    if not q.is_whole:
        e.guard(q, "whole", Size.of(0), span, text)
    return q


@builtin("merge")
def _merge(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    for arg in b.args or ():
        if not isinstance(arg, ast.Keyword):
            raise Problem("Z0402", "merge names the new axis and its parts: `merge[F = (C, H, W)](x)`", arg.span)
        value = arg.value
        labels = axis_names(e, s, value) if not isinstance(value, ast.Range) else ()
        for label in labels:
            if label not in t.type.sizes:
                raise lacking(s, t, s.shown(label), arg.span, "merge")
        multiplied((t.type.sizes[label] for label in labels), arg.span)
        if not labels or len(set(labels)) < len(labels):
            raise Problem("Z0402", "merge takes distinct axes", arg.span)
        new = s.introduce(arg.name)
        if new in set(t.type.sizes) - set(labels):
            raise Problem("Z0311", f"merge: {s.show(t)} has an axis {arg.name} already", arg.span)
        node = apply("merge", t.node, labels=labels, label=new)
        order = [new if n == next(o for o in t.order if o in labels) else n for n in t.order]
        t = Tensor(node, tuple(n for n in order if n == new or n not in labels))
    return t


# ---------------------------------------------------------------- picking
@builtin("scatter")
def _scatter(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    """`scatter[V = n, sum = (T,)](g, ids)`: g added at the places ids; axes under `sum` go into the sums."""
    positional, named = options(e, s, b, at, ("sum",))
    g = tensors.as_tensor(values[0], s.float, spans[0]) if values else None
    if g is None or len(values) != len(positional) + 1:
        raise Problem("Z0402", "scatter takes a tensor and an index for each axis", at, help="`scatter[V = n](g, ids)`")
    axes = []
    for arg in positional:
        if not isinstance(arg, ast.Keyword) or isinstance(arg.value, ast.Range | ast.Rest):
            raise Problem("Z0402", "scatter names its axes with their sizes", arg.span)
        axes.append((s.introduce(arg.name), size(e, s, arg.value, f"the size of {arg.name}")))
    ids = [tensors.as_tensor(v, "i32", p) for v, p in zip(values[1:], spans[1:], strict=True)]
    over = axis_names(e, s, named["sum"]) if "sum" in named else tuple(n for i in ids for n in i.order)
    new = {label for label, _ in axes}
    kept = [n for n in g.order if n not in over and n not in new]
    type_ = g.type.without(set(g.order) - set(kept)).extended(axes)
    node = apply("scatter", g.node, *(i.node for i in ids), labels=tuple(label for label, _ in axes), type=type_)
    return Tensor(node, (*(label for label, _ in axes), *kept))


@builtin("topk")
def _topk(e: Elaborator, s: Scope, b: Builtin, values: Sequence[Any], spans: Sequence[Span], at: Span) -> Any:
    """`topk[F as K, 4](x)` -> the 4 largest along F in falling order, and their places; the new axis is K."""
    take(b, values, 1, at)
    t = tensors.as_tensor(values[0], s.float, spans[0])
    args = b.args or ()
    if len(args) != 2 or isinstance(args[1], ast.Keyword | ast.Range | ast.Relabel | ast.Rest | ast.RestSized):
        raise Problem("Z0402", "topk takes an axis and a number: `topk[F as K, 4](x)`", at)
    if isinstance(args[0], ast.Relabel):
        label, new = axis_of(s, t, args[0].old, args[0].span), s.introduce(args[0].new)
    else:
        labels = axis_names(e, s, args[0])
        if len(labels) != 1:
            raise Problem("Z0402", "topk takes one axis", args[0].span, help="`topk[F as K, 4](x)`")
        label = new = labels[0]
    if label not in t.type.sizes:
        raise Problem("Z0302", f"topk: {s.show(t)} has no axis {s.shown(label)}", at)
    k = size(e, s, args[1], "the number of topk")
    if compare_now(k, 0) == -1:
        raise Problem("Z0324", f"the number of topk is at least 0, not {k}", args[1].span)
    if compare_now(k, t.type.sizes[label]) == 1:
        raise Problem("Z0327", f"topk: {k} of an axis {s.shown(label)} of {t.type.sizes[label]}", at)
    places = Tensor(apply("topk", t.node, label=label, k=k, new=new), tuple(new if n == label else n for n in t.order))
    node = apply("gather", t.node, places.node, labels=(label,))
    return Many((Tensor(node, places.order), places), ("values", "places"))


def known_size(e: Elaborator, s: Scope, b: Builtin, at: Span) -> Any:
    """`size[...in]` without a tensor: the product of sizes that are known here by their axes, 1 for none."""
    product = Size.of(1)
    for arg in b.args or ():
        for label in axis_names(e, s, arg):
            known = s.size_of(label)
            if known is None:
                raise Problem(
                    "Z0322",
                    f"the size of {s.shown(label)} is not known here",
                    arg.span,
                    help="give a tensor: `size[T](x)`",
                )
            product = multiplied((product, known), arg.span)
    return sized(product)


VALUES.update(
    size=known_size,
    iota=iota,
    zeros=filled,
    ones=filled,
    uniform=uniform,
    values=listed,
    first=chosen_axes,
    others=chosen_axes,
    matches=path_matches,
)
