"""What rules ask of nodes, and the few nodes that many rules make."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator

from zhdsl.ir.node import Node, apply
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ops.source import Const

Value = float | int | bool | Size


# ---------------------------------------------------------------- questions
def is_op(node: Node, *names: str) -> bool:
    return node.op.name in names


def value(node: Node) -> Value | None:
    """The value of a constant, else `None`."""
    return node.op.value if isinstance(node.op, Const) else None


def number(node: Node) -> float | None:
    """The value of a constant that is a known number, else `None`."""
    found = value(node)
    return None if found is None or isinstance(found, bool | Size) else found


def is_number(node: Node, wanted: float) -> bool:
    return number(node) == wanted


def is_truth(node: Node, wanted: bool) -> bool:
    return value(node) is wanted


def uniform(node: Node) -> Value | None:
    """The one value all elements have: that of a constant, expanded or not."""
    return value(node.operands[0]) if is_op(node, "expand") else value(node)


def is_uniform(node: Node, wanted: float) -> bool:
    """Whether all elements are certainly this number; false counts as 0."""
    found = uniform(node)
    return found is not None and not isinstance(found, Size) and found == wanted


def both_ways(node: Node) -> Iterator[tuple[Node, Node]]:
    """The two operands of a commutative op, in both orders."""
    a, b = node.operands
    yield a, b
    yield b, a


def invariant(node: Node, depth: int = 6) -> bool:
    """Whether it is a scalar made of constants alone, by at most `depth` ops: known before the data."""
    if is_op(node, "const"):
        return True
    inner = node.op.family == "elementwise" and not node.type.axes and depth > 0
    return inner and all(invariant(x, depth - 1) for x in node.operands)


def has(node: Node, labels: Iterable[str]) -> bool:
    """Whether the node has one of the labels."""
    return any(label in node.type.sizes for label in labels)


def covers(node: Node, labels: Iterable[str]) -> bool:
    """Whether the node has all of the labels."""
    return all(label in node.type.sizes for label in labels)


def at_most(a: Size | int, b: Size | int) -> bool:
    """Whether a <= b for certain: for all sizes from 0 on."""
    difference = Size.of(b) - a
    return all(factor >= 0 and all(isinstance(atom, str) for atom in atoms) for atoms, factor in difference.terms)


# ---------------------------------------------------------------- answers
def constant(of: Value, dtype: str) -> Node:
    return apply("const", value=of, dtype=dtype)


def minus(x: Node) -> Node:
    """-x, without a sign if x has one."""
    return x.operands[0] if is_op(x, "neg") else -x


def negated(c: Node) -> Node:
    """-c of a constant."""
    found = value(c)
    return -c if found is None or isinstance(found, bool) else constant(0 - found, c.type.dtype)  # no -0.0


def combined(op: str, c: Node, d: Node) -> Node | None:
    """`op` (add, sub, mul, div) of two constants, as a number where both are numbers.

    `None` where the number would not be usable: overflow, underflow, a dtype whose rounding would be felt.
    """
    x, y = number(c), number(d)
    if x is None or y is None:
        return apply(op, c, d)
    if c.type.dtype in ("f16", "bf16") or (op == "div" and not y):
        return None
    found = ARITHMETIC[op](x, y)
    if not c.type.is_float:
        return constant((int(found) + 2**31) % 2**32 - 2**31, c.type.dtype)
    usable = math.isfinite(found) and (abs(found) > SMALLEST or op in ("add", "sub"))
    return constant(found, c.type.dtype) if usable else None


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}
SMALLEST = 2.0**-100  # what is smaller could be felt as 0 in f32


def spread(node: Node, type_: Type) -> Node:
    """The node repeated along the axes of the type that it lacks."""
    missing = tuple(axis for axis in type_.axes if axis[0] not in node.type.sizes)
    return apply("expand", node, axes=missing) if missing else node


def filled(of: Value, type_: Type) -> Node:
    """A node of this type, all of whose elements are one value."""
    return spread(constant(of, type_.dtype), type_)


def summed(node: Node, labels: Iterable[str]) -> Node:
    """The sum over those of the labels that the node has, in sorted order."""
    present = tuple(sorted(label for label in labels if label in node.type.sizes))
    return apply("sum", node, labels=present) if present else node


def contraction(a: Node, b: Node, labels: Iterable[str]) -> Node:
    """sum[labels](a * b): what only one of the two has is summed there first."""
    wanted = tuple(labels)
    shared = tuple(sorted(label for label in wanted if covers(a, (label,)) and covers(b, (label,))))
    a, b = (summed(x, (label for label in wanted if label not in shared)) for x in (a, b))
    return apply("contract", a, b, labels=shared) if shared else apply("mul", a, b)
