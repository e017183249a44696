"""Reductions to records: one method for each rule of `grammar.lark`, called by Lark while it parses.

No tree in between and no recursion, so the nesting of the text costs no stack. A method gets what stands on the
parser's stack for its rule: tokens, records of `ast`, `Group`s, and None for an optional part that is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeVar

from lark import Token

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import ast, limits
from zhdsl.lang.layout import WORDS
from zhdsl.source import Source, Span

Children = list[Any]
S = TypeVar("S", bound=ast.Syntax)


@dataclass(frozen=True, slots=True)
class Group:
    """Several records of one rule that is no record itself: arguments, a body, a signature's parts."""

    rule: str
    items: tuple[Any, ...]
    span: Span
    depth: int


@dataclass(frozen=True)
class _Parse:
    """What the methods need to know of the text that is being parsed."""

    source: Source
    depths: dict[int, int] = field(default_factory=dict)  # id of a record -> levels of records in it


_parse: ContextVar[_Parse] = ContextVar("parse")


@contextmanager
def building(source: Source) -> Iterator[None]:
    """Records made inside get their spans in `source`."""
    token = _parse.set(_Parse(source))
    try:
        yield
    finally:
        _parse.reset(token)


def _span(children: Children) -> Span:
    parts = [child for child in children if child is not None]
    first, last = parts[0], parts[-1]
    start = first.start_pos if isinstance(first, Token) else first.span.start
    end = last.end_pos if isinstance(last, Token) else last.span.end
    return Span(_parse.get().source, start or 0, end or 0)


def _depth(child: Any) -> int:
    if isinstance(child, Group):
        return child.depth
    return _parse.get().depths[id(child)] if isinstance(child, ast.Syntax) else 0


def _make(record: type[S], children: Children, **fields: Any) -> S:
    """A record whose span covers its children. Raises `SpecError` when it is nested too deep."""
    made = record(span=_span(children), **fields)
    depth = 1 + max(map(_depth, children))
    if depth > limits.DEPTH:
        message = f"nested more than {limits.DEPTH} levels deep"
        help = "give a part of it a name on a line of its own"
        raise SpecError(Diagnostic("Z0013", message, _last_line(made.span), help=help))
    _parse.get().depths[id(made)] = depth
    return made


def _last_line(span: Span) -> Span:
    """The part of a span on its last line."""
    start = span.source.text.rfind("\n", span.start, span.end) + 1
    return replace(span, start=max(start, span.start))


def _group(rule: str, children: Children, items: Children | None = None) -> Group:
    chosen = items if items is not None else _records(children)
    return Group(rule, tuple(chosen), _span(children), max(map(_depth, children)))


def _records(children: Children) -> Children:
    return [child for child in children if isinstance(child, ast.Syntax)]


def _only(children: Children) -> Any:
    """The single record among tokens."""
    (record,) = _records(children)
    return record


def _after(children: Children, *types: str) -> Any:
    """The child that follows a token of one of these types, or None."""
    for child, follower in pairwise(children):
        if isinstance(child, Token) and child.type in types:
            return follower
    return None


def _tokens(children: Children, type: str = "NAME") -> list[Token]:
    return [child for child in children if isinstance(child, Token) and child.type == type]


def _has(children: Children, type: str) -> bool:
    return bool(_tokens(children, type))


def _groups(children: Children) -> dict[str, Group]:
    return {child.rule: child for child in children if isinstance(child, Group)}


def _items(children: Children) -> tuple[Any, ...]:
    """The items of the only group, empty when it is not there."""
    return next((child.items for child in children if isinstance(child, Group)), ())


def _name(token: Token | None) -> ast.Name | None:
    return None if token is None else _make(ast.Name, [token], id=str(token))


def _new(token: Token) -> str:
    """A name that the text introduces: no keyword, though one may be read after `.` and before `=`."""
    if token.value in WORDS:
        raise SpecError(reserved(_parse.get().source, token))
    return str(token)


def reserved(source: Source, token: Token) -> Diagnostic:
    """The error for a word of the language in the place of a name."""
    word = token.value
    message = f"`{word}` is a word of the language and cannot be a name"
    span = Span(source, token.start_pos or 0, token.end_pos or 0)
    return Diagnostic("Z0102", message, span, help=f"choose another name, for example `{word}_`")


class Builder:
    """The methods that Lark calls, by the name of the rule or its alias."""

    # ------------------------------------------------------------ expressions
    def name(self, c: Children) -> ast.Name:
        return _make(ast.Name, c, id=str(c[0]))

    def number(self, c: Children) -> ast.Number:
        text = str(c[0])
        plain = text.replace("_", "")
        value = int(plain) if plain.isdigit() else float(plain)
        lost = value == 0 and any(digit in "123456789" for digit in plain.lower().partition("e")[0])
        if (isinstance(value, int) and value >= 2**63) or math.isinf(value) or lost:
            help = "integers go to 2^63 - 1, other numbers from 5e-324 to 1.8e308"
            raise SpecError(Diagnostic("Z0015", f"{text} is out of range", _span(c), help=help))
        return _make(ast.Number, c, text=text, value=value)

    def string(self, c: Children) -> ast.String:
        return _make(ast.String, c, value=str(c[0])[1:-1])

    def constant(self, c: Children) -> ast.Constant:
        return _make(ast.Constant, c, value=str(c[0]))

    def unary(self, c: Children) -> ast.Unary:
        return _make(ast.Unary, c, op=str(c[0]), operand=c[1])

    def binary(self, c: Children) -> ast.Binary:
        return _make(ast.Binary, c, op=str(c[1]), left=c[0], right=c[2])

    def choice(self, c: Children) -> ast.Choice:
        return _make(ast.Choice, c, then=c[0], test=c[2], other=c[4])

    def pipe(self, c: Children) -> ast.Pipe:
        return _make(ast.Pipe, c, value=c[0], function=c[2])

    def call(self, c: Children) -> ast.Call:
        return _make(ast.Call, c, function=c[0], args=_items(c[1:]))

    def index(self, c: Children) -> ast.Index:
        return _make(ast.Index, c, base=c[0], args=_items(c[1:]))

    def attribute(self, c: Children) -> ast.Attribute:
        if isinstance(c[0], ast.Number):
            message = f"`{c[0].text}.` is no number"
            raise SpecError(Diagnostic("Z0117", message, _span(c), help="write digits after `.`"))
        return _make(ast.Attribute, c, base=c[0], name=str(c[2]))

    def group(self, c: Children) -> ast.Syntax:
        made: ast.Syntax = replace(c[1], span=_span(c))
        _parse.get().depths[id(made)] = _depth(c[1])
        return made

    def named_tuple(self, c: Children) -> ast.Tuple:
        return _make(ast.Tuple, c, items=(self.keyword(c[1:4]),))

    def tuple_(self, c: Children) -> ast.Tuple:
        return _make(ast.Tuple, c, items=(c[1], *_items(c)))

    def bare_tuple(self, c: Children) -> ast.Tuple:
        return _make(ast.Tuple, c, items=tuple(_records(c)))

    def list_(self, c: Children) -> ast.List:
        return _make(ast.List, c, items=_items(c))

    # ------------------------------------------------------------ arguments
    def args(self, c: Children) -> Group:
        return _group("args", c)

    def keyword(self, c: Children) -> ast.Keyword:
        return _make(ast.Keyword, c, name=str(c[0]), value=c[2])

    def relabel(self, c: Children) -> ast.Relabel:
        return _make(ast.Relabel, c, old=str(c[0]), new=str(c[2]))

    def rest(self, c: Children) -> ast.Rest:
        return _make(ast.Rest, c, name=str(c[1] or ""))

    def rest_sized(self, c: Children) -> ast.RestSized:
        return _make(ast.RestSized, c, name=str(c[1]), size=c[3])

    def range_(self, c: Children) -> ast.Range:
        low = None if isinstance(c[0], Token) else c[0]
        return _make(ast.Range, c, low=low, high=_after(c, "DOTDOT"))

    # ------------------------------------------------------------ types
    def type_(self, c: Children) -> ast.Type:
        return _make(ast.Type, c, dtype=str(c[0] or ""), axes=tuple(_records(c)))

    def axis_expr(self, c: Children) -> ast.Axis:
        if isinstance(c[0], ast.Name):
            return _make(ast.Axis, c, label=c[0].id)
        return _make(ast.Axis, c, label="", size=c[0])

    def axis_sized(self, c: Children) -> ast.Axis:
        return _make(ast.Axis, c, label=_new(c[0]), size=c[2])

    def axis_rest(self, c: Children) -> ast.Axis:
        return _make(ast.Axis, c, label=str(c[1] or ""), rest=True)

    def axis_rest_sized(self, c: Children) -> ast.Axis:
        return _make(ast.Axis, c, label=str(c[1]), size=c[3], rest=True)

    # ------------------------------------------------------------ statements
    def body(self, c: Children) -> Group:
        return _group("body", c)

    def targets(self, c: Children) -> Group:
        names = [_name(token) for token in _tokens(c)]
        return Group("targets", tuple(names), _span(c), 1)

    def assign(self, c: Children) -> ast.Assign:
        type = c[2] if isinstance(c[2], ast.Type) else None
        return _make(ast.Assign, c, targets=c[0].items, type=type, value=c[-1])

    def weight(self, c: Children) -> ast.Param:
        return _make(ast.Param, c, names=c[1].items, type=c[3], init=c[5])

    def state(self, c: Children) -> ast.State:
        return _make(ast.State, c, names=c[1].items, type=c[3], init=c[5])

    def update(self, c: Children) -> ast.Update:
        return _make(ast.Update, c, name=_name(c[1]), value=c[3])

    def repeat(self, c: Children) -> ast.Repeat:
        var = _name(_after(c, "AS"))
        return _make(ast.Repeat, c, count=c[1], var=var, tied=_has(c, "TIED"), body=c[-1].items)

    def static_if(self, c: Children) -> ast.If:
        other = _after(c, "ELSE")
        if other is not None:
            other = other.items if isinstance(other, Group) else (other,)
        return _make(ast.If, c, test=c[1], then=c[2].items, other=other)

    def when(self, c: Children) -> ast.When:
        other = _after(c, "ELSE")
        return _make(ast.When, c, mode=str(c[1]), then=c[2].items, other=None if other is None else other.items)

    def emit(self, c: Children) -> ast.Emit:
        return _make(ast.Emit, c, items=tuple(_records(c)))

    def emitted(self, c: Children) -> ast.Emitted:
        return _make(ast.Emitted, c, value=c[-1], last=_has(c, "LAST"))

    def return_(self, c: Children) -> ast.Return:
        return _make(ast.Return, c, value=c[1])

    def scan(self, c: Children) -> ast.Scan:
        return _make(
            ast.Scan,
            c,
            var=_name(c[1]),
            axis=_name(c[3]),
            length=_after(c, "EQUAL"),
            reverse=_has(c, "REVERSE"),
            truncate=_after(c, "TRUNCATE"),
            carries=tuple(child for child in c if isinstance(child, ast.Bind)),
            body=c[-1].items,
        )

    # ------------------------------------------------------------ items
    def bind(self, c: Children) -> ast.Bind:
        return _make(ast.Bind, c, name=_name(c[0]), value=c[2])

    def statics(self, c: Children) -> Group:
        return _group("statics", c)

    def static(self, c: Children) -> ast.Static:
        kind = str(_after(c, "COLON") or "")
        return _make(ast.Static, c, name=_new(c[0]), kind=kind, default=_after(c, "EQUAL"))

    def static_rest(self, c: Children) -> ast.Static:
        return _make(ast.Static, c, name=str(c[1]), kind=str(_after(c, "COLON") or ""), default=None, rest=True)

    def params(self, c: Children) -> Group:
        return _group("params", c)

    def param(self, c: Children) -> ast.Parameter:
        return _make(ast.Parameter, c, name=_new(c[0]), type=_after(c, "COLON"), default=_after(c, "EQUAL"))

    def ret(self, c: Children) -> Group:
        items = c[1].items if isinstance(c[1], Group) else (c[1],)
        return Group("ret", items, _span(c), _depth(c[1]))

    def out(self, c: Children) -> ast.Result:
        return _make(ast.Result, c, name="", type=c[0])

    def out_named(self, c: Children) -> ast.Result:
        return _make(ast.Result, c, name=str(c[0]), type=c[2])

    def out_list(self, c: Children) -> Group:
        return _group("outs", c)

    def require(self, c: Children) -> Group:
        return _group("requires", c)

    def grad(self, c: Children) -> ast.Adjoint:
        return _make(ast.Adjoint, c, params=c[1].items, body=c[2].items)

    def annot(self, c: Children) -> ast.Annotation:
        shown = [child for child in c if not (isinstance(child, Token) and child.type == "_NL")]
        return _make(ast.Annotation, shown, name=str(c[1]), args=_items(c))

    def definition(self, c: Children) -> ast.Definition:
        kind = next(child for child in c if isinstance(child, Token))
        name = _after(c, kind.type)
        parts = {rule: group.items for rule, group in _groups(c).items()}
        return _make(
            ast.Definition,
            c,
            kind=str(kind),
            name=str(name),
            name_span=_span([name]),
            statics=parts.get("statics", ()),
            params=parts["params"],
            results=parts.get("ret", ()),
            requires=parts.get("requires", ()),
            body=parts["body"],
            adjoint=next((child for child in c if isinstance(child, ast.Adjoint)), None),
            annotations=tuple(child for child in c if isinstance(child, ast.Annotation)),
        )

    def dataset(self, c: Children) -> ast.Dataset:
        statics = _groups(c).get("statics")
        outs = c[-1].items if isinstance(c[-1], Group) else (c[-1],)
        return _make(ast.Dataset, c, name=str(c[1]), statics=statics.items if statics else (), results=outs)

    def use_file(self, c: Children) -> ast.Use:
        return _make(ast.Use, c, path=str(c[1])[1:-1], names=(), alias=self._alias(c))

    def use_names(self, c: Children) -> ast.Use:
        alias = self._alias(c)
        names = [str(token) for token in _tokens(c)]
        return _make(ast.Use, c, path=None, names=tuple(names[:-1] if alias else names), alias=alias)

    def _alias(self, c: Children) -> str | None:
        token = _after(c, "AS")
        return None if token is None else str(token)

    def const(self, c: Children) -> ast.Const:
        return _make(ast.Const, c, binds=tuple(_records(c)))

    def train(self, c: Children) -> ast.Train:
        entries = tuple(child for child in c if isinstance(child, ast.Entry))
        return _make(ast.Train, c, model=_name(c[1]), alias=_name(_after(c, "AS")), entries=entries)

    def entry(self, c: Children) -> ast.Entry:
        return _make(ast.Entry, c, key=tuple(str(token) for token in _tokens(c)), value=c[-1])

    def check(self, c: Children) -> ast.Check:
        return _make(ast.Check, c, claim=c[1])

    def start(self, c: Children) -> tuple[ast.Syntax, ...]:
        return tuple(_records(c))
