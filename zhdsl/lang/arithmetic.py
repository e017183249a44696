"""Operators on what is known at compile time: numbers, sizes, true and false, strings, lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from zhdsl.ir.sizes import Size, Undecided, floor
from zhdsl.lang import ast
from zhdsl.lang.bounds import multiplied
from zhdsl.lang.problem import Problem
from zhdsl.lang.scope import Scope
from zhdsl.lang.tensors import decided
from zhdsl.lang.values import is_number, is_static, shown, sized

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def needs_run_time(op: str, a: Any, b: Any) -> bool:
    """A size with symbols that meets a broken number is a number at run time."""
    if not (is_number(a) and is_number(b) and (isinstance(a, Size) or isinstance(b, Size))):
        return False
    if isinstance(a, float) or isinstance(b, float):
        return True
    return (op == "^" and not isinstance(b, int)) or (op == "/" and not _has_quotient(a, b))


def _has_quotient(a: Any, b: Any) -> bool:
    """Whether a / b is a size: T * S / S is one, 1 / T is none."""
    try:
        Size.of(a) / b
    except Undecided:
        return False
    except ZeroDivisionError:
        pass  # an error of its own
    return True


def computed(x: ast.Binary, a: Any, b: Any, s: Scope) -> Any:
    """`a op b` of two values known at compile time. Raises `Problem`."""
    if x.op in ("==", "!="):
        return _static_equal(x, a, b) == (x.op == "==")
    if x.op in ("and", "or"):
        for value, span in ((a, x.left.span), (b, x.right.span)):
            if not isinstance(value, bool):
                raise Problem("Z0406", f"`{x.op}` takes true or false, this is {shown(value)}", span)
        return a and b if x.op == "and" else a or b
    if isinstance(a, tuple) and isinstance(b, tuple) and x.op == "+":
        return a + b
    for value, span in ((a, x.left.span), (b, x.right.span)):
        if not is_number(value):
            raise Problem("Z0406", f"`{x.op}` takes numbers, this is {shown(value)}", span)
    if x.op in COMPARISONS:
        return decided(lambda: _static_compare(x.op, a, b), x.span, x.span.text)
    if x.op == "@":
        raise Problem("Z0314", "`@` takes two tensors", x.span, help="write `*` for a product of numbers")
    return sized(_arithmetic(x, a, b, s))


def _static_equal(x: ast.Binary, a: Any, b: Any) -> bool:
    if is_number(a) and is_number(b):
        if isinstance(a, Size) or isinstance(b, Size):
            if isinstance(a, float) or isinstance(b, float):
                raise Problem("Z0325", f"cannot be decided before the sizes are known: {x.span.text}", x.span)
            return decided(lambda: compared(a, b) == 0, x.span, x.span.text)
        return bool(a == b)
    if is_static(a) and is_static(b):
        return type(a) is type(b) and bool(a == b)
    return a is b


def compared(a: Any, b: Any) -> int:
    """-1, 0 or 1 for numbers and sizes. Raises `Undecided`."""
    finite = all(not isinstance(v, float) or math.isfinite(v) for v in (a, b))
    if finite and (isinstance(a, Size) or isinstance(b, Size)):
        return Size.of(a).compare(b)
    a, b = (0 if isinstance(v, Size) else v for v in (a, b))  # beside infinity every size is small
    return int(a > b) - int(a < b)


def _static_compare(op: str, a: Any, b: Any) -> bool:
    sign = compared(a, b)
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[op]


def _arithmetic(x: ast.Binary, a: Any, b: Any, s: Scope) -> Any:
    try:
        if x.op == "/":
            return _quotient(x, a, b, s)
        if x.op == "^":
            return _static_power(x, a, b)
        operation: Callable[[Any, Any], Any] = {
            "+": lambda p, q: p + q,
            "-": lambda p, q: p - q,
            "*": lambda p, q: p * q,
            "//": lambda p, q: floored(p, q, s),
            "%": lambda p, q: remainder(p, q, s),
        }[x.op]
        result = operation(a, b)
    except ZeroDivisionError:
        raise Problem("Z0323", "division by zero", x.span) from None
    except (OverflowError, ValueError, Undecided) as why:
        raise Problem("Z0323", f"this has no value: {why}", x.span) from None
    if isinstance(result, int) and abs(result) > 2**62:
        raise Problem("Z0901", "a whole number beyond 2^62", x.span)
    return result


def remainder(a: Any, b: Any, s: Scope) -> Any:
    """a % b of numbers or sizes."""
    symbolic = isinstance(a, Size) or isinstance(b, Size)
    return a - b * floored(a, b, s) if symbolic else a % b


def floored(a: Any, b: Any, s: Scope) -> Any:
    """a // b of numbers or sizes, with what is known of divisibility."""
    if isinstance(a, Size) or isinstance(b, Size):
        try:
            return floor(Size.of(a) / b, s.facts)
        except Undecided:
            return Size.of(a) // b
    return a // b


def _quotient(x: ast.Binary, a: Any, b: Any, s: Scope) -> Any:
    """Exact for whole numbers (a guard where it depends on symbols), ordinary for broken ones."""
    if isinstance(a, float) or isinstance(b, float):
        return a / b
    if isinstance(a, int) and isinstance(b, int):
        return a // b if a % b == 0 else a / b
    return Size.of(a) / b


def _static_power(x: ast.Binary, a: Any, b: Any) -> Any:
    if isinstance(a, Size):
        if not isinstance(b, int) or not 0 <= b <= 16:
            raise ValueError("a size to this power")
        return multiplied((a,) * b, x.span)
    if isinstance(a, int) and isinstance(b, int) and abs(b) > 4096:
        raise ValueError("the exponent is too large")
    result = a**b if not (isinstance(a, int) and isinstance(b, int) and b < 0) else float(a) ** b
    if isinstance(result, complex):
        raise ValueError("a root of a negative number")
    return result
