"""Contractions as products: batch loops outside, and inside a function of `product.py` made for these strides."""

from __future__ import annotations

from collections.abc import Sequence

from zhdsl.backends.native.ctext import number
from zhdsl.backends.native.frame import Axis, Frame
from zhdsl.backends.native.moves import zeroed
from zhdsl.backends.native.product import Dim, Product, product_source, scratch_elements
from zhdsl.backends.native.reductions import print_reduction
from zhdsl.ir.sizes import Size
from zhdsl.ops.contract import Contract
from zhdsl.schedule.program import Step
from zhdsl.schedule.views import ZERO, View, sample


def print_contraction(frame: Frame, step: Step, into: View | None = None) -> None:
    """Print the call of a product, or plain loops where one operand has no label of its own.

    Args:
        frame: where to.
        step: the contraction.
        into: add to what this view shows, instead of writing the step's own output.
    """
    assert isinstance(step.op, Contract)
    a, b = step.inputs
    out = step.output if into is None else into
    inner = [n for n in step.output.labels if step.output.sizes[n] != 1]
    rows_first = bool(inner) and inner[-1] in a.sizes and inner[-1] not in b.sizes
    if rows_first:
        a, b = b, a
    nothing = any(size == 0 for v in (a, b) for _, size, _ in v.dims)
    if not inner or nothing or inner[-1] in a.sizes or inner[-1] not in b.sizes:
        if into is None:
            print_reduction(frame, step)
        return
    _print_product(frame, step.op.labels, (a, b, out), into is not None)


def _print_product(frame: Frame, labels: Sequence[str], views: tuple[View, View, View], add: bool) -> None:
    """Batch loops around the call of a product; `views`: rows' operand, columns' operand, result."""
    a, b, out = views
    batch = [n for n in out.labels if n in a.sizes and n in b.sizes]
    loops = frame.axes(batch, views)
    symbols = _Symbols(frame)
    product = Product(
        rows=_dims(frame.axes([n for n in out.labels if n not in b.sizes], views), 0, 2, symbols),
        columns=_dims(frame.axes([n for n in out.labels if n not in a.sizes], views), 1, 2, symbols),
        sums=_dims(frame.axes(_summed(labels, a, b), views), 0, 1, symbols),
        dtype=frame.dtype(out.buffer),
        accumulate=add,
    )
    function = frame.helper(lambda name: product_source(name, product, frame.width))
    elements = scratch_elements(product, frame.width)
    frame.ask_scratch(elements)
    extents = [d.extent for d in (*product.rows, *product.columns, *product.sums)]
    possible = [f"w{e[1:]} > 0" for e in extents if isinstance(e, str)]
    frame.add("{")
    names = frame.pointers(views, [2])
    frame.add(f"const long w[] = {{{', '.join(symbols.values) or '0'}}};", f"if ({' && '.join(possible) or '1'}) {{")
    frame.open_loops(loops, names)
    frame.add(f"{function}({', '.join(names)}, {'scratch' if elements else '0'}, w, 0, 1);")
    frame.close_loops(loops, names)
    frame.add("}")
    if possible and not add:
        frame.add("else")
        zeroed(frame, out)
    frame.add("}")


def _summed(labels: Sequence[str], a: View, b: View) -> list[str]:
    """The summed labels, those that jump farthest first."""
    return sorted(labels, key=lambda n: -(abs(sample(a.strides.get(n, ZERO))) + abs(sample(b.strides.get(n, ZERO)))))


class _Symbols:
    """What a product is given at run time: numbers that are no constants, each once."""

    def __init__(self, frame: Frame):
        self.frame = frame
        self.values: list[str] = []

    def of(self, size: Size) -> int | str:
        """A constant, or the expression by which the product finds it."""
        if size.number is not None:
            return size.number
        text = number(size, self.frame.names)
        if text not in self.values:
            self.values.append(text)
        return f"z[{self.values.index(text)}]"  # the product's `z`, which is `w` where it is called


def _dims(axes: Sequence[Axis], first: int, second: int, symbols: _Symbols) -> tuple[Dim, ...]:
    return tuple(Dim(symbols.of(x.size), symbols.of(x.strides[first]), symbols.of(x.strides[second])) for x in axes)
