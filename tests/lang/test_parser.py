"""The parser: every construct becomes its record, with the right span; keywords; several errors in one run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from lark import Token

from zhdsl.errors import SpecError
from zhdsl.lang import ast, tables
from zhdsl.lang.build import Builder, building
from zhdsl.lang.lalr import Machine, Tables
from zhdsl.lang.layout import WORDS, arrange
from zhdsl.lang.parser import _tokens, lark, parse, read
from zhdsl.source import Source

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TEXTS = sorted([*(HERE / "texts").glob("*.zh"), *(ROOT / "specs").rglob("*.zh"), *(ROOT / "zhdsl").rglob("*.zh")])


def module(text: str) -> ast.Module:
    return parse(Source("t.zh", text))


def item(text: str) -> Any:
    (only,) = module(text).items
    return only


def statement(text: str) -> Any:
    (only,) = item(f"block F(x: [B]) {{\n{text}\n}}").body
    return only


def expression(text: str) -> Any:
    return item(f"check {text}").claim


def codes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        module(text)
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


def records(node: Any) -> Iterator[ast.Syntax]:
    """A record and all in it."""
    if isinstance(node, ast.Syntax):
        yield node
        for part in fields(node):
            yield from records(getattr(node, part.name))
    elif isinstance(node, tuple):
        for part in node:
            yield from records(part)


# ---------------------------------------------------------------- whole files
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_text_of_the_project_parses(path: Path) -> None:
    assert parse(read(path)).items


def test_the_text_of_all_constructs_makes_every_record_there_is() -> None:
    made = {type(node) for node in records(parse(read(HERE / "texts" / "constructs.zh")))}
    every = {kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.Syntax)}
    assert every - made == {ast.Syntax, ast.RestSized}  # `...S = n` as an argument has its own test


def test_an_empty_text_is_an_empty_module() -> None:
    assert module("").items == module("\n\n  \n").items == ()


def test_a_text_without_a_line_end_at_its_end_parses() -> None:
    assert module("const A = 1  # c").items == module("const A = 1\n").items


def test_windows_line_ends_change_nothing_but_the_places() -> None:
    text = "fn f(x: [B]) {\n  return x # c\n      -> g\n}\n"
    assert module(text.replace("\n", "\r\n")).items == module(text).items
    assert [c.text for c in module(text.replace("\n", "\r\n")).comments] == ["# c"]


def test_comments_are_kept_in_order_with_their_places() -> None:
    found = module("# one\nconst A = (1, # two\n  2) # three\n").comments
    assert [comment.text for comment in found] == ["# one", "# two", "# three"]
    assert [str(comment.span) for comment in found] == ["t.zh:1:1", "t.zh:2:15", "t.zh:3:6"]


def test_threads_may_parse_at_the_same_time() -> None:
    texts = [f"fn f{i}(x: [B]) {{ return x + {i} }}\n" * 20 for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for text, made in zip(texts, pool.map(module, texts), strict=True):
            assert made.items == module(text).items
            assert all(node.span.source is made.source for node in records(made))


# ---------------------------------------------------------------- spans
def test_the_span_of_a_record_is_its_text() -> None:
    made = statement("y, z: i32[B, T=4] = f[n = 2](a + b * c, (d -> e)[T=0..1]) if g else h.k")
    found = {node.span.text for node in records(made)}
    assert {"f[n = 2](a + b * c, (d -> e)[T=0..1])", "i32[B, T=4]", "T=4", "n = 2", "a + b * c", "b * c"} <= found
    assert {"(d -> e)", "(d -> e)[T=0..1]", "T=0..1", "0..1", "h.k", "y", "z"} <= found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_part_lies_inside_the_whole(path: Path) -> None:
    for whole in records(parse(read(path))):
        for part in fields(whole):
            for inner in records(getattr(whole, part.name)):
                assert whole.span.start <= inner.span.start < inner.span.end <= whole.span.end


def test_the_span_of_a_definition_begins_at_its_annotation_and_knows_the_name() -> None:
    made = item("@checkpoint\n@precision[f16]\nblock Big(x: [B]) { return x }\n")
    assert str(made.span) == "t.zh:1:1"
    assert made.span.text.endswith("return x }")
    assert (made.name_span.text, str(made.name_span)) == ("Big", "t.zh:3:7")
    assert [note.span.text for note in made.annotations] == ["@checkpoint", "@precision[f16]"]


# ---------------------------------------------------------------- expressions
@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a + b -> f", "(a + b) -> f"),
        ("a -> f -> g", "(a -> f) -> g"),
        ("a -> f if c else d -> g", "(a -> f) if c else (d -> g)"),
        ("a if b else c if d else e", "a if b else (c if d else e)"),
        ("a or b and not c == d", "a or (b and (not (c == d)))"),
        ("a - b - c * d / e", "(a - b) - ((c * d) / e)"),
        ("a @ b * c", "(a @ b) * c"),
        ("-a ^ b", "-(a ^ b)"),
        ("a ^ b ^ -c", "a ^ (b ^ (-c))"),
        ("-a * b", "(-a) * b"),
        ("a // b % c", "(a // b) % c"),
        ("not not a", "not (not a)"),
        ("f[a](b).c[d]", "((((f[a])(b)).c)[d])"),
    ],
)
def test_operators_bind_as_the_reference_says(text: str, same: str) -> None:
    assert expression(text) == expression(same)


def test_parentheses_that_matter_make_another_tree() -> None:
    assert expression("(a + b) * c") != expression("a + b * c")
    assert expression("(a ^ b) ^ c") != expression("a ^ b ^ c")
    assert expression("(a -> f) + b").op == "+"


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("10_000", 10_000), ("1.5", 1.5), ("1e-4", 1e-4), ("2E3", 2000.0), ("1_0.2_5", 10.25), ("007", 7)],
)
def test_numbers(text: str, value: float) -> None:
    made = expression(text)
    assert (made.value, type(made.value), made.text) == (value, type(value), text)


def test_constants_and_strings() -> None:
    words = ("true", "false", "inf", "none")
    assert expression("[true, false, inf, none]").items == tuple(map(expression, words))
    assert expression('"a # b"').value == "a # b"
    assert expression("inf").value == "inf"


def test_tuples() -> None:
    assert [len(expression(text).items) for text in ("(a,)", "(a, b)", "(a, b,)", "(n = a)", "(n = a, m = b)")] == [
        1, 2, 2, 1, 2,
    ]  # fmt: skip
    assert isinstance(expression("(n = a)").items[0], ast.Keyword)
    assert isinstance(expression("(a)"), ast.Name)


def test_arguments() -> None:
    found = expression("f[a, n = 2, T=0..4, 1.., ..n, D as U, S'' as T, ...S, ..., F = ...R', ...S = K]").args
    kinds = ["Name", "Keyword", "Keyword", "Range", "Range", "Relabel", "Relabel", "Rest", "Rest", "Keyword"]
    assert [type(arg).__name__ for arg in found] == [*kinds, "RestSized"]
    assert found[2].value.high.value == 4
    assert (found[3].high, found[4].low) == (None, None)
    assert (found[6].old, found[6].new) == ("S''", "T")
    assert (found[8].name, found[9].value.name, found[10].name) == ("", "R'", "S")


def test_empty_arguments() -> None:
    assert expression("cifar10[]").args == expression("f()").args == ()


# ---------------------------------------------------------------- keywords
@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_keyword_may_be_an_attribute_or_name_an_argument(word: str) -> None:
    assert expression(f"x.{word}").name == word
    assert expression(f"f[{word} = 1, a, {word} = 2]({word} = 3)").args[0].name == word
    assert expression(f"({word} = 1, b = 2)").items[0].name == word


@pytest.mark.parametrize("word", sorted(WORDS - {"true", "false", "inf", "none"}))
def test_a_keyword_cannot_be_a_new_name(word: str) -> None:
    text = f"fn f[{word} = 1](x: [B]) {{ return x }}"
    assert codes(text) == ["Z0102"]
    assert codes(f"fn f({word} = 1) {{ return 1 }}") == ["Z0102"]
    assert codes(f"fn f(x: [{word} = 1]) {{ return x }}") == ["Z0102"]
    assert codes(f"fn {word}(x: [B]) {{ return x }}") == ["Z0102"]


def test_a_static_may_be_of_a_kind_that_is_a_keyword() -> None:
    assert [static.kind for static in item("fn f[a: fn, b: block, c]() { return 1 }").statics] == ["fn", "block", ""]


def test_every_word_of_the_grammar_is_known_to_the_layout() -> None:
    assert {t.pattern.value for t in lark().terminals if t.pattern.type == "str" and t.name.isalpha()} >= WORDS
    plain = {t.pattern.value for t in lark().terminals if t.pattern.type == "str" and t.pattern.value.isalpha()}
    assert plain == WORDS


# ---------------------------------------------------------------- statements and items
def test_assignments() -> None:
    assert statement("x = 1").type is None
    made = statement("a, b: bool[B, ...S] = f(x), 2")
    assert ([name.id for name in made.targets], made.type.dtype) == (["a", "b"], "bool")
    assert [axis.rest for axis in made.type.axes] == [False, True]
    assert made.value == expression("(f(x), 2)")


def test_axes_of_a_type() -> None:
    axes = statement("x: [B, C=N+1, ...S, ...R=K*2, ..., 3, N + 1] = y").type.axes
    assert [(a.label, a.rest, a.size is None) for a in axes] == [
        ("B", False, True), ("C", False, False), ("S", True, True), ("R", True, False), ("", True, True),
        ("", False, False), ("", False, False),
    ]  # fmt: skip
    assert statement("x: [] = y").type.axes == ()


def test_a_scan_with_all_its_parts() -> None:
    made = statement("h = scan t over T=n + 1 reverse truncate 8 from a = 1, b = (2, 3) { emit t, last a }").value
    assert (made.var.id, made.axis.id, made.reverse) == ("t", "T", True)
    assert (made.length, made.truncate) == (expression("n + 1"), expression("8"))
    assert [bind.name.id for bind in made.carries] == ["a", "b"]
    assert [emitted.last for emitted in made.body[0].items] == [False, True]


def test_a_scan_with_none_of_them() -> None:
    made = statement("return scan t over T { emit t }").value
    assert (made.length, made.reverse, made.truncate, made.carries) == (None, False, None, ())


def test_if_when_and_repeat() -> None:
    made = statement("if a { x = 1 } else if b { x = 2 } else { x = 3 }")
    assert made.other[0].test == expression("b")
    assert made.other[0].other[0] == statement("x = 3")
    assert statement("if a { }").other is None
    assert (statement("when infer { }").mode, statement("when train { } else { }").other) == ("infer", ())
    made = statement("repeat n // 2 as i tied { x = 1 }")
    assert (made.count, made.var.id, made.tied) == (expression("n // 2"), "i", True)
    assert statement("repeat 2 { }").var is None


def test_a_definition_with_all_its_parts() -> None:
    made = item(
        "fn f[N: int, k = (1, 2), ...R, ...Q: axes,](x: i32[B] = 1, y, z = 2,)\n  -> (a: [B], [])\n"
        "  require N > 0, N % 2 == 0\n  require k {\n return x, y\n}\ngrad (da: [B], db) { return da }"
    )
    assert [(s.name, s.kind, s.rest) for s in made.statics] == [
        ("N", "int", False), ("k", "", False), ("R", "", True), ("Q", "axes", True),
    ]  # fmt: skip
    assert [(p.name, p.type is None, p.default is None) for p in made.params] == [
        ("x", False, False), ("y", True, True), ("z", True, False),
    ]  # fmt: skip
    assert [(r.name, len(r.type.axes)) for r in made.results] == [("a", 1), ("", 0)]
    assert made.requires == tuple(map(expression, ("N > 0", "N % 2 == 0", "k")))
    assert [p.name for p in made.adjoint.params] == ["da", "db"]


def test_a_definition_with_none_of_them() -> None:
    made = item("fn f() {}")
    assert made.statics == made.params == made.results == made.requires == made.body == ()
    assert made.adjoint is None


def test_imports() -> None:
    found: Any = module('use "a/b.zh"\nuse "c.zh" as c\nuse std.a.train\nuse std as s\n').items
    assert [(use.path, use.names, use.alias) for use in found] == [
        ("a/b.zh", (), None), ("c.zh", (), "c"), (None, ("std", "a", "train"), None), (None, ("std",), "s"),
    ]  # fmt: skip


def test_recipes_and_datasets() -> None:
    made = item("train M as q {\n  prepare.image = x -> f\n  batch = all\n}")
    assert (made.model.id, made.alias.id, [entry.key for entry in made.entries]) == (
        "M", "q", [("prepare", "image"), ("batch",)],
    )  # fmt: skip
    assert item("train M { }").entries == ()
    made = item("dataset d[n = 1] -> (x: [B], y: i32[B])")
    assert (made.statics[0].name, [r.name for r in made.results]) == ("n", ["x", "y"])
    assert item("dataset d\n  -> x: [B]").results[0].name == "x"


# ---------------------------------------------------------------- lines
@pytest.mark.parametrize(
    "text",
    [
        "  y = a\n    -> f\n\n    # between\n    -> g",
        "  y = f(\n    a,\n    # inside\n    b)[\n  0]",
        "  y = a if b\n  else c",
        "  if a { y = 1 }\n  else { y = 2 }",
    ],
)
def test_a_line_goes_on_inside_brackets_and_before_some_words(text: str) -> None:
    assert statement(text) == statement(" ".join(line.partition("#")[0] for line in text.split("\n")))


def test_lines_end_statements_elsewhere() -> None:
    assert codes("fn f(a, b) {\n  y = a\n  + b\n}") == ["Z0114"]
    assert codes("fn f(a, b) {\n  y = a +\n  b\n}") == ["Z0114"]


# ---------------------------------------------------------------- several errors
def test_independent_errors_of_several_items_come_in_one_run() -> None:
    text = "const A = 1 2\n\nfn f(x: [B]) {\n  over = 2\n  y = = 3\n}\n\nconst B = 3\nfn g(x) { return x;}\n"
    with pytest.raises(SpecError) as caught:
        module(text)
    assert [(d.code, str(d.span)) for d in caught.value.diagnostics] == [
        ("Z0113", "t.zh:1:13"), ("Z0102", "t.zh:4:3"), ("Z0110", "t.zh:9:19"),
    ]  # fmt: skip


def test_an_unclosed_bracket_does_not_swallow_the_next_item() -> None:
    assert codes("fn f(x: [B) {\n  return x\n}\nconst A = (1\nfn g(x) { return x + }\n") == ["Z0103", "Z0103", "Z0100"]


def test_an_unfinished_item_does_not_spoil_the_next() -> None:
    assert codes("const A =\nconst B = 2\ndataset d[n = 1]\nfn f(x) { return x }\n") == ["Z0114", "Z0101"]


def test_many_errors_are_cut() -> None:
    assert len(codes("const A = 1 2\n" * 100)) == 20


# ---------------------------------------------------------------- tables
def test_the_stored_tables_belong_to_the_grammar() -> None:
    assert tables.TABLES.read_text(encoding="utf-8") == tables.dump(), "run `python -m zhdsl.lang.tables`"


def test_stale_or_missing_tables_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stale = tmp_path / "tables.json"
    stale.write_text(json.dumps(json.loads(tables.TABLES.read_text()) | {"stamp": "old"}))
    for path in (stale, tmp_path / "missing.json", tmp_path):
        monkeypatch.setattr(tables, "TABLES", path)
        assert tables._stored() is None
    fresh, text = Machine(Tables(tables.load(Builder()))), (HERE / "texts" / "constructs.zh").read_text()
    with building(Source("t.zh", text)):
        for token in arrange(_tokens(Source("t.zh", text))):
            fresh.feed(token)
        assert fresh.feed(Token("$END", "")) == module(text).items


def test_damaged_tables_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = tmp_path / "tables.json"
    monkeypatch.setattr(tables, "TABLES", bad)
    for text in ("", "[]", "3", '{"stamp": 1}', json.dumps({"stamp": tables.stamp(), "data": {}, "memo": {}})):
        bad.write_text(text)
        assert tables._stored() is None
    assert tables.load(Builder()).rules
