"""What fusion has not placed yet: which steps could be done now, and which of them would free memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from zhdsl.schedule.forward import steps_of
from zhdsl.schedule.program import Step
from zhdsl.schedule.tape import Item
from zhdsl.schedule.views import View


class Waiting:
    """The items that are not done yet, and which of them nothing holds up any more.

    Args:
        items: all, in order.
        shared: how many steps and outputs touch a buffer.
        apart: whether two views of one buffer share no element for sure (both written, or one).
    """

    def __init__(self, items: Sequence[Item], shared: Mapping[str, int], apart: Callable[[View, View, bool], bool]):
        self.items = dict(enumerate(items))
        self.left = dict(shared)
        self._apart = apart
        self._before: dict[int, set[int]] = {}
        self._reads: dict[str, list[tuple[int, View]]] = {}
        self._writes: dict[str, list[tuple[int, View]]] = {}
        for at, item in enumerate(items):
            self._before[at] = {i for step in steps_of([item]) for i in self._needed(step)}
            for step in steps_of([item]):
                for view in step.inputs:
                    self._reads.setdefault(view.buffer, []).append((at, view))
                self._writes.setdefault(step.output.buffer, []).append((at, step.output))

    def _needed(self, step: Step) -> Iterator[int]:
        """The items so far that must be done before this step: they write what it reads, or touch what it writes."""
        for view in step.inputs:
            yield from (i for i, w in self._writes.get(view.buffer, ()) if not self._apart(view, w, False))
        output = step.output
        yield from (i for i, v in self._reads.get(output.buffer, ()) if not self._apart(v, output, False))
        yield from (i for i, v in self._writes.get(output.buffer, ()) if not self._apart(v, output, True))

    def take(self, at: int) -> None:
        """The item is done."""
        item = self.items.pop(at)
        for step in steps_of([item]):
            for name in {step.output.buffer, *(v.buffer for v in step.inputs)}:
                self.left[name] -= 1

    def last_readers(self, buffers: Iterable[str]) -> Iterator[tuple[int, Step]]:
        """Steps that nothing holds up and that are the last to touch one of these buffers."""
        for name in buffers:
            waiting = {at for at, _ in self._reads.get(name, ())} & self.items.keys()
            if self.left[name] != 1 or len(waiting) != 1:
                continue
            (at,) = waiting
            item = self.items[at]
            if isinstance(item, Step) and self._before[at].isdisjoint(self.items):
                yield at, item
