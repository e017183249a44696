"""Elementwise ops as C expressions on registers, from the kernels that the ops carry as data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

from zhdsl.backends.native.ctext import C_TYPES, literal
from zhdsl.ops.elementwise import Cast, IPow
from zhdsl.ops.families import Elementwise
from zhdsl.schedule.tape import Fill

FUNCTION = re.compile(r"\b(exp|log|sqrt|tanh|erf|sin|cos|floor|pow|floordiv|mod)\(")
OPERANDS = ("x", "y", "z")


def expression(op: Elementwise, operands: Sequence[str], dtype: str, given: str) -> str:
    """The value of an op.

    Args:
        op: any elementwise op.
        operands: names or literals; each may be written several times.
        dtype: of the operands that functions are applied to.
        given: dtype of the result.
    """
    if isinstance(op, Fill):
        return literal(op.value, given)
    if isinstance(op, IPow):
        return _ipow(operands[0], op.exponent, dtype)
    if isinstance(op, Cast):
        return f"({operands[0]} != 0)" if given == "bool" else f"(({C_TYPES[given]})({operands[0]}))"
    own = {f.name: getattr(op, f.name) for f in fields(op)}
    text = op.kernel.format(**dict(zip(OPERANDS, operands, strict=False)), **own)
    return FUNCTION.sub(lambda m: f"zh_{m.group(1)}_{dtype}(", text)


def _ipow(x: str, exponent: int, dtype: str) -> str:
    """x ^ k by squaring, lowest bit first, as the op multiplies."""
    one = literal(1, dtype)
    k, square, factors = abs(exponent), x, []
    while k:
        if k & 1:
            factors.append(square)
        k >>= 1
        square = f"({square} * {square})"
    power = one if not factors else factors[0]
    for factor in factors[1:]:
        power = f"({power} * {factor})"
    return f"({one} / {power})" if exponent < 0 else power
