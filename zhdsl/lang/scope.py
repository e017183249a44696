"""Scopes: what names, labels and size names mean inside one definition.

A definition's labels are its own. `Scope.labels` maps the labels as written to the labels of the graph (the caller's
where they are free); error messages go the other way through `shown`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Atom, Size
from zhdsl.ir.types import Type
from zhdsl.lang.values import Axes, AxisName, Instance, Tensor
from zhdsl.source import Span

if TYPE_CHECKING:
    from zhdsl.lang.files import File


@dataclass(eq=False)
class Frame:
    """A scan that is being elaborated."""

    label: str
    carries: dict[str, Tensor] = field(default_factory=dict)  # by name: the slot
    slices: dict[Node, tuple[Tensor, Tensor]] = field(default_factory=dict)  # whole -> (whole, slot)
    hidden: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)  # state path -> (slot, value before)
    emitted: list[tuple[bool, str, Any]] = field(default_factory=list)  # last?, name, value
    emits: int = 0
    key: int = 0
    index: int = 0
    size: Size | None = None


@dataclass(eq=False)
class Scope:
    """The meaning of names inside one definition, or of one file (no labels then)."""

    file: File
    path: str = ""
    mode: str = "infer"
    vars: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    rests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rest_sizes: dict[str, tuple[Size, ...]] = field(default_factory=dict)
    sizes: dict[str, Size] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    statics: set[str] = field(default_factory=set)
    axis_statics: set[str] = field(default_factory=set)
    facts: dict[Atom, int] = field(default_factory=dict)
    equal: dict[str, Size] = field(default_factory=dict)
    instance: Instance | None = None
    frame: Frame | None = None
    kind: str = "fn"
    returned: Any = None
    returned_at: tuple[Span, ...] = ()  # of the values, or of all together
    states: dict[str, tuple[str, Tensor, Frame | None]] = field(
        default_factory=dict
    )  # path, as declared, in which scan
    elsewhere: dict[str, Span] = field(default_factory=dict)  # names given a value in a branch that is not taken
    done: bool = False
    float: str = "float"

    # ------------------------------------------------------------ labels
    def introduce(self, label: str) -> str:
        """The graph's label for a label as written; a new one if it has none yet."""
        if label not in self.labels:
            actual = free_label(label, self.used)
            self.used.add(actual)
            self.labels[label] = actual
        return self.labels[label]

    def shown(self, actual: str) -> str:
        """A label of the graph as it is written here."""
        return next((written for written, a in self.labels.items() if a == actual), actual)

    def show(self, value: Tensor | Type) -> str:
        """A type as the user would write it here."""
        order = value.order if isinstance(value, Tensor) else value.labels
        type_ = value.type if isinstance(value, Tensor) else value
        parts = []
        written = [self.shown(actual) for actual in order]
        names = (
            written if len(set(written)) == len(written) else order
        )  # an axis of a rest may have the name of another
        for actual, name in zip(order, names, strict=True):
            size = type_.sizes[actual]
            parts.append(name if size == Size.of(name) else f"{name}={size}")
        return ("" if type_.dtype == "float" else type_.dtype) + "[" + ", ".join(parts) + "]"

    def rest(self, name: str) -> tuple[str, ...] | None:
        """The labels of a rest; `S'` are the labels of `S` with a prime each, made when first named."""
        if name in self.rests:
            return self.rests[name]
        base = self.rest(name[:-1]) if name.endswith("'") else None
        if base is None:
            value = self.vars.get(name)
            if isinstance(value, Axes):
                return value.labels
            if isinstance(value, AxisName) and value.label:
                return (value.label,)
            return None
        self.rests[name] = tuple(self._primed(label) for label in base)
        return self.rests[name]

    def _primed(self, label: str) -> str:
        actual = free_label(label + "'", self.used)
        self.used.add(actual)
        self.labels.setdefault(actual, actual)
        return actual

    def size(self, name: str) -> Size | None:
        """A size name's value; a primed name has the size of its base."""
        for candidate in (name, name.rstrip("'")):
            if candidate in self.sizes:
                return self.sizes[candidate]
        return None

    def size_of(self, actual: str) -> Size | None:
        """The size of an axis by its label in the graph, where the scope knows it."""
        for name, labels in self.rests.items():
            if actual in labels and name in self.rest_sizes:
                return self.rest_sizes[name][labels.index(actual)]
        return next((self.sizes[w] for w, a in self.labels.items() if a == actual and w in self.sizes), None)

    def sizes_of(self, labels: Iterable[str]) -> tuple[Size, ...] | None:
        """The sizes of several axes, `None` if one is not known."""
        found = [self.size_of(label) for label in labels]
        known = tuple(n for n in found if n is not None)
        return known if len(known) == len(found) else None

    def statics_given(self) -> dict[str, Any]:
        """The statics that have a value."""
        return {name: self.vars.get(name) for name in self.statics}

    def child(self) -> Scope:
        """A scope for a body whose assignments stay inside; all else is shared."""
        new = Scope(self.file)
        new.__dict__.update(self.__dict__)
        new.vars = dict(self.vars)
        return new


def free_label(wanted: str, taken: Iterable[str]) -> str:
    """`wanted`, or with a number behind it where that is taken; primes stay last."""
    if wanted not in taken:
        return wanted
    base = wanted.rstrip("'")
    primes = wanted[len(base) :]
    n = 2
    while f"{base}_{n}{primes}" in taken:
        n += 1
    return f"{base}_{n}{primes}"
