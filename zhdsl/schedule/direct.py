"""Contractions for backends that print loops: operands are read where they lie, whatever their strides.

Vectors run along the result's innermost label, so that label must be one of the operand that is read in vectors (its
*columns*); elements of the other operand are repeated. Weights whose columns are not contiguous are copied once, before
all that uses them; windows never are: a convolution reads its taps in place.
"""

from __future__ import annotations

from collections.abc import Sequence

from zhdsl.ir.node import Node
from zhdsl.ops.contract import Contract
from zhdsl.ops.elementwise import Mul
from zhdsl.schedule.products import Labels, Sides, plain, sides_of
from zhdsl.schedule.tape import Tape
from zhdsl.schedule.views import View, product, sample

ENOUGH_OF_WEIGHTS = 8  # columns of weights that are worth a vector
ENOUGH = 64  # elements of a column run from which on a longer one is no better


def place_contraction(tape: Tape, node: Node, a: View, b: View) -> View:
    """Write the step of a contraction. See `products.place_product`."""
    assert isinstance(node.op, Contract)
    a, b, labels = plain(tape, a, b, node.op.labels)
    if not labels:
        order = tuple(dict.fromkeys((*a.labels, *b.labels)))
        return tape.step(Mul(), (a, b), node.type.dtype, [(n, node.type.sizes[n]) for n in order], node)
    sides = sides_of(a, b, labels)
    columns, rows = _column_side(tape, node, sides)
    outer = sides.outer(columns)
    order = _order(sides, rows, columns, tape.layout.wishes.get(node))
    inner = next((n for n in reversed(order) if n in outer), None)
    if inner is not None and columns.strides[inner] != 1 and not columns.count.symbols:
        last = tuple(n for n in order if n in outer)
        copied = tape.copy(columns, (*sides.batch, *sides.summed, *last))
        a, b = (copied if v is columns else v for v in (a, b))
    return tape.step(Contract(labels), (a, b), node.type.dtype, [(n, node.type.sizes[n]) for n in order], node)


def _column_side(tape: Tape, node: Node, sides: Sides) -> tuple[View, View]:
    """The operand that is read in vectors, and the other.

    Weights, if they have some columns: they can be copied to lie as they should. Else the longer run, and of two that
    are long enough the one that the layout has last.
    """
    small, big = (_run(v, sides.outer(v)) for v in (sides.small, sides.big))
    if small >= ENOUGH_OF_WEIGHTS and not sides.small.count.symbols and sides.big.count.symbols:
        return sides.small, sides.big
    if small == big:
        last = [n for n in tape.layout.order(node) if n in sides.big.sizes or n in sides.small.sizes][-1:]
        return (sides.big, sides.small) if set(last) <= set(sides.outer(sides.big)) else (sides.small, sides.big)
    return (sides.small, sides.big) if small > big else (sides.big, sides.small)


def _run(view: View, outer: Sequence[str]) -> int:
    """About how many elements of the labels lie, or can be made to lie, one after the other."""
    if not outer:
        return 0
    if not view.count.symbols:
        return min(ENOUGH, sample(product(view.sizes[n] for n in outer)))
    return min(ENOUGH, sample(view.sizes[outer[-1]])) if view.strides[outer[-1]] == 1 else 1


def _order(sides: Sides, rows: View, columns: View, wish: Labels | None) -> Labels:
    """The order wished for if it ends in a run of columns, else batch, rows, columns."""
    outer = sides.outer(columns)
    default = (*sides.batch, *sides.outer(rows), *outer)
    if wish is None or set(wish) < set(default):
        return default
    order = tuple(n for n in wish if n in default)
    if not outer:
        return order
    last = order[-1]
    runs = last in outer and (columns.strides[last] == 1 or not columns.count.symbols)
    long = runs and sample(columns.sizes[last]) >= min(ENOUGH_OF_WEIGHTS, sample(columns.sizes[outer[-1]]))
    return order if long else default


def in_rows(tape: Tape, views: Sequence[View], order: Labels) -> list[View]:
    """Operands of an elementwise step, those of data whose elements lie scattered along the innermost label copied.

    A step may read them several times, and each time vectors would be gathered element by element.
    """
    inner = order[-1] if order else ""
    found = []
    for view in views:
        scattered = inner in view.sizes and view.strides[inner] != 1 and sample(view.sizes[inner]) >= ENOUGH_OF_WEIGHTS
        other = any(stride == 1 and sample(n) >= 4 for _, n, stride in view.dims)
        copied = scattered and other and view.count.symbols
        found.append(tape.copy(view, tuple(n for n in order if n in view.sizes)) if copied else view)
    return found
