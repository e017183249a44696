"""The formatter: tree and comments stay, formatting twice changes nothing, the canonical form is the one shown."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhdsl.lang import ast
from zhdsl.lang.format import format
from zhdsl.lang.parser import parse, read
from zhdsl.lang.phrases import phrase
from zhdsl.source import Source, Span

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TEXTS = sorted([*(HERE / "texts").glob("*.zh"), *(ROOT / "specs").rglob("*.zh"), *(ROOT / "zhdsl").rglob("*.zh")])


def formatted(text: str) -> str:
    """The canonical text; also holds what must be true of every formatting."""
    before = parse(Source("before.zh", text))
    made = format(before)
    after = parse(Source("after.zh", made))
    assert after.items == before.items
    assert sorted(c.text for c in after.comments) == sorted(c.text for c in before.comments)
    assert format(after) == made
    assert all(line == line.rstrip() for line in made.split("\n"))
    assert "\n\n\n" not in made
    return made


def body(line: str) -> str:
    """A line of a body, formatted, without its indentation."""
    return "\n".join(row[2:] for row in formatted(f"block F(x) {{\n{line}\n}}").split("\n")[1:-2])


# ---------------------------------------------------------------- whole files
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_text_of_the_project_is_formatted_without_loss(path: Path) -> None:
    formatted(read(path).text)


def test_the_canonical_form_of_all_constructs(golden: Callable[[str, str], None]) -> None:
    golden("texts/constructs.golden", formatted((HERE / "texts" / "constructs.zh").read_text(encoding="utf-8")))


def test_an_empty_text() -> None:
    assert formatted("\n\n") == ""
    assert formatted("\n\n# only a comment \n") == "# only a comment\n"


def test_windows_line_ends_become_plain_ones() -> None:
    assert formatted("const A = 1 # c\r\n\r\n\r\nconst B = 2\r\n") == "const A = 1  # c\n\nconst B = 2\n"


# ---------------------------------------------------------------- expressions
@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("((a)+(b))", "a + b"),
        ("(a*b)+c-(d-e)", "a * b + c - (d - e)"),
        ("a-(b+c)", "a - (b + c)"),
        ("(a+b)*c", "(a + b) * c"),
        ("a/(b*c)", "a / (b * c)"),
        ("(a^b)^c", "(a^b) ^ c"),
        ("a^(b^c)", "a ^ b^c"),
        ("(x-m)^2", "(x - m) ^ 2"),
        ("(-a)^b", "(-a)^b"),
        ("-(a^b)", "-a^b"),
        ("a^(-b)", "a^-b"),
        ("-(-a)", "-(-a)"),
        ("-(a+b)", "-(a + b)"),
        ("2 ^ -0.5", "2^-0.5"),
        ("not (a and b)", "not (a and b)"),
        ("not (a == b)", "not a == b"),
        ("(not a) == b", "(not a) == b"),
        ("(a or b) and c or (d and e)", "(a or b) and c or d and e"),
        ("(a<b)==(c<d)", "(a < b) == (c < d)"),
        ("(a if b else c) if d else (e if f else g)", "(a if b else c) if d else e if f else g"),
        ("a if (b if c else d) else e", "a if (b if c else d) else e"),
        ("(a+b)->f->(g)", "a + b -> f -> g"),
        ("a + (b -> f)", "a + (b -> f)"),
        ("(a -> f) -> g", "a -> f -> g"),
        ("a -> (b -> f)", "a -> (b -> f)"),
        ("(a if b else c) -> f", "(a if b else c) -> f"),
        ("(a -> f)[T = 0](b)", "(a -> f)[T=0](b)"),
        ("(a@b).W", "(a @ b).W"),
        ("f[stride=2,T = 3,D=(H=8,E),F = ...S, W = a+b]", "f[stride = 2, T=3, D = (H=8, E), F = ...S, W = a + b]"),
        ("x[T = 0 .. n + 1, F=-1, K = ..4, D as U,...S,...,1..]", "x[T = 0..n+1, F=-1, K=..4, D as U, ...S, ..., 1..]"),
        ("(a,)", "(a,)"),
        ("(a=1)", "(a = 1)"),
        ("[ 1,2, ]", "[1, 2]"),
        ("cifar10[ ]()", "cifar10[]()"),
        ('"a  b"', '"a  b"'),
        ("10_000+1E-4", "10_000 + 1E-4"),
    ],
)
def test_an_expression(text: str, canonical: str) -> None:
    assert formatted(f"check {text}") == f"check {canonical}\n"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("y:[B,C = N+1,...S = (S-K)//2+1,H = H/stride]=x", "y: [B, C=N+1, ...S=(S-K)//2+1, H=H/stride] = x"),
        ("y: [B, T = (H/P) * (W/P), K=min(a, b)] = x", "y: [B, T=H/P*(W/P), K=min(a, b)] = x"),
        ("y: i32[] = (x)", "y: i32[] = x"),
        ("y: [3, N + 1, ...] = x", "y: [3, N+1, ...] = x"),
        ("a,b=(b,a)", "a, b = b, a"),
        ("return (a, b)", "return a, b"),
        ("return (a,)", "return (a,)"),
        ("return (n = a)", "return (n = a)"),
        ("emit (a), last  h", "emit a, last h"),
        ("update m=2*m", "update m = 2 * m"),
        ("param W,V:[D]=zeros", "param W, V: [D] = zeros"),
    ],
)
def test_a_statement(text: str, canonical: str) -> None:
    assert body(text) == canonical


# ---------------------------------------------------------------- long lines
LONG = [f"argument_number_{i}" for i in range(9)]
LISTED = [*(f"  {name}," for name in LONG[:-1]), f"  {LONG[-1]}"]


def test_a_long_pipe_breaks_before_every_arrow() -> None:
    steps = " -> ".join(LONG)
    assert body(f"y = x -> {steps}").split("\n") == ["y = x", *(f"    -> {step}" for step in LONG)]


def test_a_long_call_breaks_between_arguments() -> None:
    assert body(f"y = f[1]({', '.join(LONG)})").split("\n") == ["y = f[1](", *LISTED, ")"]


def test_a_long_sum_gets_parentheses() -> None:
    rows = body(f"y = {' + '.join(LONG)}").split("\n")
    assert rows == ["y = (", f"  {LONG[0]}", *(f"  + {a}" for a in LONG[1:]), ")"]


def test_a_long_choice_and_a_long_tuple_get_parentheses() -> None:
    a, b, c = (" * ".join(LONG[i : i + 3]) for i in (0, 3, 6))
    assert body(f"y = {a} if {b} else {c}").split("\n") == ["y = (", f"  {a}", f"  if {b}", f"  else {c}", ")"]
    assert body(f"return {', '.join(LONG)}").split("\n") == ["return (", *LISTED, ")"]


def test_a_long_signature_breaks_before_the_result_first() -> None:
    params = ", ".join(f"{name}: [B]" for name in LONG[:4])
    made = formatted(f"block F({params}) -> (first: [B], second: [B]) require a == b {{ return x }}")
    assert made.split("\n")[:2] == [f"block F({params})", "    -> (first: [B], second: [B]) require a == b {"]
    made = formatted(f"fn f({', '.join(LONG)}) -> [B] {{ return x }}")
    assert made.split("\n") == ["fn f(", *LISTED, ") -> [B] {", "  return x", "}", ""]


def test_lines_are_at_most_120_columns_where_they_can_be_broken() -> None:
    for width in range(90, 130):
        name = "n" * (width - 80)
        text = f"block F(x) {{\n  y = {name}({'a' * 28}, {'b' * 26}) + {'c' * 23} * d\n}}"
        assert max(map(len, formatted(text).split("\n"))) <= 120


def test_a_short_fn_that_only_returns_stands_on_one_line() -> None:
    assert formatted("fn f(x) {\n  return x\n}") == "fn f(x) { return x }\n"
    assert formatted("block F(x) { return x }") == "block F(x) {\n  return x\n}\n"
    assert formatted("fn f(x) { y = x }") == "fn f(x) {\n  y = x\n}\n"
    assert formatted(f"fn f(x) {{ return {'x' * 101} }}").count("\n") == 1
    assert formatted(f"fn f(x) {{ return {'x' * 102} }}").count("\n") == 3


# ---------------------------------------------------------------- blank lines and comments
def test_blank_lines_are_kept_to_one_and_put_around_long_items() -> None:
    text = "\n\nuse std.a\n\n\n\nuse std.b\nconst A = 1\nblock F(x) {\n\n  y = x\n\n\n  z = y\n\n}\ncheck a\ncheck b\n"
    assert formatted(text) == (
        "use std.a\n\nuse std.b\nconst A = 1\n\nblock F(x) {\n  y = x\n\n  z = y\n}\n\ncheck a\ncheck b\n"
    )


def test_a_comment_right_before_an_item_stays_there() -> None:
    text = "const A = 1\n# about F\n# more\n@a\n# between\nblock F(x) { return x }\n# after F\ncheck a"
    assert formatted(text) == (
        "const A = 1\n\n# about F\n# more\n@a\n# between\nblock F(x) {\n  return x\n}\n\n# after F\ncheck a\n"
    )


COMMENTED = """\
# first

const A = 1 # one
block F(x: [B],  # the input
        y) {  # body
  # before
  a = f(x, # inner
        y) # behind

  # own
  if a {# then
    b = 1
    # end of then
  } # after then
  else { # else
    b = 2
  }  # after if
  c = x # line one
    -> f # line two
  # end
} # after F
fn g(x) {
  # only a comment keeps this fn open
  return x
}
train M { # recipe
  # nothing
}
# last"""


def test_comments_stay_where_they_belong() -> None:
    assert (
        formatted(COMMENTED)
        == """\
# first

const A = 1  # one

# the input
block F(x: [B], y) {  # body
  # before
  # inner
  a = f(x, y)  # behind

  # own
  if a {  # then
    b = 1
    # end of then
  # after then
  } else {  # else
    b = 2
  }  # after if
  # line one
  c = x -> f  # line two
  # end
}  # after F

fn g(x) {
  # only a comment keeps this fn open
  return x
}

train M {  # recipe
  # nothing
}

# last
""".replace("  # after then\n", "    # after then\n")
    )


@given(st.randoms(use_true_random=False), st.sampled_from(TEXTS))
def test_comments_anywhere_are_kept(rnd: random.Random, path: Path) -> None:
    """Comments at random line ends and line breaks at random places inside brackets, each with a comment."""
    text = path.read_text(encoding="utf-8")
    code = re.sub(r"#.*", "", text) if '"' not in text else text
    rows = []
    for number, row in enumerate(code.split("\n")):
        if "#" not in row and rnd.random() < 0.3:
            row = f"{row} # end {number}"
        rows += [row, f"{' ' * rnd.randrange(9)}# own {number}"] if rnd.random() < 0.2 else [row]
    formatted("\n".join(rows))


def test_a_negative_number_made_by_a_program_is_in_parentheses_where_it_must_be() -> None:
    nowhere = Span(Source("generated", ""), 0, 0)
    minus = ast.Number(text="-2", value=-2, span=nowhere)
    two = ast.Number(text="2", value=2, span=nowhere)
    assert phrase(ast.Binary(op="^", left=minus, right=two, span=nowhere)) == "(-2)^2"
    assert phrase(ast.Binary(op="-", left=two, right=minus, span=nowhere)) == "2 - -2"
