"""Sizes, numbers and dtypes as C.

In a kernel, `z` holds the values of the program's symbols and of loops' counters, `pn` is the number of indices of the
piece at hand, `p0` the first of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from zhdsl.errors import BackendError
from zhdsl.ir.sizes import Atom, Size
from zhdsl.ir.types import FLOAT

PIECE = "#"  # the symbol that stands for the number of indices of a piece
C_TYPES = {"bool": "uint8_t", "i32": "int32_t", "f32": "float", "f64": "double"}
REGISTERS = {**C_TYPES, "bool": "int"}  # a truth value in a register is as wide as what it chooses


def c_dtype(dtype: str, float_: str) -> str:
    """The dtype that is stored: `f32`, `f64`, `i32` or `bool`. Raises `BackendError` for those that C has not here."""
    found = float_ if dtype == FLOAT else dtype
    if found not in C_TYPES:
        raise BackendError(f"native: there is no {found} in C here")
    return found


def number(size: Size, names: Mapping[str, str]) -> str:
    """A size as a C expression of type long; `names` says what symbols are called."""
    value = size.number
    if value is not None:
        return str(value)
    scale = math.lcm(*(c.denominator for _, c in size.terms))
    terms = [_term(m, c * scale, names) for m, c in size.terms]
    total = " + ".join(terms)
    return f"({total})" if scale == 1 else f"(({total}) / {scale})"


def _term(monomial: tuple[Atom, ...], factor: Fraction, names: Mapping[str, str]) -> str:
    atoms = [_atom(a, names) for a in monomial]
    if factor != 1 or not atoms:
        atoms.insert(0, str(factor.numerator) if factor > 0 else f"({factor.numerator})")
    return " * ".join(atoms)


def _atom(atom: Atom, names: Mapping[str, str]) -> str:
    if isinstance(atom, str):
        return names[atom]
    if atom.function == "floor":
        scale = math.lcm(*(c.denominator for _, c in atom.args[0].terms))
        return f"zh_floor_div({number(atom.args[0] * scale, names)}, {scale})"
    function = {"floordiv": "zh_floor_div", "min": "zh_least", "max": "zh_most"}[atom.function]
    first, *rest = (number(a, names) for a in atom.args)
    for other in rest:
        first = f"{function}({first}, {other})"
    return first


def literal(value: float | int | bool, dtype: str) -> str:
    """A number of a dtype, exactly."""
    if dtype == "bool":
        return "1" if value else "0"
    if dtype == "i32":
        return str(int(value)) if int(value) != -(2**31) else "(-2147483647 - 1)"
    if math.isnan(value):
        return '__builtin_nanf("")' if dtype == "f32" else '__builtin_nan("")'
    if math.isinf(value):
        text = "__builtin_inff()" if dtype == "f32" else "__builtin_inf()"
        return text if value > 0 else f"(-{text})"
    return (
        f"{float(value).hex()}{'f' if dtype == 'f32' else ''}"
        if value >= 0 and math.copysign(1, value) > 0
        else (f"(-{float(-value).hex()}{'f' if dtype == 'f32' else ''})")
    )
