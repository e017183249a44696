"""The syntax tree: one frozen record per construct of the language, each with its span.

In: made by `parser.py`. Out: read by `check.py` and `format.py`. Nothing here knows what a name means:
`f[x]` is an `Index` whether `f` is a tensor, a function or a block, and the checker decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from zhdsl.source import Source, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """Root of all records. Spans do not take part in equality."""

    span: Span = field(compare=False, repr=False)


# ---------------------------------------------------------------- expressions
@dataclass(frozen=True, slots=True)
class Name(Syntax):
    id: str  # may end in primes


@dataclass(frozen=True, slots=True)
class Number(Syntax):
    """A literal; `text` is kept as written (`10_000`, `1e-4`), `value` is an int when the text is one."""

    text: str = field(compare=False)
    value: int | float


@dataclass(frozen=True, slots=True)
class String(Syntax):
    value: str


@dataclass(frozen=True, slots=True)
class Constant(Syntax):
    """`true`, `false`, `inf`, `none`."""

    value: Literal["true", "false", "inf", "none"]


@dataclass(frozen=True, slots=True)
class Unary(Syntax):
    op: Literal["-", "not"]
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Syntax):
    """`op` is one of `+ - * / // % @ ^ and or < <= > >= == !=`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Choice(Syntax):
    """`then if test else other`, decided at compile time."""

    then: Expr
    test: Expr
    other: Expr


@dataclass(frozen=True, slots=True)
class Pipe(Syntax):
    """`value -> function`; `function` may itself be a `Call`, whose arguments then follow the value."""

    value: Expr
    function: Expr


@dataclass(frozen=True, slots=True)
class Call(Syntax):
    """`function(args)`: tensors."""

    function: Expr
    args: tuple[Arg, ...]


@dataclass(frozen=True, slots=True)
class Index(Syntax):
    """`base[args]`: statics of a function, block or dataset, or an index into a tensor."""

    base: Expr
    args: tuple[Arg, ...]


@dataclass(frozen=True, slots=True)
class Attribute(Syntax):
    base: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Tuple(Syntax):
    """`(a, b)` or `(name = a, ...)`."""

    items: tuple[Arg, ...]


@dataclass(frozen=True, slots=True)
class List(Syntax):
    """`[a, b]`."""

    items: tuple[Arg, ...]


# ---------------------------------------------------------------- arguments
@dataclass(frozen=True, slots=True)
class Keyword(Syntax):
    """`name = value`; in an index, `axis = value`."""

    name: str
    value: Expr | Range | Rest


@dataclass(frozen=True, slots=True)
class Range(Syntax):
    """`low..high`, either end may be missing."""

    low: Expr | None
    high: Expr | None


@dataclass(frozen=True, slots=True)
class Relabel(Syntax):
    """`old as new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Rest(Syntax):
    """`...S` (or a bare `...`, name empty)."""

    name: str


@dataclass(frozen=True, slots=True)
class RestSized(Syntax):
    """`...S = size`."""

    name: str
    size: Expr


Expr = Name | Number | String | Constant | Unary | Binary | Choice | Pipe | Call | Index | Attribute | Tuple | List
Arg = Expr | Keyword | Range | Relabel | Rest | RestSized


# ---------------------------------------------------------------- types
@dataclass(frozen=True, slots=True)
class Axis(Syntax):
    """One axis of a type. `label` alone (`C`), `label = size`, a rest `...S`, or a rest with sizes `...S = size`.

    A bare axis written as an expression that is no name (`[3]`, `[N + 1]`) has an empty label and its `size`:
    the checker answers it with an error that asks for a name.
    """

    label: str
    size: Expr | None = None
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Type(Syntax):
    dtype: str  # "" for the program's float
    axes: tuple[Axis, ...]


# ---------------------------------------------------------------- statements
@dataclass(frozen=True, slots=True)
class Assign(Syntax):
    """`a, b: type = value`; `value` may be a `Scan` or a `Tuple`."""

    targets: tuple[Name, ...]
    type: Type | None
    value: Expr | Scan


@dataclass(frozen=True, slots=True)
class Param(Syntax):
    names: tuple[Name, ...]
    type: Type
    init: Expr


@dataclass(frozen=True, slots=True)
class State(Syntax):
    names: tuple[Name, ...]
    type: Type
    init: Expr


@dataclass(frozen=True, slots=True)
class Update(Syntax):
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Repeat(Syntax):
    count: Expr
    var: Name | None
    tied: bool
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class If(Syntax):
    test: Expr
    then: tuple[Stmt, ...]
    other: tuple[Stmt, ...] | None  # an `else if` is one `If` in the tuple


@dataclass(frozen=True, slots=True)
class When(Syntax):
    mode: Literal["train", "infer"]
    then: tuple[Stmt, ...]
    other: tuple[Stmt, ...] | None


@dataclass(frozen=True, slots=True)
class Emitted(Syntax):
    value: Expr
    last: bool


@dataclass(frozen=True, slots=True)
class Emit(Syntax):
    items: tuple[Emitted, ...]


@dataclass(frozen=True, slots=True)
class Return(Syntax):
    value: Expr | Scan


@dataclass(frozen=True, slots=True)
class Scan(Syntax):
    """`scan var over axis [= length] [reverse] [truncate k] from a = x, ... { body }`."""

    var: Name
    axis: Name
    length: Expr | None
    reverse: bool
    truncate: Expr | None
    carries: tuple[Bind, ...]
    body: tuple[Stmt, ...]


Stmt = Assign | Param | State | Update | Repeat | If | When | Emit | Return


# ---------------------------------------------------------------- items
@dataclass(frozen=True, slots=True)
class Bind(Syntax):
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Static(Syntax):
    """A static parameter `N: kind = default`; `rest` for `...R`."""

    name: str
    kind: str  # "" when not written
    default: Expr | None
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Parameter(Syntax):
    """A tensor parameter `x: [B, D] = default`."""

    name: str
    type: Type | None
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Result(Syntax):
    name: str  # "" when not named
    type: Type


@dataclass(frozen=True, slots=True)
class Annotation(Syntax):
    name: str
    args: tuple[Arg, ...]


@dataclass(frozen=True, slots=True)
class Adjoint(Syntax):
    """`grad (dy) { body }` after a `fn`."""

    params: tuple[Parameter, ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Definition(Syntax):
    """A `fn`, `block` or `model`. `name_span` is the place of the name alone."""

    kind: Literal["fn", "block", "model"]
    name: str
    statics: tuple[Static, ...]
    params: tuple[Parameter, ...]
    results: tuple[Result, ...]  # empty when not written
    requires: tuple[Expr, ...]
    body: tuple[Stmt, ...]
    adjoint: Adjoint | None
    annotations: tuple[Annotation, ...]
    name_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Use(Syntax):
    """`use "file.zh" as name` (`path` set) or `use std.x` (`names` set)."""

    path: str | None
    names: tuple[str, ...]
    alias: str | None


@dataclass(frozen=True, slots=True)
class Const(Syntax):
    binds: tuple[Bind, ...]


@dataclass(frozen=True, slots=True)
class Dataset(Syntax):
    name: str
    statics: tuple[Static, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Entry(Syntax):
    """`key = value` or `key.field = value` of a recipe."""

    key: tuple[str, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class Train(Syntax):
    model: Name
    alias: Name | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Check(Syntax):
    claim: Expr


Item = Use | Const | Definition | Dataset | Train | Check


@dataclass(frozen=True, slots=True)
class Comment(Syntax):
    text: str  # with its `#`


@dataclass(frozen=True, slots=True)
class Module(Syntax):
    """A whole file. `comments` in order of place, for the formatter."""

    source: Source = field(compare=False, repr=False)
    items: tuple[Item, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False)
