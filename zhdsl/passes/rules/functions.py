"""Rules of powers, casts and stops."""

from __future__ import annotations

from zhdsl.ir.node import Node, apply
from zhdsl.ops.elementwise import Cast, IPow
from zhdsl.passes.patterns import filled, is_op, number
from zhdsl.passes.rewriting import Rules

LARGEST_EXPONENT = 8  # of a power that becomes multiplications

# x -> y -> z is x -> z if y holds every x: which dtypes hold all values of one.
HOLDS: dict[str, tuple[str, ...]] = {
    "bool": ("i32", "float", "f16", "bf16", "f32", "f64"),
    "i32": ("f64",),
    "f16": ("f32", "f64"),
    "bf16": ("f32", "f64"),
    "f32": ("f64",),
}


def whole_power(n: Node) -> Node | None:
    """x ^ 0 = 1; x ^ 1 = x; (-x) ^ 2 = x ^ 2; (-x) ^ 3 = -(x ^ 3)"""
    assert isinstance(n.op, IPow)
    (x,), k = n.operands, n.op.exponent
    if k == 0:
        return filled(1, n.type)
    if k == 1:
        return x
    if is_op(x, "neg"):
        power = apply("ipow", x.operands[0], exponent=k)
        return -power if k % 2 else power
    return None


def power_of_whole(n: Node) -> Node | None:
    """x ^ 2.0 = x ^ 2 by multiplication, for small whole exponents; both are 1 at exponent 0, nan or not"""
    x, y = n.operands
    k = number(y)
    if k is None or not float(k).is_integer() or abs(k) > LARGEST_EXPONENT:
        return None
    return apply("ipow", x, exponent=int(k))


def cast_chain(n: Node) -> Node | None:
    """A cast to the dtype x has is x; between two casts, a dtype that holds all values of x is not needed."""
    assert isinstance(n.op, Cast)
    (x,) = n.operands
    if x.type.dtype == n.op.dtype:
        return x
    if is_op(x, "cast") and x.type.dtype in HOLDS.get(x.operands[0].type.dtype, ()):
        return apply("cast", x.operands[0], dtype=n.op.dtype)
    return None


def stop_twice(n: Node) -> Node | None:
    """stop(stop(x)) = stop(x)"""
    (x,) = n.operands
    return x if is_op(x, "stop") else None


RULES: Rules = {
    "ipow": (whole_power,),
    "pow": (power_of_whole,),
    "cast": (cast_chain,),
    "stop": (stop_twice,),
}
