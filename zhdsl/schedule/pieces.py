"""Pieces: kernels with scratch run over a few indices of a label at a time, so that the scratch stays in the cache."""

from __future__ import annotations

from collections.abc import Iterable

from zhdsl.ir.sizes import Size, extreme
from zhdsl.ir.types import Axis
from zhdsl.schedule.program import Tile
from zhdsl.schedule.views import View, product

ELEMENTWISE = 1 << 15  # elements of each scratch of an elementwise kernel: several of them fit a second-level cache
MATRIX = 1 << 17  # elements of an operand that is copied for a product: half a second-level cache in f32


def tile(view: View, label: str, elements: int) -> Tile | None:
    """Pieces along a label that hold about so many elements of the view; `None` if that is surely all of it."""
    rest = extreme("max", (1, product(size for n, size in view.axes if n != label)))
    size = extreme("min", (view.sizes[label], extreme("max", (1, Size.of(elements) // rest))))
    return None if size == view.sizes[label] else Tile(label, size)


def axes(whole: Iterable[Axis], tile: Tile | None) -> list[Axis]:
    """The axes of scratch that holds one piece."""
    return [(n, tile.size if tile and n == tile.label else size) for n, size in whole]
