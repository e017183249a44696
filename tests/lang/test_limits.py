"""Limits and characters: every text is read or refused, with its code and place, in bounded time."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import ast, limits
from zhdsl.lang.format import format
from zhdsl.lang.parser import parse, read
from zhdsl.source import Source, Span


def refused(text: str) -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        parse(Source("t.zh", text))
    assert len(caught.value.diagnostics) == 1
    return caught.value.diagnostics[0]


def unreadable(path: Path | str, **options: object) -> Diagnostic:
    with pytest.raises(SpecError) as caught:
        read(path, **options)  # type: ignore[arg-type]  # passed through to the keyword arguments of `read`
    assert len(caught.value.diagnostics) == 1
    return caught.value.diagnostics[0]


# ---------------------------------------------------------------- size
def test_a_text_of_the_largest_size_is_read_and_one_more_is_not() -> None:
    text = ("#" * 99 + "\n") * (limits.SIZE // 100)
    assert len(text) == limits.SIZE
    assert len(parse(Source("t.zh", text)).comments) == limits.SIZE // 100
    assert refused(text + " ").code == "Z0003"


def test_too_many_tokens() -> None:
    assert parse(Source("t.zh", "\n" * limits.TOKENS)).items == ()
    found = refused("\n" * (limits.TOKENS + 1))
    assert (found.code, str(found.span)) == ("Z0010", f"t.zh:{limits.TOKENS + 1}:1")


def test_a_long_line() -> None:
    assert parse(Source("t.zh", "#" * limits.LINE)).comments
    found = refused("\n" + "#" * (limits.LINE + 1))
    assert (found.code, str(found.span)) == ("Z0012", "t.zh:2:1")


def test_a_long_number() -> None:
    assert parse(Source("t.zh", "const A = 0." + "3" * (limits.DIGITS - 2))).items
    assert refused("const A = 0." + "3" * (limits.DIGITS - 1)).code == "Z0014"
    assert refused("const A = " + "9" * 9000).code == "Z0014"


@pytest.mark.parametrize(
    ("number", "fits"),
    [
        ("9_223_372_036_854_775_807", True),
        ("9_223_372_036_854_775_808", False),
        ("1.8e308", False),
        ("1.7e308", True),
        ("1e-400", False),
        ("5e-324", True),
        ("0e-400", True),
        ("0.000e5", True),
        ("1e99999999999", False),
    ],
)
def test_numbers_out_of_range(number: str, fits: bool) -> None:
    text = f"const A = {number}"
    assert bool(parse(Source("t.zh", text)).items) if fits else refused(text).code == "Z0015"


# ---------------------------------------------------------------- nesting
@pytest.mark.parametrize(("left", "right"), ["()", "[]"])
def test_deep_brackets(left: str, right: str) -> None:
    for count, code in ((limits.NESTING + 1, "Z0011"), (100_000, "Z0010")):
        lines = "\n".join([left] * count) + "1" + "\n".join([right] * count)
        assert refused(f"const A = {lines}").code == code


def test_parentheses_up_to_the_limit_cost_no_depth() -> None:
    assert parse(Source("t.zh", f"const A = {'(' * limits.NESTING}1{')' * limits.NESTING}")).items


@pytest.mark.parametrize(
    "text",
    [
        "const A = 1" + " + 1" * 2000,
        "const A = 1" + "\n -> f" * 10_000,
        "const A = " + "-" * 5000 + "1",
        "const A = " + "not " * 2000 + "x",
        "const A = " + "2 ^ " * 2000 + "1",
        "const A = " + "(a if b else\n" * 150 + "a if b else " * 150 + "c" + ")" * 150,
        "const A = " + "a if b else " * 500 + "c",
        "const A = x" + ".y" * 3000,
        "const A = x" + "()" * 3000,
        "fn f() {\n  if a { x = 1 }" + "\n  else if a { x = 1 }" * 2000 + "\n}",
        "fn f() {\n" + "if a {\n" * 199 + "}" * 199 + "}",
        "const A = " + "[" * 199 + "1" + "]" * 199,
        "const A = " + "(1 + " * 150 + "1" + ")" * 150 + " + 1" * 60,
    ],
    ids=range(13),
)
def test_a_tree_is_never_deeper_than_the_limit(text: str) -> None:
    found = refused(text)
    assert (found.code, found.span is not None) == ("Z0013", True)


def depth(node: object) -> int:
    """Levels of records, counted without recursion."""
    deepest, todo = 0, [(node, 0)]
    while todo:
        part, level = todo.pop()
        if isinstance(part, ast.Syntax):
            deepest, level = max(deepest, level + 1), level + 1
            todo += [(getattr(part, inner.name), level) for inner in fields(part)]
        elif isinstance(part, tuple):
            todo += [(inner, level) for inner in part]
    return deepest


def test_the_deepest_tree_can_be_walked_compared_printed_and_formatted() -> None:
    text = "const A = 1" + " + 1" * (limits.DEPTH - 3)  # the const, its bind, the first number
    made = parse(Source("t.zh", text))
    assert depth(made.items) == limits.DEPTH
    assert made.items == parse(Source("u.zh", text)).items
    assert len(repr(made)) > limits.DEPTH
    assert parse(Source("f.zh", format(made))).items == made.items
    assert sys.getrecursionlimit() >= 1000
    assert refused(text + " + 1").code == "Z0013"


# ---------------------------------------------------------------- characters
@pytest.mark.parametrize(
    ("character", "code"),
    [
        ("\x00", "Z0006"), ("\x07", "Z0006"), ("\x0b", "Z0006"), ("\x1b", "Z0006"), ("\x7f", "Z0006"),
        ("\u200b", "Z0007"), ("\u200d", "Z0007"), ("\u202e", "Z0007"), ("\u2066", "Z0007"), ("\ufeff", "Z0007"),
        ("\u00ad", "Z0007"), ("\U000e0041", "Z0007"), ("\ud800", "Z0008"), ("\udfff", "Z0008"), ("\r", "Z0009"),
        ("\u2028", "Z0009"), ("\x85", "Z0006"), ("\u2029", "Z0009"),
    ],
)  # fmt: skip
def test_a_character_that_must_not_be_there(character: str, code: str) -> None:
    for text in (f"\nconst A = {character}1", f'\nuse "{character}"  ', f"\n# a comment{character}\x20"):
        found = refused(text)
        assert (found.code, found.span and found.span.text) == (code, character)
        assert f"U+{ord(character):04X}" in found.message
        assert found.span is not None
        assert found.span.line == 2
        assert character not in str(found)


def test_visible_characters_may_stand_in_strings_and_comments() -> None:
    made = parse(Source("t.zh", 'use "größe/名.zh"  # × λ → 名 ❤️ \t\u00a0'))
    assert isinstance(made.items[0], ast.Use)
    assert made.items[0].path == "größe/名.zh"


def test_each_bad_character_is_reported_once() -> None:
    with pytest.raises(SpecError) as caught:
        parse(Source("t.zh", "\x00\x01" * 50_000 + "\u200b" * 50_000))
    assert [d.code for d in caught.value.diagnostics] == ["Z0012", "Z0006", "Z0006", "Z0007"]


# ---------------------------------------------------------------- files
def test_a_file_is_read_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.zh").write_bytes("# größe\r\nconst A = 1\r\n".encode())
    source = read(tmp_path / "a" / "b.zh")
    assert (source.name, source.text) == (str(tmp_path / "a" / "b.zh"), "# größe\r\nconst A = 1\r\n")
    assert read("a/../a/b.zh", root=tmp_path).name == "a/b.zh"
    assert read(tmp_path / "a" / "b.zh", root=tmp_path).name == "a/b.zh"


def test_a_byte_order_mark_is_taken_off(tmp_path: Path) -> None:
    (tmp_path / "a.zh").write_bytes(b"\xef\xbb\xbfconst A = 1\n")
    assert read(tmp_path / "a.zh").text == "const A = 1\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-with-mark", "utf-32"])
def test_other_unicode_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    text = "const A = 1\n"
    data = b"\xff\xfe" + text.encode("utf-16-le") if encoding.endswith("mark") else text.encode(encoding)
    (tmp_path / "a.zh").write_bytes(data)
    found = unreadable(tmp_path / "a.zh")
    assert (found.code, encoding[:6].upper() in found.message) == ("Z0005", True)


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80", b"\xe4\xb8"])
def test_bytes_that_are_not_utf_8_are_placed(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "a.zh").write_bytes("# ok\n# größe ".encode() + bad)
    found = unreadable(tmp_path / "a.zh")
    assert (found.code, str(found.span).endswith(":2:9")) == ("Z0005", True)
    assert f"0x{bad[0]:02X}" in found.message


def test_no_such_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.zh", tmp_path / "a" / "b.zh", "", "a\0b", "x" * 5000):
        assert unreadable(path).code in ("Z0001", "Z0002")
    assert unreadable("none.zh", root=tmp_path).code == "Z0001"
    assert unreadable("a\0b", root=tmp_path).code == "Z0001"


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    try:
        assert (unreadable(tmp_path / "pipe").code, unreadable(tmp_path).code) == ("Z0002", "Z0002")
        assert unreadable(tmp_path / "socket").code in ("Z0001", "Z0002")
        assert (unreadable("/dev/zero").code, unreadable("/dev/null").code) == ("Z0002", "Z0002")
    finally:
        listener.close()


def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.zh").symlink_to("b.zh")
    (tmp_path / "b.zh").symlink_to("a.zh")
    assert unreadable(tmp_path / "a.zh").code == "Z0001"
    assert unreadable("a.zh", root=tmp_path).code == "Z0001"


def test_a_file_over_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "big.zh"
    path.write_bytes(b"#")
    os.truncate(path, 10**12)  # sparse: it takes no space
    assert unreadable(path).code == "Z0003"


def test_a_path_must_stay_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "out.zh").write_text("const A = 1\n")
    (tmp_path / "project" / "link.zh").symlink_to(tmp_path / "out.zh")
    for path in ("../out.zh", str(tmp_path / "out.zh"), "link.zh", "a/../../out.zh"):
        assert unreadable(path, root=tmp_path / "project").code == "Z0004"


def test_the_place_that_asked_for_the_file_is_shown(tmp_path: Path) -> None:
    at = Span(Source("main.zh", 'use "none.zh"\n'), 4, 13)
    assert unreadable("none.zh", root=tmp_path, at=at).span == at
