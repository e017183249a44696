"""Generated programs: what the formatter writes is read back as the same tree, with no parentheses too many."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zhdsl.errors import SpecError
from zhdsl.lang import ast
from zhdsl.lang.format import format
from zhdsl.lang.parser import parse
from zhdsl.lang.phrases import phrase
from zhdsl.source import Source, Span

NOWHERE = Span(Source("generated", ""), 0, 0)


def make(record: Callable[..., Any], /, **parts: Any) -> st.SearchStrategy[Any]:
    """Records of one class, from strategies for its fields."""
    return st.builds(record, span=st.just(NOWHERE), **parts)


def some(parts: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(parts, min_size=least, max_size=3).map(tuple)


def optional(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | part


IDS = st.sampled_from(["a", "x", "Dense", "T", "T'", "S''", "long_name_of_something", "B"])
WORDS = IDS | st.sampled_from(["over", "last", "state", "train"])
NAMES = make(ast.Name, id=IDS)
NUMBERS = st.sampled_from(["0", "1", "2.5", "1e-4", "10_000"]).map(
    lambda t: ast.Number(text=t, value=float(t) if "." in t or "e" in t else int(t.replace("_", "")), span=NOWHERE)
)
ATOMS = (
    NAMES
    | NUMBERS
    | make(ast.String, value=st.sampled_from(["", "a # b", "{", "“ü”"]))
    | make(ast.Constant, value=st.sampled_from(["true", "false", "inf", "none"]))
)


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Expressions made of smaller ones."""
    value = inner | make(ast.Range, low=inner, high=optional(inner)) | make(ast.Rest, name=IDS)
    keyword = make(ast.Keyword, name=WORDS, value=value)
    arg = (
        inner | keyword | make(ast.Range, low=st.none(), high=inner) | make(ast.Range, low=inner, high=optional(inner))
        | make(ast.Relabel, old=IDS, new=IDS) | make(ast.Rest, name=IDS | st.just(""))
        | make(ast.RestSized, name=IDS, size=inner)
    )  # fmt: skip
    named = inner.filter(lambda node: not isinstance(node, ast.Number))
    operators = ["+", "-", "*", "/", "//", "%", "@", "^", "and", "or", "<", "<=", ">", ">=", "==", "!="]
    return (
        make(ast.Unary, op=st.sampled_from(["-", "not"]), operand=inner)
        | make(ast.Binary, op=st.sampled_from(operators), left=inner, right=inner)
        | make(ast.Choice, then=inner, test=inner, other=inner)
        | make(ast.Pipe, value=inner, function=inner)
        | make(ast.Call, function=inner, args=some(arg))
        | make(ast.Index, base=inner, args=some(arg))
        | make(ast.Attribute, base=named, name=WORDS)
        | make(ast.Tuple, items=some(arg, 1))
        | make(ast.List, items=some(arg))
    )


EXPRESSIONS = st.recursive(ATOMS, compound, max_leaves=12)
SIZED = make(ast.Axis, label=IDS, size=EXPRESSIONS, rest=st.booleans())
UNNAMED = make(ast.Axis, label=st.just(""), size=EXPRESSIONS.filter(lambda node: not isinstance(node, ast.Name)))
UNSIZED = make(ast.Axis, label=IDS, rest=st.booleans()) | make(ast.Axis, label=st.just(""), rest=st.just(True))
AXES = SIZED | UNNAMED | UNSIZED
TYPES = make(ast.Type, dtype=st.sampled_from(["", "i32", "bool"]), axes=some(AXES))
BINDS = make(ast.Bind, name=NAMES, value=EXPRESSIONS)
TYPED: dict[str, Any] = {"names": some(NAMES, 1), "type": TYPES, "init": EXPRESSIONS}
EMITS = make(ast.Emit, items=some(make(ast.Emitted, value=EXPRESSIONS, last=st.booleans()), 1))
SIMPLE = (
    make(ast.Assign, targets=some(NAMES, 1), type=optional(TYPES), value=EXPRESSIONS)
    | make(ast.Param, **TYPED)
    | make(ast.State, **TYPED)
    | make(ast.Update, name=NAMES, value=EXPRESSIONS)
    | make(ast.Return, value=EXPRESSIONS)
    | EMITS
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Statements with bodies."""
    block = some(inner)
    scan = make(
        ast.Scan, var=NAMES, axis=NAMES, length=optional(EXPRESSIONS), reverse=st.booleans(),
        truncate=optional(EXPRESSIONS), carries=some(BINDS), body=block,
    )  # fmt: skip
    return (
        make(ast.Repeat, count=EXPRESSIONS, var=optional(NAMES), tied=st.booleans(), body=block)
        | make(ast.If, test=EXPRESSIONS, then=block, other=optional(block))
        | make(ast.When, mode=st.sampled_from(["train", "infer"]), then=block, other=optional(block))
        | make(ast.Assign, targets=some(NAMES, 1), type=optional(TYPES), value=scan)
        | make(ast.Return, value=scan)
    )


STATEMENTS = st.recursive(SIMPLE, nested, max_leaves=4)
RESULTS = make(ast.Result, name=IDS | st.just(""), type=TYPES)
STATICS = make(ast.Static, name=IDS, kind=st.sampled_from(["", "int", "fn"]), default=optional(EXPRESSIONS))
RESTS = make(ast.Static, name=IDS, kind=st.sampled_from(["", "axes"]), default=st.none(), rest=st.just(True))
PARAMETERS = make(ast.Parameter, name=IDS, type=optional(TYPES), default=optional(EXPRESSIONS))
ADJOINTS = make(ast.Adjoint, params=some(PARAMETERS), body=some(STATEMENTS))
PARTS: dict[str, Any] = {
    "name": IDS, "statics": some(STATICS | RESTS), "params": some(PARAMETERS), "results": some(RESULTS),
    "requires": some(EXPRESSIONS), "body": some(STATEMENTS), "name_span": st.just(NOWHERE),
    "annotations": some(make(ast.Annotation, name=IDS, args=some(EXPRESSIONS))),
}  # fmt: skip
ITEMS = (
    make(ast.Definition, kind=st.just("fn"), adjoint=optional(ADJOINTS), **PARTS)
    | make(ast.Definition, kind=st.sampled_from(["block", "model"]), adjoint=st.none(), **PARTS)
    | make(ast.Use, path=st.just("a b/c.zh"), names=st.just(()), alias=optional(IDS))
    | make(ast.Use, path=st.none(), names=some(IDS, 1), alias=optional(IDS))
    | make(ast.Const, binds=some(BINDS, 1))
    | make(ast.Dataset, name=IDS, statics=some(STATICS), results=some(RESULTS, 1))
    | make(
        ast.Train, model=NAMES, alias=optional(NAMES),
        entries=some(make(ast.Entry, key=some(IDS, 1), value=EXPRESSIONS)),
    )
    | make(ast.Check, claim=EXPRESSIONS)
)  # fmt: skip


@given(some(ITEMS))
def test_generated_programs_are_read_back_as_they_were(items: tuple[ast.Item, ...]) -> None:
    text = format(ast.Module(NOWHERE.source, items, span=NOWHERE))
    made = parse(Source("t.zh", text))
    assert made.items == items
    assert format(made) == text


@given(EXPRESSIONS)
def test_a_phrase_is_one_line_that_is_read_back(node: ast.Expr) -> None:
    text = phrase(node)
    assert "\n" not in text
    made: Any = parse(Source("t.zh", f"check {text}")).items[0]
    assert made.claim == node


@given(EXPRESSIONS)
def test_no_pair_of_parentheses_could_be_left_out(node: ast.Expr) -> None:
    """Taking any pair of grouping parentheses away changes the tree or makes it unreadable."""
    text = phrase(node)
    for start, end in _groups(text):
        less = text[:start] + text[start + 1 : end] + text[end + 1 :]
        if text[start - 1 : start + 2] != "-(-":  # `--a` is read as it should, but looks like something else
            assert _claim(less) != node, (text, less)


def _groups(text: str) -> list[tuple[int, int]]:
    """Places of the parentheses that only group: not those of a call, a tuple, or inside a string."""
    found, opened = [], []
    plain = re.sub(r'"[^"]*"', lambda match: "s" * len(match[0]), text)
    for place, sign in enumerate(plain):
        if sign == "(":
            opened.append(place)
        elif sign == ")":
            start = opened.pop()
            called = start and (plain[start - 1].isalnum() or plain[start - 1] in "_')]")
            if not called and start + 1 < place:
                found.append((start, place))
    return found


def _claim(text: str) -> Any:
    try:
        made: Any = parse(Source("t.zh", f"check {text}")).items
    except SpecError:
        return None
    return made[0].claim
