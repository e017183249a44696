"""Syntax errors: each mistake has its code, its place, and a help line that says what to write."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang.layout import WORDS
from zhdsl.lang.parser import parse
from zhdsl.source import Source

TEXT = (Path(__file__).parent / "texts" / "constructs.zh").read_text(encoding="utf-8")


def errors(text: str) -> tuple[Diagnostic, ...]:
    try:
        parse(Source("t.zh", text))
    except SpecError as error:
        return error.diagnostics
    return ()


def only(text: str) -> Diagnostic:
    found = errors(text)
    assert len(found) == 1, found
    return found[0]


def in_body(line: str) -> Diagnostic:
    """The error of a line in a body; the line begins at t.zh:2:1."""
    return only(f"fn f(x: [B], y: [B]) -> [B] {{\n{line}\n}}\n")


@pytest.mark.parametrize(
    ("line", "code", "marked", "help"),
    [
        ("over = 3", "Z0102", "over", "over_"),
        ("y = x + state", "Z0102", "state", "state_"),
        ("y = x -> relu + z", "Z0108", "+", "`(x -> relu) + …`"),
        ("y = x + 1 -> relu and z", "Z0108", "and", "`(x + 1 -> relu) and …`"),
        ("y = f(x -> relu * z)", "Z0108", "*", "`(x -> relu) * …`"),
        ("y = 0 < x < 1", "Z0109", "< x <", "`… < x and x < …`"),
        ("y = a == b + 1 == c", "Z0109", "== b + 1 ==", "`… == b + 1 and b + 1 == …`"),
        ("y = x; z = 3", "Z0110", ";", "end the line"),
        ("if n = 3 { y = x }", "Z0111", "=", "`n == …`"),
        ("y = a if n.m = 3 else b", "Z0111", "=", "`n.m == …`"),
        ("y = f(a.b = 3)", "Z0111", "=", "`a.b == …`"),
        ("y = x = 3", "Z0111", "=", "`x == …`"),
        ("def g(x):", "Z0112", "def", "fn name"),
        ("for i in range(3):", "Z0112", "for", "repeat n"),
        ("y = lambda x: x", "Z0112", "lambda", "fn name"),
        ("let y = 3", "Z0112", "let", "name = value"),
        ("elif y == 2", "Z0112", "elif", "else if"),
        ("yield x", "Z0112", "yield", "emit"),
        ("weight W = 3", "Z0112", "weight", "param W"),
        ("y = f(a b)", "Z0113", "b", "`a, b`"),
        ("y = [1 2]", "Z0113", "2", "`1, 2`"),
        ("y = f[n = 2 m = 3]", "Z0113", "m", "`2, m`"),
        ("y = x z", "Z0113", "z", "after `x`"),
        ("y = x +\n z", "Z0114", "+", "( )"),
        ("y = x\n * z", "Z0114", "*", "( )"),
        ("y =\n z", "Z0114", "=", "same line"),
        ("return x,", "Z0114", ",", "same line"),
        ("y = !x", "Z0115", "!", "`not`"),
        ("y = x && z", "Z0115", "&&", "`and`"),
        ("y = x || z", "Z0115", "||", "`or`"),
        ("y = x ** 2", "Z0115", "**", "`^`"),
        ("x += 1", "Z0115", "+=", "`x = x + …`"),
        ("y := x", "Z0115", ":=", "`=`"),
        ("y <- x", "Z0115", "<-", "`=`"),
        ("y = x => f", "Z0115", "=>", "`->`"),
        ("y = x |> f", "Z0115", "|>", "`->`"),
        ("y = x ? 1 : 2", "Z0115", "?", "where"),
        ("y = x === z", "Z0115", "===", "`==`"),
        ("// a comment", "Z0115", "//", "`#`"),
        ("y = x /* a */", "Z0115", "/*", "`#`"),
        ("y = 'abc'", "Z0106", "'abc'", '`"abc"`'),
        ("y = 'abc", "Z0106", "'", '`"`'),
        ('y = "abc', "Z0105", '"abc', '`"`'),
        ("y = x × 2", "Z0107", "×", "`*`"),
        ("y = “a”", "Z0107", "“", '`"`'),
        ("y = λ", "Z0107", "λ", "letters"),
        ("y = $x", "Z0107", "$", "the name alone"),
        ("y = x\u00a0+ 1", "Z0107", "\u00a0", "plain space"),
        ("y = 1. + x", "Z0117", "1.", "`1.0`"),
        ("y = 1.e5", "Z0117", "1.e5", "after `.`"),
        ("y = .5", "Z0117", ".5", "`0.5`"),
        ("y = 2x", "Z0117", "2x", "`2 * x`"),
        ("y = 0x1F", "Z0117", "0x1F", "decimal"),
        ("y = 1__0", "Z0117", "1__0", "1 * __0"),
        ("const n = 3", "Z0118", "const", "name = value"),
        ("fn g() { }", "Z0118", "fn", "out of the braces"),
        ("@checkpoint", "Z0118", "@", "out of the braces"),
        ("y = f(scan t over T { emit t })", "Z0119", "scan", "`y = scan …`"),
        ("y = if c then d else e", "Z0119", "if", "`a if c else b`"),
        ("y = x + (repeat 3 { })", "Z0119", "repeat", "line of its own"),
        ("if x:\n y = 3", "Z0120", ":", "`{`"),
        ("if x", "Z0120", "", "`{`"),
        ("if x\n{ y = 3 }", "Z0120", "", "end of the line before"),
        ("relu(x)", "Z0123", "(", "name = …"),
        ("x -> relu", "Z0123", "->", "name = …"),
        ("(x)", "Z0123", "(", "name = …"),
        ('"text"', "Z0123", '"text"', "name = …"),
        ("param W = zeros", "Z0124", "=", "`param W: [D, N] = …`"),
        ("state a, b = zeros", "Z0124", "=", "`state a, b: [D, N] = …`"),
        ("param W: f32 = zeros", "Z0125", "f32", "`f32[]`"),
        ("y = x\n else { y = z }", "Z0126", "else", "if c"),
        ("return", "Z0101", "", "a value"),
        ("return x if z", "Z0101", "", "`else`"),
        ("y = x.3", "Z0100", "3", "a name"),
        ("y = {1}", "Z0100", "{", "a value"),
        ("scan t over T { }", "Z0123", "scan", "`y = scan …`"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_body(line: str, code: str, marked: str, help: str) -> None:
    found = in_body(f"  {line}")
    assert found.code == code
    assert found.span is not None
    assert (found.span.text, found.span.line >= 2) == (marked, True)
    assert help in found.help


@pytest.mark.parametrize(
    ("text", "code", "marked", "help"),
    [
        ("D = 512", "Z0121", "D", "`const D = …`"),
        ("modle M(x: [B]) { return x }", "Z0122", "modle", "`model`"),
        ("something else", "Z0122", "something", "an item begins with"),
        ("@checkpoint\nconst A = 1", "Z0122", "const", "remove the annotation"),
        ("return x", "Z0118", "return", "body"),
        ("param W: [D] = zeros", "Z0118", "param", "body"),
        ("import torch", "Z0112", "import", 'use "file.zh"'),
        ("from torch import nn", "Z0112", "from", 'use "file.zh"'),
        ("class Net(Module):", "Z0112", "class", "block"),
        ("def f(x):\n  return x", "Z0112", "def", "fn name"),
        ("use 'a.zh'", "Z0106", "'a.zh'", '"a.zh"'),
        ("fn f(x)", "Z0120", "", "`{`"),
        ("fn f(x)\n{\n  return x\n}", "Z0120", "", "end of the line before"),
        ("fn f(x): return x", "Z0120", ":", "`{`"),
        ("fn f(x) = x", "Z0120", "=", "`{`"),
        ("fn f(x: float) { return x }", "Z0125", "float", "`float[]`"),
        ("fn f(x) -> y { return x }", "Z0125", "y", "`y: [B, D]`"),
        ("fn f(x) -> f32 { return x }", "Z0125", "f32", "`[f32]`"),
        ("check a = 3", "Z0111", "=", "`a == …`"),
        ("const A = 1 2", "Z0113", "2", "after `1`"),
        ("const A = 1,\n  B = 2", "Z0114", ",", "same line"),
        ("dataset d[n = 1]", "Z0101", "", "`->`"),
        ("fn f(x) { return x } fn g(x) { return x }", "Z0100", "fn", "the end of the line"),
        ("train M {\n  data\n}", "Z0101", "", "`=`"),
        ("train M {\n  batch: 3\n}", "Z0100", ":", "`=`"),
        ("const A = (1, 2", "Z0103", "(", "`)`"),
        ("const A = f[1)", "Z0104", ")", "`]`"),
        ("const A = 1)", "Z0104", ")", "remove it"),
        ("fn f(x) { return x }}", "Z0104", "}", "remove it"),
    ],
)
def test_a_mistake_at_top_level(text: str, code: str, marked: str, help: str) -> None:
    found = only(text)
    assert (found.code, found.span and found.span.text) == (code, marked)
    assert help in found.help


def test_a_call_with_sizes_in_parentheses_is_left_to_the_checker() -> None:
    assert errors("block F(x: [B]) { return x -> Dense(5) }") == ()


def test_an_unclosed_bracket_says_where_it_was_missed() -> None:
    for line, bracket, place in (("y = f(x, [1, 2)", "[", "t.zh:2:17"), ("y = f(x", "(", "t.zh:4:1")):
        found = in_body(f"  {line}\n  return y")
        assert (found.code, found.span and found.span.text) == ("Z0103", bracket)
        assert [(str(span), text.endswith("is missing before this")) for span, text in found.notes] == [(place, True)]


def test_an_unclosed_brace_is_found_by_its_indentation() -> None:
    found = only("fn f(x) {\n  if a {\n    if b {\n      y = x\n  }\n  return y\n}\nconst A = 1\n")
    assert (found.code, str(found.span)) == ("Z0103", "t.zh:3:10")


def test_an_unclosed_brace_of_an_item_names_the_next_item() -> None:
    found = only("fn f(x) {\n  return x\n\nfn g(x) { return x }\n")
    assert (str(found.span), found.notes[0][0] and str(found.notes[0][0])) == ("t.zh:1:9", "t.zh:4:1")


def test_a_word_from_the_text_is_shortened_in_the_message() -> None:
    found = in_body(f"  y = f(a {'b' * 5000})")
    assert len(found.message + found.help) < 200


@pytest.mark.parametrize("word", sorted(WORDS))
def test_no_word_of_the_language_breaks_the_explanation(word: str) -> None:
    for text in (f"{word}", f"fn f(x) {{\n  {word}\n}}", f"const A = {word} {word}", f"train M {{ {word} }}"):
        assert all(error.help and error.span for error in errors(text))


# ---------------------------------------------------------------- anything at all
PARTS = re.findall(r"\s+|\w+'*|[^\w\s]", TEXT)
ODD = [*"\"'`;!&|?\\$~λ×\x00\r\t\u200b\ud800\ufeff", "\n", "->", "..", "...", "==", *"{}()[]"]


@given(st.text())
def test_any_text_parses_or_is_explained(text: str) -> None:
    assert all(error.help and error.code for error in errors(text))


@given(st.lists(st.sampled_from(PARTS + ODD), max_size=60).map("".join))
def test_any_mixture_of_words_parses_or_is_explained(text: str) -> None:
    for error in errors(text):
        assert error.help and error.span and str(error)


@given(st.randoms(use_true_random=False))
def test_any_slip_in_a_good_text_is_explained_near_it(rnd: random.Random) -> None:
    place = rnd.randrange(len(TEXT))
    text = TEXT[:place] + rnd.choice(PARTS + ODD) + TEXT[place + rnd.randrange(4) :]
    for error in errors(text):
        assert error.help and error.span and str(error)
