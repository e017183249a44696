"""What the printing of one kernel knows: names of buffers in C, where views lie, and which loops visit them.

Axis("N", 512, (512, 0, 1))     one loop and, for every view in hand, how far a step of it goes
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from zhdsl.backends.native.ctext import C_TYPES, PIECE, c_dtype, number
from zhdsl.ir.sizes import Size
from zhdsl.schedule.program import Kernel, Program
from zhdsl.schedule.views import ONE, ZERO, View


@dataclass(frozen=True)
class Axis:
    """A loop: how many rounds, and the stride of every view along it (0 where it has not the label)."""

    labels: tuple[str, ...]
    size: Size
    strides: tuple[Size, ...]


@dataclass
class Frame:
    """One kernel being printed.

    Attributes:
        program, kernel: what is printed.
        float_: `f32` or `f64`.
        names: what symbols are called in C.
        literals: scalars that are known when the kernel is printed, by buffer.
        width: of vectors, in bytes.
        buffers: what the kernel is given, in the order of its arguments.
        helpers: functions that it calls, by name.
        asked: elements of scratch that products ask for.
        lines: of the body.
    """

    program: Program
    kernel: Kernel
    float_: str
    names: Mapping[str, str]
    literals: Mapping[str, float | int | bool]
    width: int
    buffers: list[str] = field(default_factory=list)
    helpers: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    _count: int = 0

    @property
    def label(self) -> str | None:
        """What pieces are cut along."""
        return self.kernel.tile.label if self.kernel.tile else None

    def fresh(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def add(self, *lines: str) -> None:
        self.lines.extend(lines)

    def helper(self, make: Callable[[str], str]) -> str:
        """A function of its own that the kernel calls: its name, the same for the same text."""
        text = make("HELPER")
        if text not in self.helpers:
            name = f"f{hashlib.sha256(text.encode()).hexdigest()[:16]}"
            guard = f"ZH_{name}"
            self.helpers[text] = f"#ifndef {guard}\n#define {guard}\n{make(name)}\n#endif"
            self.functions[text] = name
        return self.functions[text]

    def inner(self) -> Frame:
        """A frame for one function that this kernel calls: with buffers and lines of its own."""
        return Frame(self.program, self.kernel, self.float_, self.names, self.literals, self.width)

    def adopt(self, inner: Frame) -> None:
        """Take over what an inner frame's function needs."""
        self.helpers |= inner.helpers
        self.functions |= inner.functions
        self.asked += inner.asked

    def ask_scratch(self, elements: int) -> None:
        """Make room for so many elements, beside the kernel's own scratch."""
        if elements:
            self.asked.append(elements)

    # ------------------------------------------------------------ buffers
    def dtype(self, name: str) -> str:
        return c_dtype(self.program.buffers[name].dtype, self.float_)

    def is_local(self, name: str) -> bool:
        return self.program.buffers[name].place == "local"

    def pointer(self, name: str) -> str:
        """The C variable that points to a buffer."""
        if name not in self.buffers:
            self.buffers.append(name)
        return f"b{self.buffers.index(name)}"

    def text(self, size: Size) -> str:
        return number(size, self.names)

    # ------------------------------------------------------------ views
    def size(self, label: str, size: Size) -> Size:
        """How many indices of a label are visited: of the tile's, those of the piece."""
        return Size.of(PIECE) if label == self.label else size

    def start(self, view: View) -> str:
        """The address of a view's first element in this piece."""
        terms = [self.pointer(view.buffer)]
        if view.offset != 0:
            terms.append(self.text(view.offset))
        if self.label in view.sizes and not self.is_local(view.buffer):
            stride = view.strides[self.label]
            if stride != 0:
                terms.append(f"p0 * {self.text(stride)}" if stride != 1 else "p0")
        return " + ".join(terms)

    def axes(self, labels: Iterable[str], views: Sequence[View]) -> list[Axis]:
        """Loops over these labels, as they are listed, with neighbours that are one run in all views merged."""
        found: list[Axis] = []
        for label in labels:
            size = next((self.size(label, v.sizes[label]) for v in views if label in v.sizes), ONE)
            if size == 1:
                continue
            strides = tuple(v.strides.get(label, ZERO) for v in views)
            if found and _run(found[-1], size, strides):
                outer = found.pop()
                found.append(Axis((*outer.labels, label), outer.size * size, strides))
            else:
                found.append(Axis((label,), size, strides))
        return found

    # ------------------------------------------------------------ printing
    def pointers(self, views: Sequence[View], written: Iterable[int]) -> list[str]:
        """Declare a pointer to the first element of every view; their names."""
        targets = set(written)
        names = []
        for i, view in enumerate(views):
            name = self.fresh("q")
            const = "" if i in targets else "const "
            self.add(f"{const}{C_TYPES[self.dtype(view.buffer)]} *{name} = {self.start(view)};")
            names.append(name)
        return names

    def open_loops(self, axes: Sequence[Axis], pointers: Sequence[str]) -> int:
        """Print the heads of loops that move the pointers; how many blocks are open then."""
        for axis in axes:
            index = self.fresh("i")
            moves = [f"{p} += {self.text(s)}" for p, s in zip(pointers, axis.strides, strict=True) if s != 0]
            # Pointers are moved back behind the loop: they are declared outside of it.
            self.add(
                f"for (long {index} = 0; {index} < {self.text(axis.size)}; {index}++{', ' if moves else ''}"
                f"{', '.join(moves)}) {{"
            )
        return len(axes)

    def close_loops(self, axes: Sequence[Axis], pointers: Sequence[str]) -> None:
        """Close them, innermost first, with the pointers where they were."""
        for axis in reversed(axes):
            back = [
                f"{p} -= {self.text(s * axis.size)};" for p, s in zip(pointers, axis.strides, strict=True) if s != 0
            ]
            self.add(f"}} {' '.join(back)}".rstrip())


def _run(outer: Axis, size: Size, strides: Sequence[Size]) -> bool:
    return all(far == near * size for far, near in zip(outer.strides, strides, strict=True))


def by_output(output: View, others: Iterable[str]) -> Iterator[str]:
    """Labels as they lie in the output, outermost first; those that it lacks come before."""
    yield from (n for n in others if n not in output.sizes)
    yield from output.labels


__all__ = ["Axis", "Frame", "by_output"]
