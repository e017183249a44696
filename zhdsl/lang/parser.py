"""`parse`: a text becomes a syntax tree, or all its independent syntax errors.

Lark gives tokens; `layout` cuts them into items, matches brackets and takes out line ends; the LALR parser is fed item
by item and calls `build`. After an error it starts anew at the next item, so one run reports several.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

from lark import Lark, Token

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import ast, limits, tables
from zhdsl.lang.build import Builder, building
from zhdsl.lang.characters import require_characters
from zhdsl.lang.lalr import Machine, Tables, Unexpected
from zhdsl.lang.layout import arrange, check_brackets, pieces, span
from zhdsl.lang.reading import read
from zhdsl.source import Source, Span

__all__ = ["lark", "parse", "read"]


def parse(source: Source) -> ast.Module:
    """The syntax tree of a text.

    Args:
        source: any text at all; `read` makes one from a file.

    Returns:
        The tree; nothing in it is checked but its form. No deeper than `limits.DEPTH` levels.

    Raises:
        SpecError: Z00xx, the text is over a limit or holds characters it must not; Z01xx, it does not follow the
            grammar. At most one error for each item, `limits.ERRORS` in all.
    """
    require_characters(source)
    tokens = _tokens(source)
    with building(source):
        reader = _Reader(source)
        for piece, after in pairwise([*pieces(tokens), []]):
            reader.feed(piece, after[0] if after else None)
            if len(reader.errors) >= limits.ERRORS:
                break
        items = reader.end()
    comments = tuple(ast.Comment(t.rstrip(), span=span(source, t)) for t in tokens if t.type == "COMMENT")
    return ast.Module(source, items, comments, span=Span(source, 0, len(source.text)))


@cache
def lark() -> Lark:
    """The one parser of a process. It keeps nothing of a text, so threads may share it."""
    return tables.load(Builder())


@cache
def automaton() -> Tables:
    """Its tables."""
    return Tables(lark())


def _tokens(source: Source) -> list[Token]:
    """All tokens, comments and line ends included. The lexer knows a token for every character."""
    tokens: list[Token] = []
    lexer: Any = lark().parse_interactive(source.text).lexer_thread
    for token in lexer.lex(None):
        tokens.append(token)
        if len(tokens) > limits.TOKENS:
            message = f"more than {limits.TOKENS:_} words and signs in one file"
            raise SpecError(Diagnostic("Z0010", message, span(source, token), help="split it into files"))
    return tokens


class _Reader:
    """Feeds pieces to the parser and gathers what is wrong with them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.errors: list[Diagnostic] = []
        self.parser: Machine
        self.fed: list[Token] = []  # the piece before, if the parser has seen it
        self._restart()

    def feed(self, piece: list[Token], after: Token | None) -> None:
        """Parse one piece. After an error the rest of it is skipped."""
        try:
            self._check_tokens(piece)
            check_brackets(self.source, piece, after)
            self._feed(list(arrange(piece)))
        except SpecError as error:
            self.errors.extend(error.diagnostics)
            self._restart()

    def _check_tokens(self, piece: list[Token]) -> None:
        if any(token.type == "ODD" or (token.type == "NUMBER" and len(token) > limits.DIGITS) for token in piece):
            from zhdsl.lang.mistakes import check_tokens  # a text without mistakes does not pay for their tables

            check_tokens(self.source, piece)

    def _restart(self) -> None:
        self.parser, self.fed = Machine(automaton()), []

    def _feed(self, tokens: list[Token]) -> None:
        for at, token in enumerate(tokens):
            try:
                self.parser.feed(token)
            except Unexpected:
                error = self._explain([*self.fed, *tokens], len(self.fed) + at)
                if at or not self.fed:
                    raise SpecError(error) from None
                self.errors.append(error)  # of the piece before, which is not finished; this one may be whole
                self._restart()
                return self._feed(tokens)
        self.fed = tokens

    def _explain(self, tokens: list[Token], at: int) -> Diagnostic:
        from zhdsl.lang.mistakes import explain

        return explain(self.source, tokens, at, self.parser.accepts())

    def end(self) -> tuple[ast.Item, ...]:
        """The items of the whole text, or all errors."""
        end = len(self.source.text)
        last = Token("$END", "", end, end_pos=end)
        if self.fed or not self.errors:
            try:
                items: tuple[ast.Item, ...] = self.parser.feed(last)
            except Unexpected:
                self.errors.append(self._explain([*self.fed, last], len(self.fed)))
        if self.errors:
            raise SpecError(_in_order(self.errors))
        return items


def _in_order(errors: list[Diagnostic]) -> list[Diagnostic]:
    return sorted(errors, key=lambda error: error.span.key if error.span else ("", 0, 0))[: limits.ERRORS]
