"""The token types that could stand at a place, in words."""

from __future__ import annotations

# (types that must all be there, types that the words stand for, words)
FAMILIES: tuple[tuple[str, str, str], ...] = (
    ("FN BLOCK MODEL", "USE CONST FN BLOCK MODEL DATASET TRAIN CHECK AT", "an item (`fn`, `block`, `model`, …)"),
    ("RETURN PARAM", "NAME PARAM STATE UPDATE REPEAT IF WHEN EMIT RETURN", "a statement"),
    (
        "NUMBER LPAR",
        "NAME NUMBER STRING LPAR LSQB MINUS NOT TRUE FALSE INF NONE ELLIPSIS DOTDOT SCAN LAST",
        "a value",
    ),
    (
        "STAR SLASH",
        "PLUS MINUS STAR SLASH FLOORDIV PERCENT AT CIRCUMFLEX CMP AND OR ARROW IF DOT LPAR LSQB DOTDOT AS",
        "an operator",
    ),
    ("NAME LSQB", "NAME LSQB", "a type"),
    ("NAME", "NAME", "a name"),
    ("_NL", "_NL $END", "the end of the line"),
    ("$END", "$END", "the end of the file"),
)
SIGNS = {
    "COMMA": ",", "EQUAL": "=", "COLON": ":", "DOT": ".", "ARROW": "->", "LPAR": "(", "RPAR": ")", "LSQB": "[",
    "RSQB": "]", "LBRACE": "{", "RBRACE": "}", "ELLIPSIS": "...", "DOTDOT": "..", "AT": "@", "MINUS": "-", "PLUS": "+",
    "STAR": "*", "SLASH": "/", "FLOORDIV": "//", "PERCENT": "%", "CIRCUMFLEX": "^", "CMP": "<",
}  # fmt: skip
OTHERS = {"STRING": "a string", "NUMBER": "a number"}


def in_words(types: frozenset[str]) -> str:
    """A phrase such as "a value, `,` or `)`"."""
    left, words = set(types), []
    for needed, covered, phrase in FAMILIES:
        if set(needed.split()) <= left:
            left -= set(covered.split())
            words.append(phrase)
    words += sorted(OTHERS.get(type, f"`{SIGNS.get(type, type.lower())}`") for type in left)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else "nothing more"
