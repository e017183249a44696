"""Computes what is known before the data: arithmetic of numbers, truth values and sizes, places in equal elements.

    %0 = mul(2.0, 3.0): []                           6.0
    %1 = mul(float(B), float(T)): []                 float(B*T)
    %2 = where(true, %x, %y): [B]                    %x
    %3 = slice[label=B, start=0, size=2](zeros)      zeros of the smaller type

Numbers are computed as the reference meaning does, `float` in float64; explicit f16 and f32 in their own precision. Not
folded: bf16, the division of an i32 by zero and what else the ops leave unspecified, sizes whose sign is not known.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from zhdsl.ir.arrays import np
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node, apply
from zhdsl.ir.sizes import Size, Undecided
from zhdsl.ops.evaluate import numpy_dtype
from zhdsl.ops.movement import Pad
from zhdsl.ops.window import Window
from zhdsl.passes.patterns import Value, constant, filled, is_number, is_truth, is_uniform, spread, uniform, value
from zhdsl.passes.rewriting import Rule, Rules, rewrite


def fold_constants(graph: Graph) -> Graph:
    """The graph with everything computed that does not need an input."""
    return rewrite(graph, RULES)


# ---------------------------------------------------------------- numbers and sizes
def of_constants(node: Node) -> Node | None:
    """op(c, d) = e"""
    values = [value(x) for x in node.operands]
    if any(v is None for v in values) or not node.operands:
        return None
    answer = _of_sizes(node, values) if any(isinstance(v, Size) for v in values) else _of_numbers(node)
    return None if answer is None else constant(answer, node.type.dtype)


def _of_numbers(node: Node) -> Value | None:
    if "bf16" in (node.type.dtype, *(x.type.dtype for x in node.operands)) or _unspecified(node):
        return None
    op: Any = node.op
    arrays = [np.asarray(value(x), numpy_dtype(x.type.dtype, "float64")) for x in node.operands]
    more = {"dtype": numpy_dtype(node.type.dtype, "float64")} if op.name == "cast" else {}
    with np.errstate(all="ignore"):
        found: Value = np.asarray(op.numpy(*arrays, **more)).item()
    return found


def _unspecified(node: Node) -> bool:
    """Whether the meaning is left to the machine."""
    last = node.operands[-1]
    if node.op.name in ("floordiv", "mod"):
        return last.type.dtype == "i32" and is_number(last, 0)
    if node.op.name == "cast" and node.type.dtype == "i32" and last.type.is_float:
        known: Any = value(last)
        return not abs(known) < 2**31
    return False


def _of_sizes(node: Node, values: list[Any]) -> Value | None:
    """Sizes are whole numbers of any magnitude; a float that is whole takes part as one."""
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    if not all(isinstance(v, int | Size) for v in whole):
        return None
    rule = SIZE_RULES.get(node.op.name)
    try:
        found = rule(node, *map(Size.of, whole)) if rule else None
    except (Undecided, ZeroDivisionError):
        return None
    return found if isinstance(found, bool) or (found is not None and found.is_whole) else None


def _of_pair(compute: Callable[[Size, Size], Any]) -> Callable[[Node, Size, Size], Any]:
    return lambda node, a, b: compute(a, b)


def _divided(compute: Callable[[Size, Size], Any]) -> Callable[[Node, Size, Size], Any]:
    """Floor and remainder by a positive number: sizes do not say what the rest of them is."""
    return lambda node, a, b: compute(a, b) if b.number is not None and b.number > 0 else None


SIZE_RULES: dict[str, Callable[..., Size | bool | None]] = {
    "add": _of_pair(operator.add),
    "sub": _of_pair(operator.sub),
    "mul": _of_pair(operator.mul),
    "div": _of_pair(operator.truediv),
    "floordiv": _divided(operator.floordiv),
    "mod": _divided(operator.mod),
    "lt": _of_pair(lambda a, b: a.compare(b) < 0),
    "le": _of_pair(lambda a, b: a.compare(b) <= 0),
    "eq": _of_pair(lambda a, b: a.compare(b) == 0),
    "neg": lambda node, a: -a,
    "floor": lambda node, a: a,
    "stop": lambda node, a: a,
    "cast": lambda node, a: a if node.type.dtype != "bool" else None,
    "ipow": lambda node, a: a**node.op.exponent if 0 < node.op.exponent < 9 else None,
}


def quotient_of_size(node: Node) -> Node | None:
    """c / (k * S) = (c / k) / S, where c / k is exact: so that the 2 of 2 / (2 * B) cancels"""
    c, size = value(node.operands[0]), value(node.operands[1])
    if not isinstance(c, float) or not isinstance(size, Size) or not size.is_whole:
        return None
    factors = [int(factor) for _, factor in size.terms]
    k = math.gcd(*factors) * (-1 if factors[0] < 0 else 1)
    if k == 1 or not math.isfinite(c) or c / k * k != c or (c and abs(c / k) < 1):
        return None
    return apply("div", constant(c / k, node.type.dtype), constant(size / k, node.type.dtype))


# ---------------------------------------------------------------- truth
def where_of_known(node: Node) -> Node | None:
    """where(true, y, z) = y"""
    chosen = value(node.operands[0])
    return spread(node.operands[1 if chosen else 2], node.type) if isinstance(chosen, bool) else None


def and_of_known(node: Node) -> Node | None:
    """x and true = x; x and false = false"""
    return _decided(node, absorbing=False)


def or_of_known(node: Node) -> Node | None:
    """x or false = x; x or true = true"""
    return _decided(node, absorbing=True)


def _decided(node: Node, absorbing: bool) -> Node | None:
    a, b = node.operands
    for x, other in ((a, b), (b, a)):
        if is_truth(other, not absorbing):
            return x
        if is_truth(other, absorbing):
            return filled(absorbing, node.type)
    return None


# ---------------------------------------------------------------- equal elements
def moved_uniform(node: Node) -> Node | None:
    """Any move within equal elements gives equal elements."""
    found = uniform(node.operands[0])
    if found is None or not all(_alike(found, x) for x in node.operands[1:]):
        return None
    if isinstance(node.op, Pad | Window) and not is_uniform(node.operands[0], node.op.fill):
        return None
    return filled(found, node.type)


def _alike(found: Value, node: Node) -> bool:
    other = uniform(node)
    return type(other) is type(found) and repr(other) == repr(found)


def indexed_zeros(node: Node) -> Node | None:
    """Reading zeros, or adding them up, gives zeros, in range or not."""
    return filled(0, node.type) if is_uniform(node.operands[0], 0) and node.type.dtype != "bool" else None


def sum_of_zeros(node: Node) -> Node | None:
    """sum(zeros) = zeros"""
    return filled(0, node.type) if is_uniform(node.operands[0], 0) else None


MOVES: tuple[Rule, ...] = (moved_uniform,)
RULES: Rules = {
    "elementwise/*": (of_constants,),
    "div": (quotient_of_size,),
    "where": (where_of_known,),
    "and": (and_of_known,),
    "or": (or_of_known,),
    "relabel": MOVES,
    "drop": MOVES,
    "split": MOVES,
    "merge": MOVES,
    "slice": MOVES,
    "pad": MOVES,
    "concat": MOVES,
    "flip": MOVES,
    "window": MOVES,
    "fold": (sum_of_zeros,),
    "gather": (indexed_zeros,),
    "scatter": (indexed_zeros,),
    "sum": (sum_of_zeros,),
}
