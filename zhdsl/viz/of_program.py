"""Program → Scene: every step an item, every kernel and every loop a group, in the calls they were made for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zhdsl.ir.types import axes_text
from zhdsl.schedule.memory import ITEM
from zhdsl.schedule.program import Entry, Kernel, Loop, Program, Step, op_text
from zhdsl.schedule.views import View
from zhdsl.viz.formula import formula
from zhdsl.viz.groups import Groups, common, merged, parts_of, path_key, phase_of, place_text
from zhdsl.viz.scene import Edge, Group, Item, Scene


def scene_of_program(
    program: Program, sizes: Mapping[str, int] | None = None, float_bytes: int = 4, about: str = ""
) -> Scene:
    """The scene of a program.

    Args:
        program: of any graph.
        sizes: values of symbols, to count bytes; a symbol that is left out counts as 1.
        float_bytes: of an element of the program's float.
        about: one line on what is shown.
    """
    known = dict.fromkeys(sorted(program.symbols), 1) | dict(sizes or {})
    work = _Work(program, known, float_bytes)
    work.inputs()
    work.kernels((*program.once, *program.kernels), ())
    return work.scene(about)


@dataclass
class _Work:
    """Items as they are found, with the groups around them and the buffer each has written last."""

    program: Program
    sizes: dict[str, int]
    float_bytes: int
    items: list[Item] = field(default_factory=list)
    paths: list[tuple[Any, ...]] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    writers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    reads: dict[int, list[tuple[int, str]]] = field(default_factory=dict)  # slots and buffers of every step
    last: tuple[Any, ...] = ("forward",)
    titles: dict[str, Group] = field(default_factory=dict)  # of kernels and loops

    def inputs(self) -> None:
        """Those that steps read."""
        read = {v.buffer for k in (*self.program.once, *self.program.all_kernels) for s in k.steps for v in s.inputs}
        for entry in self.program.inputs:
            if entry.view.buffer in read:
                self.writers[entry.view.buffer] = (len(self.items),)
                self.items.append(self._input(entry))
                self.paths.append(())

    def kernels(self, items: Sequence[Kernel | Loop], around: tuple[Any, ...]) -> None:
        for item in items:
            if isinstance(item, Loop):
                self._loop(item, around)
            else:
                self._kernel(item, around)

    def _loop(self, loop: Loop, around: tuple[Any, ...]) -> None:
        first = len(self.items)
        self.titles[loop.name] = Group(f"{loop.name} loop of {loop.size}", "loop")
        self.sizes.setdefault(loop.counter, 0)
        inside = next(_kernels_of(loop), None)
        outer = around or (_around(inside) if inside else ())
        self.kernels(loop.body, (*outer, loop.name))
        for number in range(first, len(self.items)):
            for slot, name in self.reads[number]:
                later = [w for w in self.writers.get(name, ()) if w >= number]
                self.edges += [Edge(w, number, slot, back=True) for w in later[-1:]]  # from the round before

    def _kernel(self, kernel: Kernel, around: tuple[Any, ...]) -> None:
        self.titles[kernel.name] = Group(f"{kernel.name} {kernel.family}", "kernel", note=str(kernel))
        self.last = _around(kernel) if kernel.origins else self.last  # copies have no place of their own
        path = (*(around or self.last), kernel.name)
        for step in kernel.steps:
            number = len(self.items)
            self.reads[number] = [(slot, view.buffer) for slot, view in enumerate(step.inputs)]
            for slot, view in enumerate(step.inputs):
                self.edges += [Edge(w, number, slot) for w in self.writers.get(view.buffer, ())]
            self.items.append(self._item(step, kernel))
            self.paths.append(path)
            self._written(step.output, number)

    def _written(self, view: View, number: int) -> None:
        """A step that writes a whole buffer is its only writer; what writes a part of one is one of several."""
        whole = view == self.program.buffers[view.buffer].whole
        self.writers[view.buffer] = (number,) if whole else (*self.writers.get(view.buffer, ()), number)

    # ------------------------------------------------------------ items
    def _input(self, entry: Entry) -> Item:
        kind = {"param": "param", "state": "state"}.get(entry.role, "data")
        count = self._bytes(entry.view, entry.type.dtype)
        return Item(entry.name, "input", kind, str(entry.type), name=entry.name, bytes=count)

    def _item(self, step: Step, kernel: Kernel) -> Item:
        dtype = self.program.buffers[step.output.buffer].dtype
        outputs = tuple(e.key for e in self.program.outputs if e.view.buffer == step.output.buffer)
        return Item(
            label=step.op.name,
            op=op_text(step.op),
            family=step.op.family,
            type=("" if dtype == "float" else dtype) + axes_text((n, size) for n, size, _ in step.output.dims),
            name=step.output.buffer,
            phase=phase_of(kernel.origins),
            place=place_text(kernel.origins),
            formula=formula(step.node) if step.node is not None else "",
            bytes=self._bytes(step.output, dtype),
            outputs=outputs,
            key=path_key((), kernel.origins),
        )

    def _bytes(self, view: View, dtype: str) -> int:
        return view.count.evaluate(self.sizes) * ITEM.get(dtype, self.float_bytes)

    def scene(self, about: str) -> Scene:
        groups = Groups(self.titles)
        phases = {p[0] for p in self.paths if p}
        paths = merged([p if len(phases) > 1 or not p else p[1:] for p in self.paths])
        if len(phases) > 1:
            paths = [p or ("forward",) for p in paths]
        where = [groups.number(path) for path in paths]
        items = tuple(replace(item, group=group) for item, group in zip(self.items, where, strict=True))
        sizes = {name: n for name, n in self.sizes.items() if name in self.program.symbols}
        return Scene(self.program.name, items, groups.finished(), tuple(self.edges), sizes, about)


def _around(kernel: Kernel) -> tuple[Any, ...]:
    """The phase and the calls that all steps of a kernel were made in."""
    frames = common([o.frames for o in kernel.origins])
    frames = frames[1:] if frames and frames[0].kind == "model" else frames
    return (phase_of(kernel.origins), *(part for frame in frames for part in parts_of(frame)))


def _kernels_of(loop: Loop) -> Iterator[Kernel]:
    for item in loop.body:
        if isinstance(item, Loop):
            yield from _kernels_of(item)
        else:
            yield item
