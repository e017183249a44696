"""Axes in signatures: calls bind labels in order and check them by name; ascriptions match by name, then in order.

The rules and the reasons for them stand in `docs/language.md`, "Calls". The crossing check rejects a call in which an
axis is bound to another name although the parameter has an axis of its own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zhdsl.ir.sizes import Size
from zhdsl.lang import ast
from zhdsl.lang.bounds import AXES, LENGTH
from zhdsl.lang.elaborator import Elaborator
from zhdsl.lang.expressions import MISSING, lookup, size
from zhdsl.lang.problem import Problem, listing, named
from zhdsl.lang.scope import Scope, free_label
from zhdsl.lang.tensors import renamed
from zhdsl.lang.values import Tensor
from zhdsl.source import Span


@dataclass(eq=False)
class Binding:
    """Which caller's label each label of a callee is bound to."""

    caller: Scope
    inner: Scope
    name: str
    at: Span
    labels: dict[str, str] = field(default_factory=dict)  # callee's label -> caller's
    rests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: list[dict[str, str]] = field(default_factory=list)  # per argument
    first: dict[str, str] = field(default_factory=dict)  # rest -> the first parameter that has it

    def match(self, parameter: ast.Parameter, value: Tensor, span: Span) -> None:
        """Bind one argument's labels in order; axes given as statics are taken out by name first."""
        assert parameter.type is not None
        axes, left, here = list(parameter.type.axes), list(value.order), dict[str, str]()
        for axis in parameter.type.axes:
            if axis.rest and axis.label in self.inner.rests:
                self._given_rest(axis, axes, left, value, span)
                continue
            actual = self.inner.labels.get(axis.label) if axis.label in self.inner.axis_statics else None
            if actual is not None and not axis.rest:
                if actual not in left:
                    raise Problem(
                        "Z0302", f"{self.name}: {self.caller.show(value)} has no axis {self.caller.shown(actual)}", span
                    )
                left.remove(actual)
                axes.remove(axis)
                here[axis.label] = actual
        here.update(self._in_order(parameter, axes, left, value, span))
        for label, actual in here.items():
            bound = self.labels.setdefault(label, actual)
            if bound != actual:
                shown = self.caller.shown(bound), self.caller.shown(actual)
                raise Problem(
                    "Z0318",
                    f"{self.name}: its axis {label} is bound to {shown[0]} and to {shown[1]}",
                    span,
                    help=f"rename one: `{named(span)}[{shown[1]} as {shown[0]}]`",
                )
        self.pairs.append(here)

    def _given_rest(self, axis: ast.Axis, axes: list[ast.Axis], left: list[str], value: Tensor, span: Span) -> None:
        """Axes given as a static list are taken out by name."""
        for label in self.inner.rests[axis.label]:
            if label not in left:
                raise Problem(
                    "Z0302", f"{self.name}: {self.caller.show(value)} has no axis {self.caller.shown(label)}", span
                )
            left.remove(label)
        axes.remove(axis)
        self.rests[axis.label] = self.inner.rests[axis.label]

    def _in_order(
        self, parameter: ast.Parameter, axes: list[ast.Axis], left: list[str], value: Tensor, span: Span
    ) -> dict[str, str]:
        open_ones = [a for a in axes if a.rest]
        if len(open_ones) > 1:
            last = open_ones[-1].label
            what = f"{self.name}: which axes of {self.caller.show(value)} are ...{last}?"
            raise Problem("Z0405", what, span, help=f"name them: `{self.name}[T]({named(span)})`")
        k = next((i for i, a in enumerate(axes) if a.rest), None)
        if (k is None and len(axes) != len(left)) or (k is not None and len(left) < len(axes) - 1):
            raise self._wrong_number(parameter, value, len(axes) - len(left), span)
        tail = 0 if k is None else len(axes) - k - 1
        single = axes if k is None else axes[:k] + axes[k + 1 :]
        chosen = left if k is None else left[:k] + left[len(left) - tail :]
        own = {a.label for a in axes if not a.rest}
        for axis, actual in zip(single, chosen, strict=True):
            shown = self.caller.shown(actual)
            if shown in own and axis.label != shown:
                x = named(span)
                raise Problem(
                    "Z0317",
                    f"{self.name}: axes cross: {shown} of {self.caller.show(value)} is bound to "
                    f"{axis.label}, but {parameter.name} has an axis {shown} of its own",
                    span,
                    help=f"give the order, `{x}: {written(parameter)} = {x}`, or another name, `{x}[{shown} as …]`",
                )
        if k is not None:
            self._rest(axes[k].label, tuple(left[k : len(left) - tail]), parameter, span)
        return {a.label: actual for a, actual in zip(single, chosen, strict=True)}

    def _wrong_number(self, parameter: ast.Parameter, value: Tensor, lacking: int, span: Span) -> Problem:
        """The problem of a tensor with too few or too many axes."""
        x = named(span)
        few = f"add one: `y: {written(parameter)} = expand[… = 1]({x})`"
        last = self.caller.shown(value.order[-1]) if value.order else "…"
        many = f"join two with `merge`, or reduce one: `mean[{last}]({x})`"
        return Problem(
            "Z0316",
            f"{self.name}: {parameter.name} is {written(parameter)}, given is {self.caller.show(value)}",
            span,
            help=few if lacking > 0 else many,
        )

    def _rest(self, name: str, labels: tuple[str, ...], parameter: ast.Parameter, span: Span) -> None:
        """Bind a rest: the same axes in every parameter that has it."""
        bound = self.rests.setdefault(name, labels)
        first = self.first.setdefault(name, parameter.name)
        if set(bound) == set(labels):
            return
        shown = ["[" + ", ".join(map(self.caller.shown, ls)) + "]" for ls in (bound, labels)]
        surplus = sorted(set(bound) ^ set(labels), key=(*bound, *labels).index)
        raise Problem(
            "Z0318",
            f"{self.name}: ...{name} is {shown[0]} in {first} and {shown[1]} in {parameter.name}",
            span,
            help=f"they have the same axes; {listing(map(self.caller.shown, surplus))} is in only one of them",
        )

    def settle(self) -> None:
        """Give every label of the callee its label in the graph: the caller's where it is free."""
        inner, taken = self.inner, {label for labels in self.rests.values() for label in labels}
        taken |= {inner.labels[n] for n in inner.axis_statics if n in inner.labels}
        everyone = taken | set(self.labels.values())
        for label, actual in self.labels.items():
            if inner.labels.get(label) == actual and label in inner.axis_statics:
                continue
            if actual in taken:
                actual = free_label(label, everyone)
            taken.add(actual)
            everyone.add(actual)
            inner.labels[label] = actual
        for name, labels in self.rests.items():
            inner.rests[name] = labels
        inner.used |= everyone

    def bound(self, i: int, value: Tensor) -> Tensor:
        """An argument with its labels as the callee's graph has them."""
        return renamed(value, {actual: self.inner.labels[label] for label, actual in self.pairs[i].items()})

    def back(self, value: Tensor) -> Tensor:
        """A result with its labels translated to the caller's; those that would coincide get a prime."""
        inner, home = self.inner, dict[str, str]()
        for label, actual in self.labels.items():
            home.setdefault(inner.labels[label], actual)
        names: dict[str, str] = {}
        for label in value.order:
            wanted = home.get(label) or self._introduced(label)
            while wanted in names.values():
                wanted += "'"
            names[label] = wanted
            self.caller.used.add(wanted)
            if wanted not in self.caller.labels.values():
                self.caller.labels.setdefault(wanted, wanted)
        return renamed(value, names)

    def _introduced(self, label: str) -> str:
        """The caller's label for one that the callee brought in: interface, under the name as written there."""
        inner = self.inner
        if any(label in labels for labels in inner.rests.values()) or any(
            inner.labels.get(n) == label for n in inner.axis_statics
        ):
            return label
        return self.caller.introduce(inner.shown(label))


def bind_sizes(
    e: Elaborator,
    inner: Scope,
    parameters: Sequence[ast.Parameter],
    values: Sequence[Tensor],
    spans: Sequence[Span],
    name: str,
) -> list[tuple[ast.Axis, Size, ast.Parameter, Span]]:
    """Size names get their sizes at their first bare occurrence. Returns the axes with expressions, to be checked.

    An axis given by name has the size that it has in the first tensor, whatever else has this name in the caller.
    """
    later: list[tuple[ast.Axis, Size, ast.Parameter, Span]] = []
    met: set[str] = set()
    for parameter, value, span in zip(parameters, values, spans, strict=True):
        assert parameter.type is not None
        for axis in parameter.type.axes:
            first = axis.label not in met
            met.add(axis.label)
            if axis.rest:
                found = tuple(value.type.sizes[n] for n in inner.rests[axis.label])
                if first:
                    inner.rest_sizes[axis.label] = found
                continue
            given = value.type.sizes[inner.labels[axis.label]]
            symbol = axis.label if axis.size is None else axis.size.id if isinstance(axis.size, ast.Name) else None
            if symbol is not None and is_free(e, inner, symbol):
                inner.sizes[symbol] = given
            elif axis.size is not None or axis.label not in inner.axis_statics:
                later.append((axis, given, parameter, span))
            elif first:
                inner.sizes[axis.label] = given
    _name_sizes(e, inner, parameters, values)
    return later


def _name_sizes(e: Elaborator, inner: Scope, parameters: Sequence[ast.Parameter], values: Sequence[Tensor]) -> None:
    """A label with a size of its own (`T=4`) also names that size, where all parameters agree and the name is free."""
    found: dict[str, set[Size]] = {}
    for parameter, value in zip(parameters, values, strict=True):
        for axis in parameter.type.axes if parameter.type else ():
            if not axis.rest and axis.size is not None:
                found.setdefault(axis.label, set()).add(value.type.sizes[inner.labels[axis.label]])
    for label, sizes in found.items():
        if len(sizes) == 1 and is_free(e, inner, label):
            inner.sizes[label] = sizes.pop()


def is_free(e: Elaborator, s: Scope, name: str) -> bool:
    """Whether a name in a signature may still be bound to a size."""
    return name not in s.sizes and name not in s.statics and name not in s.vars and s.file.const(e, name) is MISSING


def check_sizes(
    e: Elaborator, s: Scope, later: Sequence[tuple[ast.Axis, Size, ast.Parameter, Span]], name: str
) -> None:
    """Axes whose size is an expression must have that size, provably."""
    for axis, given, parameter, span in later:
        wanted = axis_size(e, s, axis)
        if wanted is not None and wanted != given:
            code = "Z0321" if wanted.number is not None and given.number is not None else "Z0313"
            origin = (axis.span, f"{axis.label} of {parameter.name} is {wanted} here")
            const = s.file.const(e, axis.label) if axis.size is None else MISSING
            note = f" (the file's `const {axis.label}`)" if const is not MISSING else ""
            raise Problem(
                code,
                f"{name}: axis {axis.label} of {parameter.name} must be {wanted}{note}, is {given}",
                span,
                origin,
                help=f"give one of them another name, as in `{axis.label}2`" if note else _if_equal(given, wanted),
            )


def _if_equal(a: Size, b: Size) -> str:
    """The help line for two sizes that are not provably equal."""
    return f"if they are always equal, say so: `require {a} == {b}`" if a.number is None or b.number is None else ""


def written(parameter: ast.Parameter) -> str:
    """The axes of a parameter by name: `[B, ...S, D]`."""
    axes = parameter.type.axes if parameter.type else ()
    return f"[{', '.join(('...' if a.rest else '') + a.label for a in axes)}]"


def axis_size(e: Elaborator, s: Scope, axis: ast.Axis) -> Size | None:
    """The size that a type's axis states, `None` for a bare label whose size is not known here."""
    if axis.size is not None:
        return size(e, s, axis.size, f"the size of {axis.label}")
    found = s.size(axis.label)
    if found is not None:
        return found
    value = next((v for n in (axis.label, axis.label.rstrip("'")) if (v := lookup(e, s, n)) is not MISSING), None)
    if isinstance(value, float):
        raise Problem("Z0406", f"the size of {axis.label} is a whole number, {axis.label} is {value} here", axis.span)
    if isinstance(value, int) and not isinstance(value, bool):
        return Size.of(value)
    return value if isinstance(value, Size) else None


def axes_of(e: Elaborator, s: Scope, axes: Sequence[ast.Axis]) -> list[tuple[str, Size | None, ast.Axis]]:
    """Labels of the graph with the sizes that a type states, in its order."""
    found: list[tuple[str, Size | None, ast.Axis]] = []
    for axis in axes:
        if axis.rest:
            found += rest_axes(e, s, axis)
        elif not axis.label:
            raise Problem("Z0301", "an axis needs a name", axis.span, help=f"write `N = {axis.span.text}`")
        else:
            found.append((s.introduce(axis.label), at_least_0(axis_size(e, s, axis), axis.label, axis.span), axis))
    if len(found) > AXES:
        raise Problem("Z0904", f"a type with {len(found)} axes, the limit is {AXES}", axes[0].span | axes[-1].span)
    stated = {axis.label: n for _, n, axis in found if not axis.rest}
    found = [(label, n if n is not None else stated.get(axis.label.rstrip("'")), axis) for label, n, axis in found]
    labels = [label for label, _, _ in found]
    for label, _, axis in found:
        if labels.count(label) > 1:
            raise Problem(
                "Z0311", f"two axes are called {s.shown(label)}", axis.span, help=f"prime one: `{s.shown(label)}'`"
            )
    return found


def at_least_0(n: Size | None, label: str, span: Span) -> Size | None:
    """The size of an axis. Raises `Problem` where it is negative, or longer than any axis may be."""
    if n is not None and n.number is not None and n.number < 0:
        raise Problem("Z0324", f"{label} is {n}: the size of an axis is at least 0", span)
    if n is not None and n.number is not None and n.number > LENGTH:
        raise Problem("Z0902", f"{label} is {n.number:,}, the limit is {LENGTH:,}", span)
    return n


def rest_axes(e: Elaborator, s: Scope, axis: ast.Axis) -> list[tuple[str, Size | None, ast.Axis]]:
    """The axes of a rest: with the sizes known of them, or with the size stated for each of them."""
    labels = s.rest(axis.label)
    if labels is None:
        raise Problem("Z0201", f"unknown rest ...{axis.label}", axis.span)
    known = s.rest_sizes.get(axis.label) or (None,) * len(labels)
    if axis.size is None:
        return [(label, n, axis) for label, n in zip(labels, known, strict=True)]
    base = s.rest_sizes.get(axis.label.rstrip("'"), known)
    sizes: list[Size | None] = []
    for n in base:
        here = s.child()
        here.sizes = dict(s.sizes)
        if n is not None:
            here.sizes[axis.label.rstrip("'")] = n
        n = size(e, here, axis.size, f"the sizes of ...{axis.label}")
        sizes.append(at_least_0(n, f"...{axis.label}", axis.span))
    return list(zip(labels, sizes, [axis] * len(labels), strict=True))


def ascribe(e: Elaborator, s: Scope, value: Tensor, type_: ast.Type, span: Span, what: str) -> Tensor:
    """The value in the order of a type: labels that agree match by name, the rest in order with equal sizes."""
    axes = axes_of(e, s, type_.axes)
    want = [label for label, _, _ in axes]
    left = [label for label in value.order if label not in want]
    miss = [(label, n) for label, n, _ in axes if label not in value.type.sizes]
    if len(left) != len(miss):
        raise _not_declared(s, value, (want, left, [label for label, _ in miss]), span, what, type_.span)
    for a, (label, n) in zip(left, miss, strict=True):
        given = value.type.sizes[a]
        if n is not None and n != given:
            raise Problem(
                "Z0319",
                f"{what}: {s.shown(a)} of {s.show(value)} is {given}, {s.shown(label)} is {n}",
                span,
                (type_.span, "declared here"),
                help=_if_equal(given, n),
            )
    _unambiguous(s, value, left, [label for label, _ in miss], span)
    value = renamed(value, dict(zip(left, (label for label, _ in miss), strict=True)))
    for label, n, axis in axes:
        given = value.type.sizes[label]
        if n is None:
            s.sizes.setdefault(axis.label, given) if not axis.rest else None
        elif n != given:
            code = "Z0312" if n.number is not None and given.number is not None else "Z0313"
            raise Problem(
                code, f"{what}: axis {s.shown(label)} must be {n}, is {given}", span, (axis.span, "stated here")
            )
    return Tensor(value.node, tuple(want))


def _not_declared(
    s: Scope, value: Tensor, labels: tuple[list[str], list[str], list[str]], span: Span, what: str, at: Span
) -> Problem:
    """The problem of a value with other axes than its type: `labels` are those wanted, left over and missing."""
    want, left, miss = (list(map(s.shown, ls)) for ls in labels)
    if len(left) > len(miss):
        help_ = f"{listing(left)} {'is' if len(left) == 1 else 'are'} left over: declare it, or reduce it"
    else:
        help_ = f"there is no {listing(miss, 'or')}"
    said = f"{what} is {s.show(value)}, not [{', '.join(want)}]"
    return Problem("Z0319", said, span, (at, "declared here"), help=help_)


def _unambiguous(s: Scope, value: Tensor, left: Sequence[str], miss: Sequence[str], span: Span) -> None:
    sizes = [value.type.sizes[label] for label in left]
    for i, n in enumerate(sizes):
        if n in sizes[:i]:
            a, b = s.shown(left[sizes.index(n)]), s.shown(left[i])
            pairs = ", ".join(f"{s.shown(old)} as {s.shown(new)}" for old, new in zip(left, miss, strict=True))
            raise Problem(
                "Z0320", f"{a} and {b} are both {n}: which is which?", span, help=f"say it: `{named(span)}[{pairs}]`"
            )
