"""What must hold of every program.

`RULES` are functions of a program that yield what is wrong, as text:

    buffers_are_known        every view is of a buffer of the program
    views_stay_inside        no element that a view shows lies outside of its buffer
    scratch_is_private       a kernel's scratch is touched by no other kernel
    windows_are_not_stored   what holds every element of the input once per tap of a window exists for one piece of a
                             kernel at most: convolutions, pools and their gradients need no memory for it
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

from zhdsl.errors import CompilerError
from zhdsl.ops.window import Fold
from zhdsl.schedule.program import Kernel, Loop, Program
from zhdsl.schedule.taps import Pairs, folded_pairs, window_pairs
from zhdsl.schedule.views import View

Wrong = Iterator[str]
SIZE = 7  # of every symbol, where views are measured


def verify(program: Program, stage: str = "schedule") -> None:
    """Raises `CompilerError`, which names the stage, the rule and the kernel, at the first rule that fails.

    Args:
        program: any program.
        stage: what made it, for the message.
    """
    for rule in RULES:
        for wrong in rule(program):
            raise CompilerError(f"{stage}: {program.name}: {rule.__name__}: {wrong}")


def _views(program: Program) -> Iterator[tuple[str, View]]:
    """Every view with where it is."""
    for kernel in (*program.once, *program.all_kernels):
        for step in kernel.steps:
            yield from ((kernel.name, view) for view in (*step.inputs, step.output))
    yield from ((entry.key, entry.view) for entry in (*program.inputs, *program.outputs))


def buffers_are_known(program: Program) -> Wrong:
    """Every view is of a buffer of the program."""
    for place, view in _views(program):
        if view.buffer not in program.buffers:
            yield f"{place}: there is no buffer {view.buffer}"


# ---------------------------------------------------------------- places
def views_stay_inside(program: Program) -> Wrong:
    """Checked for sizes of `SIZE`, at the first and last step of loops: views are affine, so these are the ends."""
    sizes = dict.fromkeys(program.symbols, SIZE)
    ends = {loop.counter: loop.size.evaluate(sizes) - 1 for loop in _loops(program.kernels)}
    for place, view in _views(program):
        buffer = program.buffers[view.buffer]
        if buffer.place == "local" or not view.count.evaluate(sizes):
            continue
        count = buffer.count.evaluate(sizes)
        counters = sorted(view.symbols & ends.keys())
        for at in product(*((0, ends[c]) for c in counters)):
            first, last = _reach(view, sizes | dict(zip(counters, at, strict=True)))
            if first < 0 or last >= count:
                yield f"{place}: {view.buffer} has {count} elements, a view of it shows {first} to {last}"


def _loops(items: Sequence[Kernel | Loop]) -> Iterator[Loop]:
    for item in items:
        if isinstance(item, Loop):
            yield item
            yield from _loops(item.body)


def _reach(view: View, sizes: Mapping[str, int]) -> tuple[int, int]:
    """The lowest and the highest place that a view shows."""
    start = view.offset.evaluate(sizes)
    ends = [(size.evaluate(sizes) - 1) * stride.evaluate(sizes) for _, size, stride in view.dims]
    return start + sum(e for e in ends if e < 0), start + sum(e for e in ends if e > 0)


def scratch_is_private(program: Program) -> Wrong:
    """A kernel's scratch is touched by no other kernel, and is no output."""
    owner: dict[str, str] = {}
    for place, view in _views(program):
        if program.buffers[view.buffer].place == "local" and owner.setdefault(view.buffer, place) != place:
            yield f"{place}: {view.buffer} is scratch of {owner[view.buffer]}"


# ---------------------------------------------------------------- windows
def windows_are_not_stored(program: Program) -> Wrong:
    """No step writes to memory beyond its kernel's pieces what ranges over positions and taps that overlap.

    Results that the text itself asks for are excepted.
    """
    shown = {entry.view.buffer for entry in program.outputs}
    local = {b.name for b in program.of_place("local")}
    for kernel in program.all_kernels:
        seen: dict[str, Pairs] = {}  # positions and taps in the kernel's scratch
        for step in kernel.steps:
            here = frozenset(p for v in step.inputs for p in (*window_pairs(v), *seen.get(v.buffer, ())))
            kept = frozenset(p for p in here if p <= set(step.output.labels))
            seen[step.output.buffer] = kept
            for pair in sorted(map(sorted, kept)):
                if step.output.buffer not in shown | local:
                    yield f"{kernel.name}: {step.output.buffer} holds a window, positions and taps {', '.join(pair)}"
            if isinstance(step.op, Fold) and folded_pairs(step) and step.inputs[0].buffer not in local:
                yield f"{kernel.name}: {step.inputs[0].buffer} holds all taps {step.op.tap} of {step.op.label}"


RULES: tuple[Callable[[Program], Wrong], ...] = (
    buffers_are_known,
    views_stay_inside,
    scratch_is_private,
    windows_are_not_stored,
)
