"""A program: kernels over named buffers. What `schedule` makes of a graph, and all that a backend is given.

A *buffer* is memory with named axes in a fixed order; a *view* is an affine map of indices into one; a *step* is one op
on views; a *kernel* is a group of steps that run as one; a *loop* repeats kernels. Sizes stay symbols, so one program
serves all batch sizes. Printing it (`zh emit --stage program`) shows every decision of the schedule.

    k3 elementwise by min(B, 1024) of B                                      spirals.zh:6
        t0[B, N] = add(v0[B, N], param/b1[N])
        v1[B, N] = tanh(t0[B, N])
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from zhdsl.ir.node import Node, Origins
from zhdsl.ir.op import Op
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Axis, Type, axes_text
from zhdsl.schedule.views import View, dense

PLACES = ("input", "held", "const", "arena", "local")


@dataclass(frozen=True)
class Buffer:
    """Memory of one value.

    Attributes:
        name: unique in the program.
        dtype: as in the IR: `float` is decided when the program is compiled.
        axes: in memory order, row-major without gaps.
        place: `input` (copied in before a run), `held` (parameters and states: they stay from run to run), `const`
            (computed once when sizes are known), `arena` (lives for a part of a run), `local` (scratch of one kernel;
            a backend that works element by element keeps it in registers).
        slot: buffers with the same slot are one piece of memory at different times.
        life: first and last step that need it, -1 before the first step.
    """

    name: str
    dtype: str
    axes: tuple[Axis, ...]
    place: str
    slot: str = ""
    life: tuple[int, int] = (0, 0)

    @cached_property
    def whole(self) -> View:
        """All of it."""
        return dense(self.name, self.axes)

    @cached_property
    def count(self) -> Size:
        return self.whole.count

    def __str__(self) -> str:
        return f"{self.name}: {'' if self.dtype == 'float' else self.dtype}{axes_text(self.axes)}"


@dataclass(frozen=True)
class Step:
    """One op on views: the output's elements are the op of the inputs'. `node` is what it computes, if it is a node."""

    op: Op
    inputs: tuple[View, ...]
    output: View
    node: Node | None = None

    def __str__(self) -> str:
        args = ", ".join(map(view_text, self.inputs))
        return f"{view_text(self.output)} = {op_text(self.op)}({args})"


@dataclass(frozen=True)
class Tile:
    """A kernel may run in pieces of `size` indices of `label`; its local buffers hold one piece."""

    label: str
    size: Size


@dataclass(frozen=True)
class Kernel:
    """Steps that run as one, in this order, piece by piece where there is a tile.

    `family` is that of the steps; `contract` may copy its operands into scratch before and fold its result after. Where
    a window's taps are made in pieces the steps are of several families: `contract` with a product, else the last's.
    `tiled` has steps of all families. `totals` are buffers that start at zero and are whole when all pieces are done.
    """

    name: str
    family: str
    steps: tuple[Step, ...]
    tile: Tile | None = None
    origins: Origins = frozenset()
    totals: tuple[str, ...] = ()

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The graph's nodes that it computes."""
        return tuple(step.node for step in self.steps if step.node is not None)

    @cached_property
    def inputs(self) -> tuple[View, ...]:
        """What it reads and has not written before."""
        written: set[str] = set()
        found: dict[View, None] = {}
        for step in self.steps:
            found |= {v: None for v in step.inputs if v.buffer not in written}
            written.add(step.output.buffer)
        return tuple(found)

    @cached_property
    def written(self) -> tuple[View, ...]:
        """What it writes, scratch included."""
        return tuple(dict.fromkeys(step.output for step in self.steps))

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Symbols in the places that it reads and writes: those of loops tell whether it moves with a loop."""
        views = [v for s in self.steps for v in (*s.inputs, s.output)]
        return frozenset().union(*(v.symbols for v in views))

    def __str__(self) -> str:
        tile = f" by {self.tile.size} of {self.tile.label}" if self.tile else ""
        tile += f", totals {', '.join(self.totals)}" if self.totals else ""
        head = f"{self.name} {self.family}{tile}"
        return "\n".join([f"{head:<88}{places_text(self.origins)}".rstrip(), *(f"    {s}" for s in self.steps)])


@dataclass(frozen=True)
class Loop:
    """Kernels that run once for every index of an axis; `counter` is the symbol of the index in their views' offsets.

    With `reverse` the index falls from size - 1 to 0.
    """

    name: str
    counter: str
    size: Size
    reverse: bool
    body: tuple[Kernel | Loop, ...]

    def __str__(self) -> str:
        way = f"{self.size} - 1 .. 0" if self.reverse else f"0 .. {self.size} - 1"
        inner = "\n".join(map(str, self.body)).replace("\n", "\n  ")
        return f"{self.name} loop {self.counter} = {way}\n  {inner}"


@dataclass(frozen=True)
class Entry:
    """An input or an output: where it is, and how the world outside sees it.

    Attributes:
        key: `role/name`.
        view: an input's whole buffer; an output's place when the run is over.
        order: labels in the order of the outside.
        type: dtype and sizes.
    """

    key: str
    view: View
    order: tuple[str, ...]
    type: Type

    @property
    def role(self) -> str:
        return self.key.split("/", 1)[0]

    @property
    def name(self) -> str:
        return self.key.split("/", 1)[1]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """In the order of the outside."""
        return tuple((label, self.type.sizes[label]) for label in self.order)


@dataclass(frozen=True, eq=False)
class Program:
    """What one call runs.

    Attributes:
        name: the graph's.
        once: kernels that depend on nothing but sizes; they run when sizes become known.
        kernels: what a run runs, in order.
        buffers: by name.
        inputs: one per input of the graph, used or not.
        outputs: in the graph's order. Those of role `param` and `state` that are also inputs are written back into the
            input's held buffer at the end of a run.
    """

    name: str
    once: tuple[Kernel, ...]
    kernels: tuple[Kernel | Loop, ...]
    buffers: Mapping[str, Buffer] = field(repr=False)
    inputs: tuple[Entry, ...]
    outputs: tuple[Entry, ...]

    @cached_property
    def all_kernels(self) -> tuple[Kernel, ...]:
        """Every kernel of a run, those of loops included, in the order of the text."""
        return tuple(flat(self.kernels))

    @property
    def symbols(self) -> frozenset[str]:
        """Sizes that must be known."""
        return frozenset().union(*(s.symbols for e in self.inputs for _, s in e.axes))

    def of_place(self, *places: str) -> tuple[Buffer, ...]:
        """Buffers of these places."""
        return tuple(b for b in self.buffers.values() if b.place in places)

    def __str__(self) -> str:
        lines = [f"program {self.name}: {len(self.all_kernels)} kernels, {len(self.buffers)} buffers"]
        for place in PLACES:
            found = self.of_place(place)
            lines += [f"{place}", *(f"  {b}{_life_text(b)}" for b in found)] if found else []
        for title, kernels in (("once", self.once), ("run", self.kernels)):
            lines += [title, *(f"  {k}".replace("\n", "\n  ") for k in kernels)] if kernels else []
        lines += ["outputs", *(f"  {e.key} = {view_text(e.view)}" for e in self.outputs)]
        return "\n".join(lines)


def flat(items: tuple[Kernel | Loop, ...]) -> Iterator[Kernel]:
    """The kernels of loops and outside of them."""
    for item in items:
        if isinstance(item, Loop):
            yield from flat(item.body)
        else:
            yield item


# ---------------------------------------------------------------- text
def view_text(view: View) -> str:
    """`v3[B, N]`, with offset and strides where they are not those of a dense buffer with these axes."""
    plain = dense(view.buffer, view.axes)
    labels = ", ".join(n if plain.strides[n] == stride else f"{n}*{stride}" for n, _, stride in view.dims)
    start = f" + {view.offset}" if view.offset != 0 else ""
    return f"{view.buffer}{start}[{labels}]"


def op_text(op: Op) -> str:
    """The op's name and, in brackets, those of its attributes that differ from their defaults."""
    values = [_attribute_text(getattr(op, f.name)) for f in fields(op) if f.name != "body"]
    return f"{op.name}[{', '.join(values)}]" if values else op.name


def _attribute_text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_attribute_text, value))})" if len(value) != 1 else _attribute_text(value[0])
    return str(value)


def places_text(origins: Origins) -> str:
    """The first places in the user's text, `net.zh:6:9`."""
    found = sorted({o.span.key: str(o.span) for o in origins}.items())
    return ", ".join(text for _, text in found[:3]) + (", …" if len(found) > 3 else "")


def _life_text(buffer: Buffer) -> str:
    if buffer.place not in ("arena", "input"):
        return ""
    slot = f" in {buffer.slot}" if buffer.slot != buffer.name else ""
    return f"  steps {buffer.life[0]}..{buffer.life[1]}{slot}"
