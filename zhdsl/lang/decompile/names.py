"""Names of a printed program: legal, distinct, near to what the user wrote.

In: names of ports and nodes, which may be paths (`dense.W`). Out: NAMEs of the language that nothing else in the
program has: no other value, no axis, no size, no function that is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from zhdsl.lang.layout import WORDS

# Functions that printed programs call; a value of such a name would hide them.
CALLED = frozenset(
    [
        "sum",
        "max",
        "min",
        "exp",
        "log",
        "sqrt",
        "tanh",
        "sin",
        "cos",
        "erf",
        "floor",
        "ceil",
        "where",
        "stop",
        "argmax",
        "topk",
        "f16",
        "bf16",
        "f32",
        "f64",
        "i32",
        "float",
        "iota",
        "zeros",
        "ones",
        "uniform",
        "values",
        "expand",
        "concat",
        "pad",
        "flip",
        "split",
        "merge",
        "window",
        "fold",
        "scatter",
        "size",
        "mean",
        "softmax",
        "log_softmax",
        "relu",
        "sigmoid",
        "softplus",
        "gelu",
        "one_hot",
        "abs",
        "sign",
    ]
)
# Names for values that have none, by op; all others are `v`.
SHORT = {
    "max": "m",
    "sum": "s",
    "mean": "m",
    "exp": "e",
    "contract": "z",
    "window": "w",
    "gather": "r",
    "uniform": "u",
    "concat": "c",
    **dict.fromkeys(("lt", "le", "eq", "not", "and", "or"), "test"),
    **dict.fromkeys(("argmax", "topk"), "k"),
    "softmax": "p",
    **dict.fromkeys(("tanh", "relu", "sigmoid", "softplus", "gelu"), "a"),
}


class Names:
    """The names taken in one scope and the ones around it."""

    def __init__(self, taken: Iterable[str]):
        self.taken = set(taken) | CALLED | WORDS

    def inner(self, free: Iterable[str] = ()) -> Names:
        """The names of a body: what it takes is free again outside. Some outer names may be taken in it."""
        return Names(self.taken - set(free))

    def fresh(self, wanted: str) -> str:
        """The wanted name, or with a number behind it where it is taken."""
        base = legal(wanted)
        if base in self.taken and base not in CALLED and base not in WORDS and not base[-1:].isdigit():
            numbers = (f"{base}{n}" for n in range(2, 10**9))
        else:
            numbers = (f"{base}_{n}" if n else f"{base}_" for n in range(10**9))
        found = base if base not in self.taken else next(n for n in numbers if n not in self.taken)
        self.taken.add(found)
        return found


def legal(wanted: str) -> str:
    """A NAME near to any text: `dense.W` is `dense_W`."""
    base = re.sub(r"[^A-Za-z0-9_]+", "_", wanted.rstrip("'")).rstrip("_")
    return base if base and not base[0].isdigit() else f"v{base}"


def gradient(of: str) -> str:
    """The name of a gradient: `dW` of `W`, `dW1` of `W1`, `d_dense_W` of `dense.W`."""
    base = legal(of)
    return f"d{base}" if re.fullmatch(r"[A-Za-z][0-9]?", base) else f"d_{base}"
