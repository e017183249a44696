"""Z00xx: a file that cannot be read, characters that must not be there, limits."""

from __future__ import annotations

from zhdsl.lang import limits
from zhdsl.lang.codes.code import Code

_LIMIT = "The limit keeps every later stage within bounded time and memory; nothing written by hand comes near it."

CODES: tuple[Code, ...] = (
    Code(
        "Z0001",
        "a file cannot be read",
        "There is no file of this name, or the system does not let you read it. Names in `use` are relative to the "
        "project's folder.",
    ),
    Code(
        "Z0002",
        "not a file",
        "The path names a folder, a pipe, a device or a socket. A `.zh` text is read from a regular file only, so that "
        "reading always ends.",
    ),
    Code(
        "Z0003",
        "the file is too large",
        f"A file may have {limits.SIZE:_} bytes. Split it and `use` the parts. {_LIMIT}",
    ),
    Code(
        "Z0004",
        "a path leaves the project's folder",
        "`use` reads only files inside the project's folder, also through links and `..`. Copy the file into it.",
    ),
    Code(
        "Z0005",
        "the file is not UTF-8",
        "A `.zh` text is UTF-8, with or without a byte order mark. Save it as UTF-8 in your editor.",
    ),
    Code(
        "Z0006",
        "a control character",
        "The text holds a NUL or another control character, which no editor shows. Such files are usually damaged, or "
        "are no text at all. Line feeds and tabs are allowed.",
        'const A = "\x07"\n',
    ),
    Code(
        "Z0007",
        "an invisible or reordering character",
        "The text holds a character that is not seen (a zero-width space, a byte order mark in the middle) or that "
        "changes the order in which others are shown (a bidirectional control). What you read would not be what is "
        "compiled, so they are not allowed, not even in comments and strings.",
        "const A = 1  # a\u200bb\n",
    ),
    Code(
        "Z0008",
        "half of a surrogate pair",
        "The text, given from Python, holds a lone surrogate: it was decoded from broken bytes. No file can hold one.",
        "# \ud800\n",
    ),
    Code(
        "Z0009",
        "an unusual line end",
        "Lines end with a line feed, or with a carriage return and a line feed. A carriage return alone, or a Unicode "
        "line separator, would make your editor and the compiler count lines differently.",
        "const A = 1\rconst B = 2\n",
    ),
    Code(
        "Z0010",
        "too many words and signs",
        f"A file may have {limits.TOKENS:_} words and signs, comments and line ends included. Split it. {_LIMIT}",
    ),
    Code(
        "Z0011",
        "too many open brackets",
        f"At most {limits.NESTING} brackets may be open at one place. Give an inner part a name on a line of its own. "
        f"{_LIMIT}",
        f"const A = {'(' * 201}1{')' * 201}\n",
    ),
    Code(
        "Z0012",
        "a line is too long",
        f"A line may have {limits.LINE:_} characters. Inside ( ) and [ ] a line may be broken anywhere. {_LIMIT}",
        f"# {'x' * 10_000}\n",
    ),
    Code(
        "Z0013",
        "nested too deep",
        f"The syntax tree may be {limits.DEPTH} levels deep. Brackets, operators in a row, pipes in a row and "
        f"`else if` in a row each add one. Give a part a name on a line of its own. {_LIMIT}",
        f"const A = {' + '.join(['1'] * 201)}\n",
    ),
    Code(
        "Z0014",
        "a number is too long",
        f"A number may have {limits.DIGITS} characters. A 64-bit float holds 17 significant digits.",
        f"const A = 0.{'3' * 100}\n",
    ),
    Code(
        "Z0015",
        "a number is out of range",
        "Integers go up to 2^63 - 1 = 9_223_372_036_854_775_807. Other numbers must fit a 64-bit float: a number that "
        "would become infinite, or that would become zero though it is not, is an error. Infinity is written `inf`.",
        "const A = 1e400\n",
    ),
)
