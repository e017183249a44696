"""The lexer knows every word of the grammar and every file of the language."""

from __future__ import annotations

import tomllib

import pytest
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String, Token

from tests.conftest import ROOT
from zhdsl.lang.parser import parse
from zhdsl.notebook.lexer import KEYWORDS, ZhLexer, names_of_library
from zhdsl.source import Source

FILES = sorted([*(ROOT / "specs").rglob("*.zh"), *(ROOT / "zhdsl/lang/stdlib").glob("*.zh")])


def tokens(text: str) -> list[tuple[object, str]]:
    return [(kind, value) for kind, value in ZhLexer().get_tokens(text) if value.strip()]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_file_of_the_language_has_no_token_that_is_an_error(path: object) -> None:
    text = path.read_text("utf-8")  # type: ignore[attr-defined]
    found = list(ZhLexer().get_tokens_unprocessed(text))
    assert [value for _, kind, value in found if kind is Error] == []
    assert "".join(value for _, _, value in found) == text


@pytest.mark.parametrize("word", KEYWORDS)
def test_every_word_of_the_grammar_is_a_keyword(word: str) -> None:
    ((kind, value),) = tokens(word)
    assert value == word
    assert kind in Keyword or kind is Operator.Word


def test_the_words_of_the_grammar_are_those_that_the_parser_reserves() -> None:
    """`x = word` is an error for exactly the words that stand for something else."""
    values = {"true", "false", "inf", "none"}
    reserved = set()
    for word in KEYWORDS:
        try:
            parse(Source("w.zh", f"fn f(x: [B]) -> [B] {{\n  {word} = x\n  return x\n}}\n"))
        except Exception:
            reserved.add(word)
    assert reserved == set(KEYWORDS)
    assert values <= reserved


@pytest.mark.parametrize("name", ["Dense", "relu", "cross_entropy", "adam", "digits", "sum", "where", "standardize"])
def test_a_name_of_the_library_is_one(name: str) -> None:
    assert tokens(name) == [(Name.Builtin, name)]
    assert name in names_of_library() or name in ("sum", "where")


def test_tokens_of_a_line() -> None:
    assert tokens('x.T = h[T as Q, K=1..-1] @ W\' # "no" if') == [
        (Name, "x"),
        (Token.Punctuation, "."),
        (Name.Attribute, "T"),
        (Operator, "="),
        (Name, "h"),
        (Token.Punctuation, "["),
        (Name, "T"),
        (Keyword, "as"),
        (Name, "Q"),
        (Token.Punctuation, ","),
        (Name, "K"),
        (Operator, "="),
        (Number, "1"),
        (Operator, ".."),
        (Operator, "-"),
        (Number, "1"),
        (Token.Punctuation, "]"),
        (Operator, "@"),
        (Name, "W'"),
        (Comment.Single, '# "no" if'),
    ]
    assert tokens('"a # b"') == [(String, '"a # b"')]
    assert tokens("model Net") == [(Keyword.Declaration, "model"), (Name.Function, "Net")]
    assert tokens("?") == [(Error, "?")]


def test_the_lexer_is_offered_to_pygments() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = project["entry-points"]["pygments.lexers"]["zh"].partition(":")
    assert (module, name) == (ZhLexer.__module__, ZhLexer.__name__)
    assert "*.zh" in ZhLexer.filenames
