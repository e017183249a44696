"""Windows, padding and folds. A window is a strided view, of a padded copy where it looks over the border.

window[H](window[W](x))  pads x along H and W once; the taps are never written out
fold(contract(g, W))     runs with the product piece by piece, so that the taps exist for one piece only
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from zhdsl.ir.node import Node
from zhdsl.ir.sizes import Size, extreme
from zhdsl.ops.window import Fold, Window
from zhdsl.schedule import pieces
from zhdsl.schedule.program import Kernel, Step
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
    """The sum over taps; together with the product that makes them, if nothing else needs them."""
    view = tape.values[node.operands[0]]
    depth = tape.depth_of([view])
    order = [n for n in view.labels if n != op.tap]
    out = tape.buffer(node.type.dtype, [(n, node.type.sizes[n]) for n in order], depth)
    step = Step(op, (view,), out, node)
    kernel = None if tape.direct else joined(tape, node.operands[0], step, depth)
    if kernel is None:
        tape.write(step, depth)
    else:
        tape.pop(depth)
        tape.write(kernel, depth)
    return out


def joined(tape: Tape, operand: Node, step: Step, depth: int) -> Kernel | None:
    """The latest kernel, if it is a product that makes this operand alone, with a fold of it at its end."""
    last, view = tape.last(depth), step.inputs[0]
    whole = tape.buffers[view.buffer].whole
    if tape.uses[operand] != 1 or view != whole or tape.buffers[view.buffer].place != "arena":
        return None
    steps = last.steps if isinstance(last, Kernel) else (last,) if isinstance(last, Step) else ()
    if not steps or steps[-1].output != whole or steps[-1].op.name not in ("contract", "fold"):
        return None
    folds = (*(s for s in steps if isinstance(s.op, Fold)), step)
    labels = [last.tile.label] if isinstance(last, Kernel) and last.tile else list(view.labels)
    label = next((n for n in labels if _independent(folds, n)), None)
    if label is None:
        return None
    tile = last.tile if isinstance(last, Kernel) and last.tile else pieces.tile(view, label, pieces.MATRIX)
    local = tape.make_local(whole.buffer, pieces.axes(whole.axes, tile))
    steps = (*steps[:-1], replace(steps[-1], output=local))
    return Kernel("", "contract", (*steps, replace(step, inputs=(local,))), tile)


def _independent(folds: Sequence[Step], label: str) -> bool:
    """Whether every fold leaves this label as it is."""
    return all(label in s.output.sizes and label not in (s.op.label, s.op.tap) for s in folds if isinstance(s.op, Fold))
