"""Words, operators and characters of other languages, and what to write instead. Tables only, and their look-up."""

from __future__ import annotations

from lark import Token

from zhdsl.errors import Diagnostic
from zhdsl.lang.layout import span
from zhdsl.source import Source, Span

_BLOCK = "write `block Name[statics](x: [B, D]) -> [B, D] { … }`"
_FN = "write `fn name(x: [B, D]) -> [B, D] { … }`"
_LOOP = "write `repeat n as i { … }`, or `scan t over T from … { … }` along an axis"
_USE = 'write `use "file.zh"` or `use std.name`'
_PLAIN = "write `name = value` without a word before it (`const name = value` at top level)"
_IF = "write `if c { … } else if d { … } else { … }`"
_CASE = "write `if c { … } else { … }` for a static choice, `where(c, a, b)` for one in the data"

WORDS = {
    **dict.fromkeys(("def", "func", "function", "fun", "lambda", "proc", "sub"), _FN),
    **dict.fromkeys(("class", "layer", "module", "struct", "object"), _BLOCK),
    **dict.fromkeys(("network", "net"), "write `model Name(x: [B, D]) -> y: [B, K] { … }`"),
    **dict.fromkeys(("import", "include", "from", "using", "load"), _USE),
    **dict.fromkeys(("let", "var", "val", "auto", "set", "mut", "global", "static"), _PLAIN),
    **dict.fromkeys(("for", "while", "loop", "foreach", "do"), _LOOP),
    **dict.fromkeys(("elif", "elsif", "elseif"), _IF),
    **dict.fromkeys(("switch", "match", "case", "unless"), _CASE),
    **dict.fromkeys(("parameter", "weight", "weights", "variable"), "write `param W: [D, N] = glorot`"),
    **dict.fromkeys(("yield",), "write `emit y` in a scan"),
    **dict.fromkeys(("assert",), "write `check claim` at top level, or `require claim` in a signature"),
    **dict.fromkeys(("print", "echo"), "`zh show` prints; a program has no output but its results"),
    **dict.fromkeys(("begin", "end", "then", "pass"), "bodies stand in { }"),
}

OPERATORS = {
    "&&": "`and`", "||": "`or`", "&": "`and`", "|": "`or`", "!": "`not`", "~": "`not`", "**": "`^` for a power",
    "===": "`==`", "!==": "`!=`", "<>": "`!=`", "=<": "`<=`", "=>": "`->` for a pipe or a result, `>=` to compare",
    "<-": "`=`", ":=": "`=`", "|>": "`->`", "::": "`:`", "?": "`a if c else b`, or `where(c, a, b)`",
    "+=": "`x = x + …`", "-=": "`x = x - …`", "*=": "`x = x * …`", "/=": "`x = x / …`", "@=": "`x = x @ …`",
    "^=": "`x = x ^ …`", "%=": "`x = x % …`", "++": "`x = x + 1`", "--": "`x = x - 1`", "&=": "`x = x and …`",
    "|=": "`x = x or …`", "/*": "`#` before a comment, on every line", "*/": "`#` before a comment, on every line",
    "//": "`#` before a comment",
}  # fmt: skip
SIGNS = frozenset("!&|~?+-*/%=<>:^@")

CHARACTERS = {
    **dict.fromkeys("−–—‐‑", "`-`"),
    **dict.fromkeys("×·⋅∗", "`*`"),
    **dict.fromkeys("→⟶⇒➜", "`->`"),
    **dict.fromkeys("“”„«»‘’", '`"`'),
    **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", "a plain space"),
    **{"÷": "`/`", "≤": "`<=`", "≥": "`>=`", "≠": "`!=`", "…": "`...`", "∞": "`inf`", "∧": "`and`", "∨": "`or`"},
    **{"¬": "`not`", "√": "`sqrt(…)`", "²": "`^ 2`", "³": "`^ 3`", "＝": "`=`", "，": "`,`", "（": "`(`", "）": "`)`"},
    **{"$": "the name alone", "`": "the name alone", "\\": "nothing: inside ( ) and [ ] lines go on by themselves"},
}


def character(source: Source, token: Token) -> Diagnostic:
    """The diagnostic for a character that begins no token."""
    if token == '"':
        end = (token.start_pos or 0) + len(_rest_of_line(source, token))
        at = Span(source, token.start_pos or 0, end)
        return Diagnostic("Z0105", "the string is not closed on its line", at, help='write `"` where it ends')
    if token == "'":
        return _single_quote(source, token)
    if token == ";":
        return Diagnostic("Z0110", "`;` ends nothing here", span(source, token), help="end the line instead")
    found = operator(source, [token], 0)
    if found:
        at, written, instead = found
        return Diagnostic("Z0115", f"`{written}` is no operator of the language", at, help=f"write {instead}")
    help = f"write {CHARACTERS[token]}" if token in CHARACTERS else _about(str(token))
    return Diagnostic("Z0107", f"the character `{token}` is not of the language", span(source, token), help=help)


def _about(character: str) -> str:
    if character.isalpha():
        return "names are made of the letters A to Z, digits, `_`, and `'` at the end"
    return "remove it, or put it into a string or a comment"


def _rest_of_line(source: Source, token: Token) -> str:
    start = token.start_pos or 0
    return source.text[start:].partition("\n")[0].rstrip()


def _single_quote(source: Source, token: Token) -> Diagnostic:
    rest, start = _rest_of_line(source, token), token.start_pos or 0
    text = rest[1:].partition("'")[0]
    if "'" not in rest[1:]:
        help = 'write strings in `"`; a prime belongs to the end of a name'
        return Diagnostic("Z0106", "`'` begins nothing", span(source, token), help=help)
    at = Span(source, start, start + len(text) + 2)
    shown = text if len(text) <= 40 else text[:39] + "…"
    return Diagnostic("Z0106", 'strings stand in `"`', at, help=f'write `"{shown}"`')


def operator(source: Source, tokens: list[Token], at: int) -> tuple[Span, str, str] | None:
    """The operator of another language that the sign `tokens[at]` is a part of: its place, its text, what to write."""
    start, end = tokens[at].start_pos or 0, tokens[at].end_pos or 0
    text = source.text
    if not text[start:end] or not SIGNS.issuperset(text[start:end]):
        return None
    while start and text[start - 1] in SIGNS:
        start -= 1
    while end < len(text) and text[end] in SIGNS:
        end += 1
    run = text[start:end]
    known = OPERATORS.get(run) or OPERATORS.get(tokens[at])
    if known is None:
        return None
    return (Span(source, start, end), run, known) if run in OPERATORS else (span(source, tokens[at]), tokens[at], known)
