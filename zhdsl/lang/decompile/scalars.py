"""Scalar functions, sums and products as expressions: a table from op to rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import FLOAT
from zhdsl.lang import ast
from zhdsl.lang.decompile import syntax
from zhdsl.lang.decompile.value import Scope, Value, converted, expanded, order_of, unsayable

Rule = Callable[[Scope, Node], Value]


# ---------------------------------------------------------------- constants
def literal(node: Node, adapts: bool) -> ast.Expr:
    """A constant. `adapts`: beside a tensor, from which it takes its dtype."""
    value: Any = getattr(node.op, "value", None)
    if isinstance(value, Size):
        bare = syntax.size(value)
        return bare if adapts else syntax.call(node.type.dtype, bare)
    return syntax.number(value, whole=adapts)


def _const(s: Scope, node: Node) -> Value:
    return Value(literal(node, adapts=False), literal=True)


def beside(s: Scope, nodes: Sequence[Node]) -> list[Value]:
    """Operands that take one dtype: constants as short as the others allow, repetition left to the labels."""
    return _bare(s, nodes, adapted(s, nodes))


def adapted(s: Scope, nodes: Sequence[Node]) -> list[Value]:
    """Operands that take one dtype, constants as short as the others allow."""
    values = [s.use(x) for x in nodes]
    adapts = not all(v.literal for v in values)
    sized = [isinstance(getattr(x.op, "value", None), Size) for x in nodes]
    if not adapts:  # `1.0 / B`: a number with a point makes the size beside it a float
        one = sized.count(True) == 1
        return [
            Value(literal(x, one), literal=True) if is_size else v
            for x, v, is_size in zip(nodes, values, sized, strict=True)
        ]
    return [
        Value(literal(x, True), literal=True) if x.op.name == "const" else v for x, v in zip(nodes, values, strict=True)
    ]


def _bare(s: Scope, nodes: Sequence[Node], values: list[Value]) -> list[Value]:
    """Without the `expand` of an operand whose new axes another operand has."""
    for i, x in enumerate(nodes):
        if x.op.name == "expand" and s.in_line(x):
            inner = s.use(x.operands[0])
            others = {label for k, v in enumerate(values) if k != i for label in v.order}
            if others.issuperset(label for label in x.type.labels if label not in inner.order):
                constant = x.operands[0].op.name == "const"
                values[i] = Value(literal(x.operands[0], True), literal=True) if constant else inner
    return values


# ---------------------------------------------------------------- operators
def _binary(sign: str) -> Rule:
    def rule(s: Scope, node: Node) -> Value:
        a, b = beside(s, node.operands)
        if sign == "*" and b.literal and not a.literal:
            a, b = b, a  # 2 * x
        return whole(node, Value(syntax.binary(sign, a.expr, b.expr), order_of((a, b)), a.literal and b.literal))

    return rule


def whole(node: Node, value: Value) -> Value:
    """The value with all axes of the node, if it is no literal."""
    return value if value.literal and not node.type.axes else expanded(value, node)


def _compare(sign: str, swapped: str) -> Rule:
    def rule(s: Scope, node: Node) -> Value:
        a, b = beside(s, node.operands)
        if a.literal and not b.literal:
            return whole(node, Value(syntax.binary(swapped, b.expr, a.expr), b.order))
        return whole(node, Value(syntax.binary(sign, a.expr, b.expr), order_of((a, b)), a.literal and b.literal))

    return rule


def _not(s: Scope, node: Node) -> Value:
    (x,) = node.operands
    if x.op.name == "eq" and s.in_line(x):
        a, b = beside(s, x.operands)
        if not (a.literal and b.literal):
            return whole(node, Value(syntax.binary("!=", a.expr, b.expr), order_of((a, b))))
    value = s.use(x)
    return Value(syntax.unary("not", value.expr), value.order, value.literal)


def _logic(sign: str) -> Rule:
    def rule(s: Scope, node: Node) -> Value:
        a, b = (s.use(x) for x in node.operands)
        if a.literal and not b.literal:
            a, b = b, a  # a decided left side is all that is looked at
        return whole(node, Value(syntax.binary(sign, a.expr, b.expr), order_of((a, b)), a.literal and b.literal))

    return rule


def _neg(s: Scope, node: Node) -> Value:
    value = s.use(node.operands[0])
    return Value(syntax.unary("-", value.expr), value.order, value.literal)


def function(s: Scope, node: Node) -> Value:
    """A function of scalars that is called as its op is: so is one that no table knows yet."""
    values = [s.use(x) for x in node.operands]
    literal_ = all(v.literal for v in values)
    return whole(node, Value(syntax.call(node.op.name, *(v.expr for v in values)), order_of(values), literal_))


def _stop(s: Scope, node: Node) -> Value:
    value = s.tensor(node.operands[0])
    return Value(syntax.call("stop", value.expr), value.order)


def _pow(s: Scope, node: Node) -> Value:
    a, b = beside(s, node.operands)
    exponent = node.operands[1]
    if exponent.op.name == "const" and b.literal:
        b = Value(literal(exponent, isinstance(getattr(exponent.op, "value", None), Size)), literal=True)
    return whole(node, Value(syntax.binary("^", a.expr, b.expr), order_of((a, b)), a.literal and b.literal))


def _ipow(s: Scope, node: Node) -> Value:
    value = s.use(node.operands[0])
    k: int = getattr(node.op, "exponent", 1)
    return Value(syntax.binary("^", value.expr, syntax.number(k)), value.order, value.literal)


def _cast(s: Scope, node: Node) -> Value:
    value, dtype = s.use(node.operands[0]), node.type.dtype
    if dtype == node.operands[0].type.dtype:
        return value
    if dtype == "bool":
        return Value(syntax.binary("!=", value.expr, syntax.number(0)), value.order, value.literal)
    if dtype == "f32":
        raise unsayable(node, "`f32` is the program's float")
    return Value(syntax.call(dtype, value.expr), value.order, value.literal and dtype in (FLOAT, "i32"))


def _where(s: Scope, node: Node) -> Value:
    c, x, y = node.operands
    if pair := _extreme(s, node):
        return pair
    parts = _bare(s, node.operands, [s.tensor(c), *adapted(s, (x, y))])
    a, b = parts[1:]
    value = Value(syntax.call("where", *(v.expr for v in parts)), order_of(parts))
    if a.literal and b.literal and node.type.dtype not in (FLOAT, "i32", "bool"):
        value = converted(value, node.type.dtype)
    return whole(node, value)


def _extreme(s: Scope, node: Node) -> Value | None:
    """where(a < b, b, a) is max(a, b); where(a < b, a, b) is min(a, b)."""
    c, x, y = node.operands
    if c.op.name != "lt" or not s.in_line(c) or c.operands not in ((x, y), (y, x)):
        return None
    a, b = beside(s, c.operands)
    if a.literal and b.literal:
        a, b = (Value(literal(n, True), literal=True) if n.op.name == "const" else v
                for n, v in zip(c.operands, (a, b), strict=True))  # fmt: skip
    name = "min" if c.operands == (x, y) else "max"
    return whole(node, Value(syntax.call(name, a.expr, b.expr), order_of((a, b)), a.literal and b.literal))


# ---------------------------------------------------------------- reductions
def _labels(node: Node) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(node.op, "labels", ())
    return found


def without(order: tuple[str, ...], labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(label for label in order if label not in labels)


def in_order(labels: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """The labels as they stand in what is summed."""
    return tuple(label for label in order if label in labels)


def _reduce(s: Scope, node: Node) -> Value:
    value, labels = s.use(node.operands[0]), _labels(node)
    if not labels and node.op.name != "argmax":
        return value
    if node.op.name != "argmax":  # whose result tells of their order
        labels = in_order(labels, value.order)
    statics: list[ast.Arg] = [*map(syntax.name, labels)] or [ast.Constant("none", span=syntax.PLACE)]
    return Value(syntax.call(node.op.name, value.expr, statics=statics), without(value.order, labels))


def _contract(s: Scope, node: Node) -> Value:
    labels = _labels(node)
    a, b = (s.use(x) for x in node.operands)
    if not labels:
        return Value(syntax.binary("*", a.expr, b.expr), order_of((a, b)))
    if len(labels) == 1 and labels[0] != s.batch and (product := _matrix_product(s, node, a, b)):
        return product
    factors = syntax.binary("*", a.expr, b.expr)
    statics = list(map(syntax.name, in_order(labels, order_of((a, b)))))
    return Value(syntax.call("sum", factors, statics=statics), without(order_of((a, b)), labels))


def _matrix_product(s: Scope, node: Node, a: Value, b: Value) -> Value | None:
    """`a @ b` where the last axis of a meets the first of b, also under two names."""
    (k,) = _labels(node)
    (x, p), (y, q) = (_before_rename(s, operand, k) for operand in node.operands)
    if x.order[-1:] == (p,) and y.order[:1] == (q,) and (q not in x.order or p == q) and _keeps_places(node, k, p, q):
        order = order_of([Value(v.expr, tuple(k if n == own else n for n in v.order)) for v, own in ((x, p), (y, q))])
        return Value(syntax.binary("@", x.expr, y.expr), without(order, (k,)))
    if a.order[-1] == k == b.order[0]:
        return Value(syntax.binary("@", a.expr, b.expr), without(order_of((a, b)), (k,)))
    return None


def _before_rename(s: Scope, node: Node, k: str) -> tuple[Value, str]:
    """The operand before its one renaming to k, and the axis's own name there."""
    names = dict(getattr(node.op, "names", ()))
    if node.op.name == "relabel" and list(names.values()) == [k] and s.in_line(node):
        return s.use(node.operands[0]), next(iter(names))
    return s.use(node), k


def _keeps_places(node: Node, k: str, p: str, q: str) -> bool:
    """Whether the private name that `@` gives to the axis sorts as k does: then the very same product is taken."""
    private = p if p == q else f"{p}_k"
    known = {label for x in node.operands for label in x.type.labels if label != k} | {p, q}
    while p != q and private in known:
        private += "_"
    return all(
        sorted(x.type.labels, key=lambda n: private if n == k else n) == list(x.type.labels) for x in node.operands
    )


# ---------------------------------------------------------------- formulas
def _of_one(s: Scope, node: Node) -> Value:
    value = s.use(node.operands[0])
    return Value(syntax.call(node.op.name, value.expr), value.order)


def _along(s: Scope, node: Node) -> Value:
    value = s.use(node.operands[0])
    label: str = getattr(node.op, "label", "")
    return Value(syntax.call(node.op.name, value.expr, statics=[syntax.name(label)]), value.order)


def _one_hot(s: Scope, node: Node) -> Value:
    op: Any = node.op
    value = s.use(node.operands[0])
    if op.size == Size.of(op.label) and op.dtype == FLOAT:
        return Value(syntax.call("one_hot", value.expr, statics=[syntax.name(op.label)]), (*value.order, op.label))
    places = syntax.index(syntax.name("iota"), syntax.made_axis(op.label, op.size))
    return Value(syntax.call(op.dtype, syntax.binary("==", value.expr, places)), (*value.order, op.label))


RULES: dict[str, Rule] = {
    "const": _const,
    "add": _binary("+"),
    "sub": _binary("-"),
    "mul": _binary("*"),
    "div": _binary("/"),
    "floordiv": _binary("//"),
    "mod": _binary("%"),
    "lt": _compare("<", ">"),
    "le": _compare("<=", ">="),
    "eq": _compare("==", "=="),
    "and": _logic("and"),
    "or": _logic("or"),
    "not": _not,
    "neg": _neg,
    **dict.fromkeys(("exp", "log", "sqrt", "tanh", "sin", "cos", "erf", "floor"), function),
    "stop": _stop,
    "pow": _pow,
    "ipow": _ipow,
    "cast": _cast,
    "where": _where,
    **dict.fromkeys(("sum", "max", "argmax"), _reduce),
    "contract": _contract,
    **dict.fromkeys(("relu", "sigmoid", "softplus", "gelu"), _of_one),
    **dict.fromkeys(("softmax", "log_softmax"), _along),
    "mean": _reduce,
    "one_hot": _one_hot,
}
