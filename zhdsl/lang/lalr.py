"""The LALR automaton, run on Lark's tables with the callbacks that Lark made.

Lark's own loop treats every reduction alike. In this grammar nine of ten only pass a value on to the next level of
precedence (`?sum: prod`). Here such a chain is walked once and kept: what it leads to depends only on the two topmost
states and the next token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lark import Lark, Token

Reduction = tuple[int, Callable[[list[Any]], Any] | None, str]  # children, what makes the value (None: it stays), rule
Row = dict[str, int | Reduction]  # token type -> state to go to, or what to reduce first


class Unexpected(Exception):
    """A token that no continuation of the text allows."""


class Tables:
    """The automaton: rows are made from Lark's as they are needed."""

    def __init__(self, lark: Lark) -> None:
        conf: Any = lark.parse_interactive("").parser_state.parse_conf
        self.start: int = conf.start_state
        self.end: int = conf.end_state
        self.states: dict[int, dict[str, tuple[Any, Any]]] = conf.states
        self.callbacks: dict[Any, Callable[[list[Any]], Any]] = conf.callbacks
        self.rows: dict[int, Row] = {}
        self.chains: dict[tuple[int, int, str], int] = {}

    def row(self, state: int) -> Row:
        """What each token does in a state."""
        known = self.rows.get(state)
        if known is None:
            actions = ((name, arg) for name, (_, arg) in self.states[state].items() if name.isupper())
            known = {name: arg if isinstance(arg, int) else self._reduction(arg) for name, arg in actions}
            self.rows[state] = known
        return known

    def goto(self, state: int, rule: str) -> int:
        """The state after a whole `rule`."""
        after: int = self.states[state][rule][1]
        return after

    def passed(self, below: int, top: int, type: str) -> int:
        """The state in place of `top` once every reduction that only passes its value on is done."""
        found = self.chains.get((below, top, type))
        if found is None:
            found, action = top, self.row(top)[type]
            while isinstance(action, tuple) and action[1] is None:
                found = self.goto(below, action[2])
                action = self.row(found).get(type, 0)
            self.chains[below, top, type] = found
        return found

    def _reduction(self, rule: Any) -> Reduction:
        passes = len(rule.expansion) == 1 and rule.options.expand1 and not rule.alias
        return len(rule.expansion), None if passes else self.callbacks[rule], rule.origin.name


class Machine:
    """A run of the automaton over one text."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.states = [tables.start]
        self.values: list[Any] = []

    def feed(self, token: Token) -> Any:
        """Take a token; the value of the whole text for `$END`. Raises `Unexpected` with nothing taken."""
        states, values, row, type = self.states, self.values, self.tables.row, token.type
        while True:
            action = row(states[-1]).get(type)
            if action is None:
                raise Unexpected
            if isinstance(action, int):
                states.append(action)
                values.append(token)
                return None
            size, make, origin = action
            if make is None:
                states[-1] = self.tables.passed(states[-2], states[-1], type)
                continue
            first = len(values) - size
            children = values[first:]
            del states[first + 1 :], values[first:]
            values.append(make(children))
            states.append(self.tables.goto(states[-1], origin))
            if states[-1] == self.tables.end:
                return values[-1]

    def accepts(self) -> frozenset[str]:
        """The types of token that could come next."""
        return frozenset(type for type in self.tables.row(self.states[-1]) if self._allows(type))

    def _allows(self, type: str) -> bool:
        """Whether a token would be taken in the end; a state of LALR tables may reduce first and fail then."""
        states = list(self.states)
        while True:
            action = self.tables.row(states[-1]).get(type)
            if action is None or isinstance(action, int):
                return action is not None
            size, _, origin = action
            del states[len(states) - size :]
            states.append(self.tables.goto(states[-1], origin))
            if states[-1] == self.tables.end:
                return True
