"""What a name or an expression can stand for while a spec is checked.

Static values are Python's own: int, float, bool, str, None, tuples of them, and `Size` while it has symbols. All others
are the records below. A `Tensor` is a node of the graph with the order of its axes, which only the checker knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.lang import ast
from zhdsl.source import Span

if TYPE_CHECKING:
    from zhdsl.lang.files import File


@dataclass(frozen=True)
class Tensor:
    """A node with the order of its axes (labels as the graph knows them)."""

    node: Node
    order: tuple[str, ...]

    @property
    def type(self) -> Type:
        return self.node.type


@dataclass(frozen=True)
class AxisName:
    """The value of a static of kind `axis`: a label of the caller, a size, or both."""

    label: str | None
    size: Size | None


@dataclass(frozen=True)
class Axes:
    """The value of a static of kind `axes` or of a rest: labels in order, with their sizes where they are known."""

    labels: tuple[str, ...]
    sizes: tuple[Size | None, ...] = ()


@dataclass(frozen=True)
class Template:
    """A function, block or model, perhaps with statics given; each call of a block's template is a new instance."""

    definition: ast.Definition
    home: File
    statics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(eq=False)
class Instance:
    """One set of parameters of a block: made at the first call, used by all.

    `subject` is what its static of kind `path` says: an optimiser is told the path of the parameter it updates.
    """

    template: Template
    path: str
    subject: str = ""
    weights: dict[str, Type] = field(default_factory=dict)


@dataclass(frozen=True)
class Builtin:
    """A primitive of the language with the statics given so far (`sum[K]`), unevaluated."""

    name: str
    run: Callable[..., Any]
    args: tuple[ast.Arg, ...] | None = None


@dataclass(frozen=True)
class DatasetRef:
    """A dataset, with its statics once they are given."""

    definition: ast.Dataset
    home: File
    statics: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Namespace:
    """A file imported under a name."""

    file: File


@dataclass(frozen=True)
class Many:
    """Several results, perhaps named."""

    values: tuple[Any, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class ScanIndex:
    """The `t` of `scan t over T`."""

    frame: Any


class Poison:
    """A value whose problem has been reported."""


POISON = Poison()
Static = int | float | bool | str | None | Size | tuple[Any, ...]


def is_number(value: object) -> bool:
    return isinstance(value, int | float | Size) and not isinstance(value, bool)


def is_static(value: object) -> bool:
    return value is None or isinstance(value, int | float | bool | str | Size | tuple)


def kind_of(value: object) -> str:
    """What a value is, in the user's words."""
    names: dict[type, str] = {
        Tensor: "a tensor",
        Template: "a definition",
        Instance: "an instance of a block",
        Builtin: "a function",
        DatasetRef: "a dataset",
        Namespace: "a file",
        Many: "several values",
        AxisName: "an axis",
        Axes: "a list of axes",
        ScanIndex: "a scan's index",
        str: "a string",
        bool: "true or false",
        tuple: "a list",
    }
    if isinstance(value, Template):
        return f"a {'function' if value.definition.kind == 'fn' else value.definition.kind}"
    return "none" if value is None else next((n for t, n in names.items() if isinstance(value, t)), "a number")


def shown(value: object) -> str:
    """A value in a message: numbers and words as they are written."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else kind_of(value)


def sized(value: Any) -> Any:
    """A size without symbols as an int."""
    if isinstance(value, Size):
        return value if value.number is None else value.number
    return value


def place_of(thing: object) -> Span | None:
    """Where a definition stands."""
    return thing.definition.span if isinstance(thing, Template | DatasetRef) else None
