"""What is wrong with a text that does not follow the grammar, in words: the place, the cause, what to write instead.

The parser knows a token that cannot stand where it stands, and those that could. `RULES` is tried in order; each rule
knows one mistake and answers with its own code, the last one with what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import foreign, limits
from zhdsl.lang.expected import in_words
from zhdsl.lang.layout import CLOSERS, ITEMS, OPENERS, WORDS, span, words
from zhdsl.lang.nearest import nearest
from zhdsl.source import Source, Span

ENDS = words("_NL $END")
OPERATORS = words("PLUS MINUS STAR SLASH FLOORDIV PERCENT AT CIRCUMFLEX CMP AND OR")
BORDERS = words("COMMA EQUAL IF ELSE RETURN EMIT LAST COLON REQUIRE CHECK UPDATE CONST WHEN FROM")
STATEMENTS = words("PARAM STATE UPDATE REPEAT IF WHEN EMIT RETURN SCAN")
CONSTRUCTS = words("SCAN IF REPEAT WHEN RETURN EMIT")  # not to be taken for names in an expression
LINE_ENDS = {"EQUAL": "write the value on the same line", "COMMA": "remove it, or go on in the same line"}
VALUES = words("NAME NUMBER STRING LPAR LSQB TRUE FALSE INF NONE NOT ELLIPSIS")


@dataclass(frozen=True)
class Trouble:
    """A token that cannot stand where it stands. `tokens` is the item around it, as the grammar sees it."""

    source: Source
    tokens: list[Token]
    at: int
    accepts: frozenset[str]

    def __getitem__(self, offset: int) -> Token:
        """The token `offset` places from the bad one; an end of line outside of the item."""
        place = self.at + offset
        return self.tokens[place] if 0 <= place < len(self.tokens) else Token("_NL", "")

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def span(self) -> Span:
        """Of the bad token; of the end of the line before, for an end of line."""
        if self.token.type in ENDS and self.at:
            end = self[-1].end_pos or 0
            return Span(self.source, end, end)
        return span(self.source, self.token)

    @cached_property
    def open(self) -> Token | None:
        """The innermost bracket that is open."""
        stack: list[Token] = []
        for token in self.tokens[: self.at]:
            if token.type in CLOSERS:
                stack.append(token)
            elif token.type in OPENERS and stack:
                stack.pop()
        return stack[-1] if stack else None

    @cached_property
    def begin(self) -> int:
        """Index of the first token of the line of thought: after an end of line or a brace."""
        places = range(self.at - 1, -1, -1)
        return next((i + 1 for i in places if self.tokens[i].type in ("_NL", "LBRACE", "RBRACE")), 0)

    @cached_property
    def level(self) -> list[Token]:
        """The tokens before the bad one at its level of brackets, from the nearest border on."""
        found: list[Token] = []
        depth = 0
        for token in reversed(self.tokens[self.begin : self.at]):
            depth += (token.type in OPENERS) - (token.type in CLOSERS)
            if depth < 0 or (depth == 0 and token.type in BORDERS):
                break
            if depth == 0:
                found.insert(0, token)
        return found

    @property
    def braced(self) -> bool:
        return self.open is not None and self.open.type == "LBRACE"

    @property
    def starts(self) -> bool:
        """The bad token begins a line of thought."""
        return self.begin == self.at

    def text(self, first: Token, last: Token) -> str:
        """The text from one token to another, shortened to fit a line."""
        return _short(self.source.text[first.start_pos or 0 : last.end_pos or 0])

    def word(self, offset: int = 0) -> str:
        """The text of a token near the bad one, shortened."""
        return _short(self[offset])

    def error(self, code: str, message: str, help: str, at: Span | None = None) -> Diagnostic:
        return Diagnostic(code, message, at or self.span, help=help)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:18]} … {text[-18:]}"


def explain(source: Source, tokens: list[Token], at: int, accepts: frozenset[str]) -> Diagnostic:
    """The diagnostic for `tokens[at]`, which the grammar does not allow; `accepts` are the types that it does."""
    trouble = Trouble(source, tokens, at, accepts)
    return next(found for rule in RULES if (found := rule(trouble)))


def check_tokens(source: Source, tokens: Iterable[Token]) -> None:
    """Raise `SpecError` for characters that no token begins with, and for numbers that are too long."""
    found: dict[int, Diagnostic] = {}  # one for each line: what follows on the line is often its consequence
    for token in tokens:
        line = token.line or 0
        if len(found) == limits.ERRORS:
            break
        if token.type == "ODD" and line not in found:
            found[line] = foreign.character(source, token)
        elif token.type == "NUMBER" and len(token) > limits.DIGITS and line not in found:
            message = f"a number of {len(token)} characters, the limit is {limits.DIGITS}"
            found[line] = Diagnostic("Z0014", message, span(source, token), help="17 digits are as many as f64 holds")
    if found:
        raise SpecError(found.values())


# ---------------------------------------------------------------- signs
def foreign_operator(t: Trouble) -> Diagnostic | None:
    found = foreign.operator(t.source, t.tokens, t.at)
    if found is None:
        return None
    at, written, instead = found
    return t.error("Z0115", f"`{written}` is no operator of the language", f"write {instead}", at)


def malformed_number(t: Trouble) -> Diagnostic | None:
    before, after = t[-1], t[1]
    if t.token.type == "DOT" and after.type == "NUMBER" and after.start_pos == t.token.end_pos:
        at = span(t.source, t.token) | span(t.source, after)
        return t.error("Z0117", f"`.{t.word(1)}` is no number", f"write `0.{t.word(1)}`", at)
    if before.type == "NUMBER" and t.token.type in ("NAME", "NUMBER") and before.end_pos == t.token.start_pos:
        at = span(t.source, before) | span(t.source, t.token)
        help = "numbers are decimal" if before == "0" else f"write `{t.word(-1)} * {t.word()}`"
        return t.error("Z0117", f"`{_short(at.text)}` is neither a number nor a name", help, at)
    if before.type == "DOT" and t[-2].type == "NUMBER" and t[-2].end_pos == before.start_pos:
        at = span(t.source, t[-2]) | span(t.source, before)
        return t.error("Z0117", f"`{_short(at.text)}` is no number", f"write `{t.word(-2)}.0` or `{t.word(-2)}`", at)
    return None


def chained_comparison(t: Trouble) -> Diagnostic | None:
    if t.token.type != "CMP":
        return None
    split = next((i for i in range(len(t.level) - 1, -1, -1) if t.level[i].type in ("CMP", "AND", "OR", "ARROW")), -1)
    if split < 0 or t.level[split].type != "CMP" or split + 1 >= len(t.level):
        return None
    middle = t.text(t.level[split + 1], t[-1])
    first = t.level[split]
    help = f"write `… {first} {middle} and {middle} {t.word()} …`"
    return t.error("Z0109", "comparisons cannot be chained", help, span(t.source, first) | t.span)


def pipe_binds_last(t: Trouble) -> Diagnostic | None:
    if t.token.type not in OPERATORS or "ARROW" not in t.accepts or not t.level:
        return None
    if "ARROW" not in {token.type for token in t.level}:
        return None
    help = f"write `({t.text(t.level[0], t[-1])}) {t.word()} …`, or give the pipe a name on a line of its own"
    return t.error("Z0108", f"the pipe binds last, so `{t.word()}` cannot follow it", help)


def equal_sign(t: Trouble) -> Diagnostic | None:
    if t.token.type != "EQUAL" or "CMP" not in t.accepts:
        return None
    help = f"write `{t.text(t.level[0], t[-1])} == …` to compare" if t.level else "write `==` to compare"
    return t.error("Z0111", "`=` gives a value to a name, it does not compare", help)


# ---------------------------------------------------------------- words
def foreign_word(t: Trouble) -> Diagnostic | None:
    for place in (t.at, t.at - 1):
        token = t.tokens[place] if place >= 0 else None
        if token is None or (place < t.at and token.type != "NAME"):
            continue
        help = foreign.WORDS.get(str(token))
        first = place == 0 or t.tokens[place - 1].type in ("_NL", "LBRACE", "RBRACE", "ELSE", "EQUAL", "RETURN")
        if help and first:
            return t.error("Z0112", f"`{_short(token)}` is no word of the language", help, span(t.source, token))
    return None


def misplaced_word(t: Trouble) -> Diagnostic | None:
    kind, word = t.token.type, t.token
    if not t.starts or kind not in ITEMS | STATEMENTS:
        return None
    if t.open is None and kind in STATEMENTS:
        help = "put it into the body of a fn, block or model"
        return t.error("Z0118", f"`{word}` stands outside of a definition", help)
    if not t.braced or kind not in ITEMS:
        return None
    help = "write `name = value` without a word before it" if kind == "CONST" else "move it out of the braces"
    return t.error("Z0118", f"`{word}` stands inside of braces", help)


def construct_in_expression(t: Trouble) -> Diagnostic | None:
    if t.token.type == "SCAN" and t.starts and t.braced:
        return t.error("Z0123", "the value of this scan has no name", "write `y = scan …` or `return scan …`")
    if "NUMBER" not in t.accepts or t.token.type not in CONSTRUCTS:
        return None
    helps = {
        "SCAN": "give the scan a line of its own: `y = scan …`, then use `y`",
        "IF": "write `a if c else b`, decided at compile time; at run time it is `where(c, a, b)`",
    }
    help = helps.get(t.token.type, "give it a line of its own")
    return t.error("Z0119", f"`{t.word()}` cannot stand inside of an expression", help)


def lone_else(t: Trouble) -> Diagnostic | None:
    if t.token.type != "ELSE" or t.accepts & {"NUMBER", "NAME"}:
        return None
    return t.error("Z0126", "this `else` belongs to no `if`", "write `a if c else b`, or `if c { … } else { … }`")


def reserved_word(t: Trouble) -> Diagnostic | None:
    if t.token.value not in WORDS or "NAME" not in t.accepts:
        return None
    message = f"`{t.word()}` is a word of the language and cannot be a name"
    return t.error("Z0102", message, f"choose another name, for example `{t.word()}_`")


# ---------------------------------------------------------------- lines
def unfinished_line(t: Trouble) -> Diagnostic | None:
    if t.token.type not in ENDS or not t.at:
        return None
    if t[-1].type in OPERATORS | {"COMMA", "EQUAL", "ARROW", "NOT", "DOT"}:
        help = LINE_ENDS.get(t[-1].type, "put the whole into ( ), or break before `->`: a line may begin with it")
        return t.error("Z0114", f"a line cannot end with `{t.word(-1)}`", help, span(t.source, t[-1]))
    if t.accepts & {"LBRACE"}:
        return None
    help = f"expected {in_words(t.accepts)}"
    return t.error("Z0101", "the line ends too early", help)


def broken_line(t: Trouble) -> Diagnostic | None:
    if not t.starts or not t.at or t.token.type not in OPERATORS - {"AT"}:
        return None
    help = "put the whole into ( ), or break before `->`: a line may begin with it"
    return t.error("Z0114", f"a line cannot begin with `{t.word()}`", help)


def missing_body(t: Trouble) -> Diagnostic | None:
    if "LBRACE" not in t.accepts or t.token.type not in ENDS | {"COLON", "EQUAL"}:
        return None
    if t[1].type == "LBRACE":
        return t.error("Z0120", "`{` stands on a line of its own", "move it to the end of the line before")
    return t.error("Z0120", "the body is missing", "write `{`, the lines of the body, and `}`")


def missing_type(t: Trouble) -> Diagnostic | None:
    first = t.tokens[t.begin].type if t.begin < len(t.tokens) else ""
    if t.token.type == "EQUAL" and "COLON" in t.accepts and first in ("PARAM", "STATE"):
        name = t.text(t.tokens[t.begin], t[-1])
        return t.error("Z0124", f"`{name}` needs a type", f"write its axes: `{name}: [D, N] = …`")
    if t.accepts == {"LSQB"} and t[-1].type == "NAME" and t[-2].type in ("COLON", "ARROW"):
        help = f"write `{t.word(-1)}[]` for a single number, `{t.word(-1)}[B, D]` for a tensor"
        return t.error("Z0125", f"the type `{t.word(-1)}` lacks its axes", help, span(t.source, t[-1]))
    if t[-1].type == "NAME" and t.accepts == {"COLON", "LSQB"}:
        help = f"write `{t.word(-1)}: [B, D]` for a named result, `[{t.word(-1)}]` for a type"
        return t.error("Z0125", f"`{t.word(-1)}` is no type", help, span(t.source, t[-1]))
    return None


def outside_word(t: Trouble) -> Diagnostic | None:
    """Something at top level that begins no item."""
    if not t.starts or t.open is not None or "FN" not in t.accepts:
        return None
    if t.token.type == "NAME" and t[1].type == "EQUAL":
        return t.error("Z0121", f"`{t.word()}` is assigned outside of a definition", f"write `const {t.word()} = …`")
    like = nearest(t.token.value, sorted(word for word in WORDS if word.upper() in ITEMS))
    if t.token.type in ITEMS:
        help = f"remove the annotation before this `{t.word()}`"
        return t.error("Z0122", "an annotation belongs to a fn, a block or a model", help)
    known = "an item begins with use, const, fn, block, model, dataset, train or check"
    help = f"did you mean `{like}`?" if like else known
    return t.error("Z0122", f"`{t.word()}` begins no item", help)


def unused_value(t: Trouble) -> Diagnostic | None:
    """A line in a body that is a mere expression."""
    first = t.tokens[t.begin].type
    if not t.braced or _in_recipe(t):
        return None
    lone = t.at == t.begin + 1 and first == "NAME" and t.token.type not in ("NAME", "COLON", "COMMA", "EQUAL")
    if not lone and not (t.starts and t.token.type in VALUES - {"NAME"} | {"MINUS"}):
        return None
    return t.error("Z0123", "the value of this line has no name", "write `name = …` or `return …`", t.span)


def _in_recipe(t: Trouble) -> bool:
    """The open brace is that of a `train`."""
    place = next(i for i, token in enumerate(t.tokens) if token is t.open)
    first = next((i + 1 for i in range(place - 1, -1, -1) if t.tokens[i].type == "_NL"), 0)
    return t.tokens[first].type == "TRAIN"


def missing_comma(t: Trouble) -> Diagnostic | None:
    if t.token.type not in VALUES or not t.at:
        return None
    if t.open is not None and not t.braced and "COMMA" in t.accepts:
        return t.error("Z0113", "a comma is missing", f"write `{t.word(-1)}, {t.word()}`")
    if "STAR" in t.accepts:
        return t.error("Z0113", "an operator or the end of a line is missing", f"write it after `{t.word(-1)}`")
    return None


def anything(t: Trouble) -> Diagnostic:
    return t.error("Z0100", f"`{t.word()}` cannot stand here", f"expected {in_words(t.accepts)}")


RULES: tuple[Callable[[Trouble], Diagnostic | None], ...] = (
    foreign_operator,
    malformed_number,
    chained_comparison,
    pipe_binds_last,
    equal_sign,
    foreign_word,
    misplaced_word,
    construct_in_expression,
    lone_else,
    reserved_word,
    unfinished_line,
    broken_line,
    missing_body,
    missing_type,
    outside_word,
    unused_value,
    missing_comma,
    anything,
)
