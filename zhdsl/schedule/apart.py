"""What a step is to the label that a kernel is cut along, and whether pieces of it share elements."""

from __future__ import annotations

from zhdsl.ir.sizes import Size, Undecided
from zhdsl.ops.contract import Contract
from zhdsl.ops.families import Elementwise, Random
from zhdsl.ops.index import Gather, Scatter, TopK
from zhdsl.ops.reduce import Sum
from zhdsl.ops.window import Fold
from zhdsl.schedule.program import Step
from zhdsl.schedule.views import View


def role(step: Step, label: str) -> str:
    """What a step is to a label: `own` (each index for itself), `sum` (adds up over it), else `other`."""
    op = step.op
    if label in step.output.sizes:
        return "own" if _keeps(step, label) else "other"
    reads = any(label in v.sizes for v in step.inputs)
    sums = isinstance(op, Contract | Sum) and label in op.labels
    adds = isinstance(op, Scatter) and label in step.inputs[0].sizes
    return "sum" if reads and (sums or adds) else "other"


def _keeps(step: Step, label: str) -> bool:
    """Whether the result at an index needs the operands at that index alone."""
    op = step.op
    if isinstance(op, Elementwise | Random | Contract | Sum) or op.family == "reduce":
        return True
    if isinstance(op, Fold):
        return label not in (op.label, op.tap)
    if isinstance(op, Gather | Scatter):
        return label not in op.labels
    return isinstance(op, TopK) and label not in (op.label, op.new)


def inside(view: View, label: str, stride: Size) -> bool:
    """Whether all elements at index i lie in [i, i + 1) * stride, or whole rounds of the label away from there."""
    size = view.sizes[label]
    try:
        if stride.compare(0) <= 0:
            return False
    except Undecided:
        pass  # a product of sizes
    within = _rest(view.offset, stride * size)
    for other, n, step in view.dims:
        if other == label or step == 0 or n == 1:
            continue
        if _multiple(step, stride * size):
            continue
        within = within + step * (n - 1)
    return _less(within, stride)


def _rest(offset: Size, round_: Size) -> Size:
    """The offset without its whole rounds."""
    terms = {m: c for m, c in offset.terms if not _multiple(Size({m: c}), round_)}
    return Size(terms)


def _multiple(size: Size, of: Size) -> bool:
    """Whether it is certainly a whole multiple."""
    try:
        return (size / of).is_whole
    except (Undecided, ZeroDivisionError):
        return False


def _less(a: Size, b: Size) -> bool:
    """Whether 0 <= a < b for all values of the symbols: sizes are at least 1, counters of loops at least 0."""
    least = {s: Size.of(s) + 1 for s in a.symbols | b.symbols if not s.startswith("@")}
    terms = [*(b - a - 1).substitute(least).terms, *a.substitute(least).terms]
    return all(c >= 0 and all(isinstance(atom, str) for atom in m) for m, c in terms)
