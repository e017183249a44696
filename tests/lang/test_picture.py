"""The picture of a diagnostic: exact text, marks in the right columns, nothing of the user's text that could harm."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang.picture import draw
from zhdsl.source import Source, Span

RESNET = Source(
    "resnet.zh",
    "# He et al.\n"
    "block Basic[N: int, stride = 1](x: [B, C, H, W]) {\n"
    "  main = x -> Conv[N, 3, stride]\n"
    "\n"
    "  skip = x if N == C else x -> Conv[N, 1, stride]\n"
    "  return relu(main + skip)\n"
    "}\n",
)


def place(source: Source, text: str, nth: int = 0) -> Span:
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def lines(diagnostic: Diagnostic) -> list[str]:
    return draw(diagnostic).split("\n")


def test_the_picture_of_the_reference() -> None:
    main, skip = place(RESNET, "main", 1), place(RESNET, "skip", 1)
    notes = (
        (skip, "skip: [B, C=16, H=32, W=32]   (line 5: the identity branch was taken, N == C)"),
        (main, "main: [B, C=16, H=16, W=16]   (stride = 2, given at line 13)"),
    )
    help = "the shortcut must also stride: test `N == C and stride == 1`"
    assert lines(Diagnostic("Z0312", "axes do not agree", main, notes, help)) == [
        "error Z0312: axes do not agree                                             resnet.zh:6:15",
        "6 |   return relu(main + skip)",
        "  |               ~~~~   ~~~~ skip: [B, C=16, H=32, W=32]   (line 5: the identity branch was taken, N == C)",
        "  |               main: [B, C=16, H=16, W=16]   (stride = 2, given at line 13)",
        "help: the shortcut must also stride: test `N == C and stride == 1`",
    ]


def test_notes_on_other_lines_and_in_other_files() -> None:
    other = Source("lib/std.zh", "\n" * 99 + "fn f(x) { return x }\n")
    notes = (
        (place(RESNET, "skip"), "made here"),
        (place(other, "f(x)"), "declared here"),
        (place(RESNET, "x", 2), "from this"),
        (None, "under --set N=3"),
    )
    assert lines(Diagnostic("Z0301", "no", place(RESNET, "main", 1), notes))[1:] == [
        "  6 |   return relu(main + skip)",
        "    |               ~~~~",
        "  5 |   skip = x if N == C else x -> Conv[N, 1, stride]",
        "    |   ~~~~   ~ from this",
        "    |   made here",
        "   in lib/std.zh:100",
        "100 | fn f(x) { return x }",
        "    |    ~~~~ declared here",
        "note: under --set N=3",
    ]


def test_a_span_of_several_lines_is_marked_at_both_ends() -> None:
    span = Span(RESNET, RESNET.text.index("Conv"), RESNET.text.index(" else"))
    assert lines(Diagnostic("Z0100", "no", span))[1:] == [
        "3 |   main = x -> Conv[N, 3, stride]",
        "  |               ~~~~~~~~~~~~~~~~~~",
        "5 |   skip = x if N == C else x -> Conv[N, 1, stride]",
        "  |   ~~~~~~~~~~~~~~~~~~",
    ]


def test_a_span_that_includes_the_line_end_stays_on_its_line() -> None:
    found = lines(Diagnostic("Z0100", "no", Span(RESNET, 0, 12)))
    assert found[1:] == ["1 | # He et al.", "  | ~~~~~~~~~~~"]


@pytest.mark.parametrize(("start", "end"), [(11, 11), (11, 12)])
def test_an_empty_span_is_one_mark(start: int, end: int) -> None:
    assert lines(Diagnostic("Z0101", "no", Span(RESNET, start, end)))[1:] == ["1 | # He et al.", "  |            ~"]


def test_a_diagnostic_without_a_place() -> None:
    assert draw(Diagnostic("Z0001", "there is no file a.zh", None, help="check the name")) == (
        "error Z0001: there is no file a.zh\nhelp: check the name"
    )


def test_tabs_and_wide_characters_keep_the_marks_under_their_text() -> None:
    source = Source("t.zh", '\ta = "名é"\tb\n')
    assert lines(Diagnostic("Z0100", "no", place(source, "b")))[1:] == [
        '1 |     a = "名é"   b',  # the wide character takes two columns, so the tab ends at column 16
        "  |                 ~",
    ]
    assert lines(Diagnostic("Z0100", "no", place(source, "名é")))[2] == "  |          ~~~"


def test_a_long_line_is_cut_around_the_mark() -> None:
    source = Source("t.zh", "x = [" + ", ".join(f"value{i}" for i in range(900)) + "]\n")
    for name in ("value0,", "value450", "value899"):
        _, line, mark = lines(Diagnostic("Z0100", "no", place(source, name)))
        assert len(line) <= 120
        assert line[mark.index("~") : mark.rindex("~") + 1] == name
        assert ("… " in line[:8], line.endswith(" …")) == (name != "value0,", name != "value899")


def test_marks_far_apart_on_a_long_line_get_a_picture_each() -> None:
    source = Source("t.zh", "x = [" + ", ".join(f"value{i}" for i in range(900)) + "]\n")
    found = lines(Diagnostic("Z0100", "no", place(source, "value7"), ((place(source, "value800"), "here"),)))
    assert len(found) == 5
    assert found[1][found[2].index("~") :].startswith("value7")
    assert found[3][found[4].index("~") :].startswith("value800")
    assert found[4].endswith("~~~~~~~~ here")


def test_a_mark_longer_than_the_picture_is_cut() -> None:
    source = Source("t.zh", "a" * 5000)
    found = lines(Diagnostic("Z0100", "no", Span(source, 0, 5000)))
    assert all(len(line) <= 121 for line in found)
    assert found[2].count("~") > 100


def test_a_long_message_is_cut_and_the_place_stays() -> None:
    found = draw(Diagnostic("Z0100", "x" * 10_000, place(RESNET, "main"), help="y" * 10_000))
    assert found.split("\n")[0].endswith("…  resnet.zh:3:3")
    assert len(found) < 1500


def test_control_characters_do_not_reach_the_terminal() -> None:
    evil = "\x1b[2J\x07\x00\u202e\u200b\ud800\x9b\r\x7f"
    source = Source(f"a{evil}.zh", f'x = "{evil}"\n')
    notes = ((None, evil), (place(source, "x"), evil))
    shown = draw(Diagnostic("Z0100", f"bad {evil}", place(source, evil), notes, evil))
    assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") for c in shown)
    assert shown.encode()
    assert "␛[2J" in shown


def test_a_message_of_several_lines_stays_on_one() -> None:
    assert lines(Diagnostic("Z0100", "a\nb", None, help="c\r\nd")) == ["error Z0100: a b", "help: c␍ d"]


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 5), (500, 600), (-3, 2), (5, 1)])
def test_a_span_outside_of_the_text_does_no_harm(start: int, end: int) -> None:
    for text in ("", "abc", "\n\n", "abc\n"):
        assert draw(Diagnostic("Z0100", "no", Span(Source("t.zh", text), start, end))).startswith("error Z0100: no")


def test_several_diagnostics_stand_apart() -> None:
    error = SpecError([Diagnostic("Z0100", "a", None), Diagnostic("Z0101", "b", None)])
    assert str(error) == "error Z0100: a\n\nerror Z0101: b"


MARK = st.tuples(st.integers(0, 300), st.integers(0, 300), st.text(max_size=9))
PLAIN = st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])


@given(st.text(max_size=300), st.lists(MARK, min_size=1))
def test_any_text_with_any_marks_is_drawn(text: str, places: list[tuple[int, int, str]]) -> None:
    source = Source("t.zh", text)
    spans = [(Span(source, start, start + size), note) for start, size, note in places]
    shown = draw(Diagnostic("Z0100", text, spans[0][0], tuple(spans[1:]), help=text))
    assert all(line == line.rstrip() for line in shown.split("\n"))
    assert all(c == "\n" or c.isprintable() for c in shown)


@given(st.text(PLAIN, min_size=1, max_size=400), st.data())
def test_the_marks_stand_under_the_marked_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    size = data.draw(st.integers(1, min(60, len(text) - start)))
    found = draw(Diagnostic("Z0100", "no", Span(Source("t.zh", text), start, start + size))).split("\n")
    line = found[1].ljust(130)
    assert line[found[2].index("~") : found[2].rindex("~") + 1] == text[start : start + size]
