r"""What a node computes, as a formula in a small part of TeX: readable as it is, and the page draws MathML of it.

    y_{B N} = ∑_{D} x_{B D} · W_{D N}

Words of letters, digits, dots and primes are names; `_{…}`, `^{…}`, `\frac{…}{…}` and `\sqrt{…}` are the only commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from zhdsl.ir.node import Node

LETTERS = "xzuvwabcd"
ELEMENTWISE = {
    "add": "{0} + {1}",
    "sub": "{0} − {1}",
    "mul": "{0} · {1}",
    "div": r"\frac{{{0}}}{{{1}}}",
    "neg": "−{0}",
    "exp": "e^{{{0}}}",
    "sqrt": r"\sqrt{{{0}}}",
    "eq": "[{0} = {1}]",
    "ne": "[{0} ≠ {1}]",
    "lt": "[{0} < {1}]",
    "le": "[{0} ≤ {1}]",
    "gt": "[{0} > {1}]",
    "ge": "[{0} ≥ {1}]",
    "and": "{0} ∧ {1}",
    "or": "{0} ∨ {1}",
    "not": "¬{0}",
    "where": "{1} if {0} else {2}",
}
REDUCE = {"sum": "∑", "max": "max", "argmax": "argmax", "min": "min", "prod": "∏"}


def formula(node: Node) -> str:
    """`y_{…} = …` for a node; empty for a source."""
    if not node.operands or node.type.dtype == "tuple":
        return ""
    names = [_value(x, LETTERS[i] if i < len(LETTERS) else f"x{i}") for i, x in enumerate(node.operands)]
    return f"{_indexed('y', node.type.labels)} = {_right_side(node, names)}"


def _right_side(node: Node, names: list[str]) -> str:
    op: Any = node.op
    if op.name in ELEMENTWISE:
        return ELEMENTWISE[op.name].format(*names)
    if op.name == "ipow":
        return f"{names[0]}^{{{_exponent(op)}}}"
    if op.family == "contract":
        return f"∑_{{{_labels(op.labels)}}} {' · '.join(names)}"
    if op.family == "reduce" and op.name in REDUCE:
        return f"{REDUCE[op.name]}_{{{_labels(op.labels)}}} {names[0]}"
    if op.name == "relabel":
        return names[0]
    return f"{op.name}({', '.join(names)})"


def _exponent(op: Any) -> str:
    return next((str(getattr(op, f.name)) for f in fields(op)), "k")


def _value(node: Node, letter: str) -> str:
    if node.op.name == "const":
        value: Any = getattr(node.op, "value", "")
        return f"{value:g}" if isinstance(value, float) else _word(str(value))
    if node.op.name in ("param", "state"):
        path: Any = getattr(node.op, "path", "")
        return _indexed(_word(path.rpartition(".")[2]) or letter, node.type.labels)
    return _indexed(letter, node.type.labels)


def _indexed(name: str, labels: Iterable[str]) -> str:
    text = _labels(labels)
    return f"{name}_{{{text}}}" if text else name


def _labels(labels: Iterable[str]) -> str:
    return " ".join(_word(label) for label in labels)


def _word(text: str) -> str:
    """A name without what has a meaning in a formula."""
    return re.sub(r"[^\w.']", "", text)[:40]
