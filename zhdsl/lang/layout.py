"""Between lexer and parser: line ends, keywords used as names, brackets, and the top-level pieces of a file.

    all tokens ─pieces→ one list per item ─check_brackets→ ─arrange→ what the grammar sees

A line end is a token of the grammar only where it can end a statement; see `arrange`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lark import Token

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import limits
from zhdsl.source import Source, Span


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


WORDS = words(
    "use as const fn block model dataset train check grad require param state update repeat tied if else when infer "
    "emit last return scan over from reverse truncate and or not true false inf none"
)
ITEMS = words("USE CONST FN BLOCK MODEL DATASET TRAIN CHECK AT")  # types that may begin an item
CONTINUES = words("ARROW ELSE GRAD REQUIRE")  # types that continue the line before
CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
OPENERS = {closer: opener for opener, closer in CLOSERS.items()}
SIGNS = {"LPAR": "(", "RPAR": ")", "LSQB": "[", "RSQB": "]", "LBRACE": "{", "RBRACE": "}"}


def span(source: Source, token: Token) -> Span:
    """The place of a token."""
    return Span(source, token.start_pos or 0, token.end_pos or 0)


def pieces(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Cut a file where a word that begins an item stands in the first column.

    After an error the parser goes on at the next piece, whatever brackets were left open.
    """
    piece: list[Token] = []
    for token, after in pairwise([*tokens, Token("$END", "")]):
        if token.column == 1 and token.type in ITEMS and after.type not in ("EQUAL", "DOT") and piece:
            yield piece
            piece = []
        piece.append(token)
    if piece:
        yield piece


# ---------------------------------------------------------------- brackets
@dataclass
class _Open:
    """The brackets open at one place, and the first `}` that stands too far to the left."""

    source: Source
    stack: list[Token] = field(default_factory=list)
    suspect: Token | None = None

    def close(self, closer: Token) -> None:
        opener = self.stack[-1] if self.stack else None
        if opener is not None and CLOSERS[opener.type] == closer.type:
            if closer.type == "RBRACE" and not self.suspect and _outdented(self.source, opener, closer):
                self.suspect = opener
            self.stack.pop()
        elif opener is None or OPENERS[closer.type] not in {token.type for token in self.stack}:
            raise SpecError(self._unopened(closer, opener))
        else:
            raise SpecError(self.unclosed(self._first_inside(closer), closer))

    def _first_inside(self, closer: Token) -> Token:
        """The outermost of the brackets that `closer` leaves open."""
        place = max(i for i, token in enumerate(self.stack) if token.type == OPENERS[closer.type])
        return self.stack[place + 1]

    def _unopened(self, closer: Token, opener: Token | None) -> Diagnostic:
        sign = SIGNS[closer.type]
        if opener is None:
            message = f"`{sign}` closes nothing"
            return Diagnostic("Z0104", message, span(self.source, closer), help="remove it, or open it before")
        want = SIGNS[CLOSERS[opener.type]]
        notes = ((span(self.source, opener), f"`{SIGNS[opener.type]}` is open here"),)
        message = f"`{sign}` does not close `{SIGNS[opener.type]}`"
        return Diagnostic("Z0104", message, span(self.source, closer), notes, help=f"write `{want}`")

    def unclosed(self, opener: Token, found: Token | None) -> Diagnostic:
        """`found` is what came instead: another closing bracket, or the first word of the next item."""
        sign, want = SIGNS[opener.type], SIGNS[CLOSERS[opener.type]]
        message = f"`{sign}` is never closed"
        notes = () if found is None else ((span(self.source, found), f"`{want}` is missing before this"),)
        return Diagnostic("Z0103", message, span(self.source, opener), notes, help=f"write `{want}` where it ends")


def check_brackets(source: Source, tokens: Iterable[Token], after: Token | None) -> None:
    """Raise `SpecError` unless the brackets of one piece match and nest no deeper than the limit.

    `after` is the first token of the next piece, if there is one.
    """
    opened = _Open(source)
    for token in tokens:
        if token.type in CLOSERS:
            opened.stack.append(token)
            if len(opened.stack) > limits.NESTING:
                message = f"more than {limits.NESTING} brackets are open here"
                help = "give a part of it a name on a line of its own"
                raise SpecError(Diagnostic("Z0011", message, span(source, token), help=help))
        elif token.type in OPENERS:
            opened.close(token)
    if opened.stack:
        raise SpecError(opened.unclosed(opened.suspect or opened.stack[-1], None if opened.suspect else after))


def _outdented(source: Source, opener: Token, closer: Token) -> bool:
    """A `}` that begins its line further left than the line of its `{`: it was meant for another."""
    first, last = source.line(opener.line or 1), source.line(closer.line or 1)
    indent = len(last) - len(last.lstrip())
    return closer.column == indent + 1 and indent < len(first) - len(first.lstrip())


# ---------------------------------------------------------------- what the grammar sees
def arrange(tokens: Iterable[Token]) -> Iterator[Token]:
    """Take out comments and the line ends that end nothing, and turn keywords in the place of a name into names.

    A line end is left out inside ( ) and [ ], before a line that begins with `->`, `else`, `grad` or `require`, and
    after another line end. A keyword is a name after `.`, before `=` at the start of an argument, and after `:` in [ ].
    """
    opened: list[str] = []
    line_end: Token | None = None
    before = Token("_NL", "")
    for token, after in pairwise(_and_end(token for token in tokens if token.type != "COMMENT")):
        if token.type == "_NL":
            line_end = line_end or (None if _inside(opened) else token)
            continue
        if line_end and token.type not in CONTINUES:
            yield line_end
        line_end = None
        if token.type in CLOSERS:
            opened.append(token.type)
        elif token.type in OPENERS and opened:
            opened.pop()
        elif token.value in WORDS and _is_name(before, after, opened):
            token = token.update(type="NAME")
        yield token
        before = token
    if line_end:
        yield line_end


def _and_end(tokens: Iterable[Token]) -> Iterator[Token]:
    yield from tokens
    yield Token("$END", "")


def _inside(opened: list[str]) -> bool:
    """Inside ( ) or [ ]."""
    return bool(opened) and opened[-1] != "LBRACE"


def _is_name(before: Token, after: Token, opened: list[str]) -> bool:
    if before.type == "COLON" and _inside(opened):
        return opened[-1] == "LSQB"
    argument = after.type == "EQUAL" and before.type in ("LPAR", "LSQB", "COMMA") and _inside(opened)
    return argument or before.type == "DOT"
