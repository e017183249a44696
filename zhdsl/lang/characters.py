"""Which characters a text may hold: no invisible or reordering ones, no control characters, no lone surrogates.

What a reader sees must be what the compiler reads, in comments and strings too. Any visible character may stand in a
comment or a string; what may stand in code is the grammar's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zhdsl.errors import Diagnostic, SpecError
from zhdsl.lang import limits
from zhdsl.source import Source, Span

# (pattern of one character, code, what it is, help); the first pattern that matches answers.
KINDS: tuple[tuple[str, str, str, str], ...] = (
    (r"\x00", "Z0006", "a NUL character", "this is not a text file, or it was damaged; remove the character"),
    (r"\r", "Z0009", "a carriage return without a line feed", "end lines with LF (or CR LF)"),
    (r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "Z0006", "a control character", "remove it"),
    ("[\ud800-\udfff]", "Z0008", "half of a surrogate pair", "the text was damaged; write the character again"),
    ("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", "Z0007", "a character that reorders the text", "remove it"),
    (
        "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\u3164\ufeff"
        "\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]",
        "Z0007",
        "an invisible character",
        "remove it",
    ),
    ("[\u2028\u2029]", "Z0009", "a Unicode line separator", "end lines with LF (or CR LF)"),
)

FORBIDDEN = re.compile("|".join(kind[0] for kind in KINDS))


def require_characters(source: Source) -> None:
    """Raise `SpecError` for a text that is too long, has too long a line, or holds a forbidden character."""
    if len(source.text) > limits.SIZE:
        raise too_large(source.name, None)
    found = list(_problems(source))
    if found:
        raise SpecError(sorted(found, key=lambda d: d.span.key if d.span else ("", 0, 0))[: limits.ERRORS])


def too_large(name: str, at: Span | None) -> SpecError:
    """The error for a text over the size limit; `at` is the `use` that asked for it, if any."""
    message = f"{name} is larger than {limits.SIZE:_} bytes"
    return SpecError(Diagnostic("Z0003", message, at, help="split it into files and `use` them"))


def _problems(source: Source) -> Iterator[Diagnostic]:
    for number, start in enumerate(source.starts, 1):
        end = source.starts[number] - 1 if number < len(source.starts) else len(source.text)
        if end - start > limits.LINE:
            message = f"a line has {end - start:_} characters, the limit is {limits.LINE:_}"
            yield Diagnostic("Z0012", message, Span(source, start, start + 1), help="break the line inside brackets")
    for character in filter(FORBIDDEN.match, sorted(set(source.text))):  # one report each: a damaged file has thousands
        match = re.search(r"\r(?!\n)" if character == "\r" else re.escape(character), source.text)
        if match:
            yield _forbidden(source, match)


def _forbidden(source: Source, match: re.Match[str]) -> Diagnostic:
    code, what, help = next(kind[1:] for kind in KINDS if re.match(kind[0], match[0]))
    return Diagnostic(code, f"{what}, U+{ord(match[0]):04X}", Span(source, *match.span()), help=help)
