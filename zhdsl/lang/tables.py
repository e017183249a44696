"""The parser's tables: made from `grammar.lark` once, kept as `tables.json`, loaded at every start.

Lark needs 150 ms to turn the grammar into tables and 25 ms to load them. Run `python -m zhdsl.lang.tables` after a
change of the grammar. Tables that do not belong to the grammar beside them or to this version of Lark are not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lark import Lark, Token

HERE = Path(__file__).parent
GRAMMAR = HERE / "grammar.lark"
TABLES = HERE / "tables.json"
LIVE = ("postlex", "transformer")  # options that are objects: given again when the tables are loaded


class _Whole:
    """Tells Lark to keep the terminals that no rule uses; `layout` takes them out of the stream."""

    always_accept = ("_NL", "COMMENT", "ODD")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


def load(builder: object) -> Lark:
    """A parser whose reductions call the methods of `builder` (see `build.py`)."""
    stored = _stored()
    if stored is None:
        return build(builder)
    import lark

    loader: Any = lark.Lark  # not public, but what Lark's own stand-alone parsers are loaded with
    parser: Lark = loader._load_from_dict(stored["data"], stored["memo"], postlex=_Whole(), transformer=builder)
    return parser


def build(builder: object | None = None) -> Lark:
    """The same from the grammar, without the stored tables."""
    from lark import Lark

    return Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        keep_all_tokens=True,  # every record gets its span from its first and last token
        maybe_placeholders=True,
        postlex=_Whole(),
        transformer=builder,
    )


def stamp() -> str:
    """What the tables depend on: the grammar, the options (this file) and the version of Lark."""
    import lark

    text = GRAMMAR.read_bytes() + Path(__file__).read_bytes() + lark.__version__.encode()
    return hashlib.sha256(text).hexdigest()


def dump() -> str:
    """The text of `tables.json`."""
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

    data, memo = build().memo_serialize([TerminalDef, Rule])
    data["options"] = {name: value for name, value in data["options"].items() if name not in LIVE}
    whole = {"stamp": stamp(), **_canonical(data, memo)}
    return json.dumps(whole, separators=(",", ":"), sort_keys=True) + "\n"


def _canonical(data: dict[str, Any], memo: dict[int, Any]) -> dict[str, Any]:
    """The same tables, numbered alike in every run: Lark numbers them by the order of sets."""
    order = sorted(memo, key=lambda key: json.dumps(memo[key], sort_keys=True))
    numbers = {key: number for number, key in enumerate(order)}

    def renumbered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: numbers[part] if key == "@" else renumbered(part) for key, part in value.items()}
        return [renumbered(part) for part in value] if isinstance(value, list | tuple) else value

    data = renumbered(data)
    for rules in (data["rules"], data["parser"]["parser_conf"]["rules"], data["parser"]["lexer_conf"]["terminals"]):
        rules.sort(key=lambda reference: reference["@"])
    data["parser"]["parser"] = _canonical_states(data["parser"]["parser"])
    return {"data": data, "memo": {number: memo[key] for key, number in numbers.items()}}


def _canonical_states(table: dict[str, Any]) -> dict[str, Any]:
    """States in the order in which they are reached, symbols in the order of the alphabet."""
    names = sorted(table["tokens"].values())
    rows = {
        state: {names.index(table["tokens"][symbol]): action for symbol, action in row.items()}
        for state, row in table["states"].items()
    }
    reached = [table["start_states"]["start"]]
    for state in reached:  # grows while it is walked
        for _, (reduces, target) in sorted(rows[state].items()):
            if not reduces and target not in reached:
                reached.append(target)
    number = {state: place for place, state in enumerate(reached)}
    return {
        **table,
        "tokens": dict(enumerate(names)),
        "states": {
            number[state]: {
                symbol: [reduces, target if reduces else number[target]]
                for symbol, (reduces, target) in rows[state].items()
            }
            for state in reached
        },
        "start_states": {"start": number[table["start_states"]["start"]]},
        "end_states": {"start": number[table["end_states"]["start"]]},
    }


def _stored() -> dict[str, Any] | None:
    """The stored tables with their integer keys back (JSON has only strings); None when they are stale or missing."""
    try:
        stored: dict[str, Any] = json.loads(TABLES.read_text(encoding="utf-8"))
        if stored["stamp"] != stamp():
            return None
        parser = stored["data"]["parser"]["parser"]
        parser["tokens"] = _integers(parser["tokens"])
        parser["states"] = {int(state): _integers(row) for state, row in parser["states"].items()}
        return stored | {"memo": _integers(stored["memo"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _integers(table: dict[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in table.items()}


if __name__ == "__main__":
    TABLES.write_text(dump(), encoding="utf-8")
