"""How large the values of a spec may become while it is checked: a short text can ask for 2^60 channels.

Sizes are symbols or Python's own integers, so nothing here takes memory; but what goes beyond these bounds could never
run, and would make the checker itself slow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zhdsl.ir.sizes import Size
from zhdsl.lang.problem import Problem
from zhdsl.lang.values import Many, Tensor
from zhdsl.source import Span

LARGEST = 2**63 - 1  # a whole number
AXES = 32  # of one tensor; a window adds one for each axis, NumPy ends at 64
LENGTH = 2**31 - 1  # of one axis: positions are i32
ELEMENTS = 2**48  # of one tensor: a product that a sum takes in is counted too, though it is never made
INPUT = 2**31  # of an input or a parameter
ITEMS = 10_000  # of one list
DEGREE = 8  # of one term of such a size: factors
TERMS = 100  # of one size with symbols: its terms and what they are made of
LISTS = 4  # lists in lists


def bounded(value: Any, span: Span, elements: int = ELEMENTS) -> Any:
    """The value. Raises `Problem` where it is larger than the limits."""
    kind = type(value)
    if kind is Tensor:
        _tensor(value, span, elements)
    elif kind is int and not -LARGEST - 1 <= value <= LARGEST:
        raise Problem("Z0901", "a whole number beyond 2^63", span)
    elif kind is Size:
        _simple(value, span)
    elif kind is tuple:
        _list(value, span)
    elif kind is Many:
        _several(value, span)
    return value


def _tensor(t: Tensor, span: Span, elements: int) -> None:
    if len(t.order) > AXES:
        raise Problem("Z0904", f"a tensor with {len(t.order)} axes, the limit is {AXES}", span)
    total = 1
    for label, size in t.type.axes:
        number = size.number
        if number is None:
            _simple(size, span)
        elif number > LENGTH:
            raise Problem(
                "Z0902", f"the axis {label} would have {shown(number)} elements, the limit is {LENGTH:,}", span
            )
        else:
            total *= number
    if total > elements:
        raise Problem("Z0903", f"a tensor of {shown(total)} elements, the limit is {shown(elements)}", span)


def _simple(size: Size, span: Span) -> None:
    """A size with few terms, small factors and shallow `floor`, `min`, `max`."""
    if size.terms and complexity(size) > TERMS:
        raise Problem(
            "Z0905",
            "the size is too complicated to reason about",
            span,
            help="give some of the sizes in it numbers, or a name of their own in a signature",
        )


def complexity(size: Size) -> int:
    """Terms and atoms, those inside of `floor`, `min` and `max` too; more than `TERMS` for a huge factor."""
    total = 0
    for monomial, factor in size.terms:
        if abs(factor.numerator) > LARGEST or factor.denominator > LARGEST or len(monomial) > DEGREE:
            return TERMS + 1
        total += 1 + max(len(monomial) - 1, 0)
        total += sum(complexity(arg) for atom in monomial if not isinstance(atom, str) for arg in atom.args)
    return total


def _list(values: tuple[Any, ...], span: Span) -> None:
    if len(values) > ITEMS:
        raise Problem("Z0906", f"a list of {len(values):,}, the limit is {ITEMS:,}", span)
    if any(type(v) is tuple for v in values) and depth(values) > LISTS:
        raise Problem("Z0906", f"lists in lists, more than {LISTS} deep", span)


def depth(value: Any) -> int:
    """Lists around the innermost value; one is added at a time, so this never goes far."""
    return 1 + max((depth(v) for v in value if type(v) is tuple), default=0)


def _several(value: Many, span: Span) -> None:
    if any(isinstance(v, Many) for v in value.values):
        raise Problem("Z0411", "several values inside of several", span, help="give each a name first: `a, b = f(x)`")


def shown(number: int) -> str:
    """A large number that can still be read."""
    power = number.bit_length() - 1
    return f"{number:,}" if number < 10**10 else f"2^{power}" if number == 2**power else f"more than 2^{power}"


def multiplied(sizes: Iterable[Size], span: Span) -> Size:
    """Their product, never more complicated than the limit on the way."""
    total = Size.of(1)
    for n in sizes:
        total = total * n
        _simple(total, span)
    return total


def added(sizes: Iterable[Size], span: Span) -> Size:
    """Their sum, never more complicated than the limit on the way."""
    total = Size.of(0)
    for n in sizes:
        total = total + n
        _simple(total, span)
    return total
