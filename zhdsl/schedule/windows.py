"""Windows, padding and folds. A window is a strided view, of a padded copy where it looks over the border.

window[H](window[W](x))  pads x along H and W once; the taps are never written out
fold(contract(g, W))     a step each; taps.py makes one kernel of them, so that the taps exist for one piece only
"""

from __future__ import annotations

from collections.abc import Mapping

from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size, extreme
from zhdsl.ops.window import Fold, Window
from zhdsl.schedule.tape import Tape
from zhdsl.schedule.views import ZERO, View, narrow, window

Pads = Mapping[str, tuple[Size, Size]]


# ---------------------------------------------------------------- padding
def padded(tape: Tape, view: View, pads: Pads, fill: float, node: Node | None = None) -> View:
    """A copy of the view with borders: label -> (fills before, fills behind)."""
    needed = {label: (low, high) for label, (low, high) in pads.items() if low != 0 or high != 0}
    if not needed:
        return view
    depth = tape.depth_of([view])
    axes = [(n, size + sum(needed.get(n, ()), ZERO)) for n, size in view.axes]
    out = tape.buffer(tape.buffers[view.buffer].dtype, axes, depth)
    tape.parts.add(out.buffer)
    inside = out
    for label, (low, high) in needed.items():
        for start, size in ((ZERO, low), (out.sizes[label] - high, high)):
            if size != 0:
                tape.fill(fill, narrow(inside, label, start, size), depth)
        inside = narrow(inside, label, low, view.sizes[label])
    tape.move(view, inside, depth)
    return out


def place_window(tape: Tape, node: Node) -> View:
    """The view of a window, of windows of windows at once: only what the innermost looks at is padded."""
    chain = _chain(node)
    fills = {w.op.fill for w in chain if isinstance(w.op, Window)}
    if len(fills) > 1:  # each with a border of its own kind
        chain = chain[-1:]
    base = chain[0].operands[0]
    if base not in tape.values:  # a window that is only looked through, but not by this chain
        tape.values[base] = place_window(tape, base)
    view = tape.values[base]
    pads = {}
    for w in chain:
        assert isinstance(w.op, Window)
        pads[w.op.label] = _border(w.op, view.sizes[w.op.label])
    key = base, tuple(sorted(pads.items())), repr(fills)
    if key not in tape.padded:
        tape.padded[key] = padded(tape, view, pads, min(fills))
    view = tape.padded[key]
    for w in chain:
        assert isinstance(w.op, Window)
        view = _seen(view, w.op, pads[w.op.label][0])
    return view


def _chain(node: Node) -> list[Node]:
    """This window and the windows that it looks at, innermost first, as long as their labels are independent."""
    found: list[Node] = []
    taken: set[str] = set()
    while isinstance(node.op, Window) and taken.isdisjoint({node.op.label, node.op.tap}):
        taken |= {node.op.label, node.op.tap}
        found.insert(0, node)
        node = node.operands[0]
    return found


def _border(op: Window, size: Size) -> tuple[Size, Size]:
    """How many elements before and behind the axis are looked at."""
    last = (op.count - 1) * op.stride + (op.taps - 1) * op.dilation - op.low
    return extreme("max", (op.low, 0)), extreme("max", (last + 1 - size, 0))


def _seen(view: View, op: Window, low: Size) -> View:
    """The window on a view that has `low` elements more before the axis."""
    return window(view, op.label, op.tap, (op.stride, op.dilation, low - op.low), (op.count, op.taps))


# ---------------------------------------------------------------- folding
def place_fold(tape: Tape, node: Node, op: Fold) -> View:
    """The sum over taps; `taps` sees to it that they are made piece by piece where they are summed."""
    view = tape.values[node.operands[0]]
    order = [n for n in view.labels if n != op.tap]
    return tape.step(op, (view,), node.type.dtype, [(n, node.type.sizes[n]) for n in order], node)
