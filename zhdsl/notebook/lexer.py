"""Tokens of the language for Pygments: notebooks, documentation, terminals.

The words are those of the grammar, of the checker's tables and of the library, so that none is missing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

import zhdsl.lang.check  # noqa: F401 (it fills the table of functions)
from zhdsl.lang.expressions import BUILTINS
from zhdsl.lang.names import DTYPES
from zhdsl.lang.statics import KINDS

CONSTANTS = ("true", "false", "inf", "none")
OPERATORS = ("and", "or", "not")
DEFINING = ("fn", "block", "model", "dataset", "train", "const", "param", "state")


def words_of_grammar() -> tuple[str, ...]:
    """Every word that the grammar reserves."""
    grammar = (files("zhdsl.lang") / "grammar.lark").read_text(encoding="utf-8")
    rules = "\n".join(line for line in grammar.splitlines() if not line.startswith("//"))
    return tuple(sorted(set(re.findall(r'"([a-z]+)"', rules))))


def names_of_library() -> tuple[str, ...]:
    """Every function of the language, and every definition of the library that is written in it."""
    return tuple(sorted({*BUILTINS, *_defined()}))


def _defined() -> Iterator[str]:
    for file in (files("zhdsl.lang") / "stdlib").iterdir():
        if file.name.endswith(".zh"):
            yield from re.findall(r"^(?:fn|block|dataset) (\w+)", file.read_text(encoding="utf-8"), re.M)


KEYWORDS = words_of_grammar()
TYPES = (*(name for name in DTYPES if name), *KINDS)
WORDS: dict[str, Any] = {
    **dict.fromkeys(KEYWORDS, Keyword),
    **dict.fromkeys([word for word in DEFINING if word in KEYWORDS], Keyword.Declaration),
    **dict.fromkeys(CONSTANTS, Keyword.Constant),
    **dict.fromkeys(OPERATORS, Operator.Word),
    **{word: Keyword.Type for word in TYPES if word not in KEYWORDS},
    **{word: Name.Builtin for word in names_of_library() if word not in (*KEYWORDS, *TYPES)},
}
NAME = r"[A-Za-z_][A-Za-z0-9_]*'*"


def _word(lexer: Any, match: re.Match[str]) -> Iterator[tuple[int, Any, str]]:
    yield match.start(), WORDS.get(match.group(), Name), match.group()


class ZhLexer(RegexLexer):  # type: ignore[misc, unused-ignore]
    """Lexes `.zh` files."""

    name = "zhdsl"
    aliases: ClassVar[list[str]] = ["zh", "zhdsl"]
    filenames: ClassVar[list[str]] = ["*.zh"]
    mimetypes: ClassVar[list[str]] = ["text/x-zh"]
    url = ""
    tokens: ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (r"#[^\n]*", Comment.Single),
            (r'"[^"\n]*"', String),
            (rf"@{NAME}", Name.Decorator),
            (
                rf"(fn|block|model|dataset|train)([ \t]+)({NAME})",
                bygroups(Keyword.Declaration, Whitespace, Name.Function),
            ),
            (rf"(\.)({NAME})", bygroups(Punctuation, Name.Attribute)),
            (r"[0-9]+(?:_[0-9]+)*(?:\.[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+)?", Number),
            (NAME, _word),
            (r"->|\.\.\.|\.\.|//|==|!=|<=|>=|[-+*/%@^<>=]", Operator),
            (r"[()\[\]{},:.]", Punctuation),
        ]
    }


__all__ = ["ZhLexer", "names_of_library", "words_of_grammar"]
