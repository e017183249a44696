"""Views: affine index maps into a buffer, one stride per label. Most movement ops only make a new view, never a copy.

    element(b, n) of View("x", offset 5, [B: stride N, N: stride 1])  is  x[5 + b*N + n]

Offsets and strides count elements and are `Size`s, so one view serves all batch sizes, and a loop's counter may stand
in an offset. A stride of 0 repeats (`expand`), a negative one runs backwards (`flip`), overlapping ones are windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from zhdsl.ir.sizes import Size, SizeLike
from zhdsl.ir.types import Axis

ZERO, ONE = Size.of(0), Size.of(1)
SAMPLE = 61  # what a symbol counts as when two sizes are only weighed against each other

Dim = tuple[str, Size, Size]


@dataclass(frozen=True)
class View:
    """Elements of a buffer under labels.

    Attributes:
        buffer: the buffer's name.
        offset: of the element whose indices are all 0, in elements.
        dims: (label, size, stride in elements), as a rule outermost first.
    """

    buffer: str
    offset: Size
    dims: tuple[Dim, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label, _, _ in self.dims)

    @cached_property
    def sizes(self) -> dict[str, Size]:
        return {label: size for label, size, _ in self.dims}

    @cached_property
    def strides(self) -> dict[str, Size]:
        return {label: stride for label, _, stride in self.dims}

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple((label, size) for label, size, _ in self.dims)

    @property
    def domain(self) -> frozenset[Axis]:
        """Labels with sizes, in no order."""
        return frozenset(self.axes)

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Labels along which the elements are not merely repeated."""
        return tuple(label for label, _, stride in self.dims if stride != 0)

    @cached_property
    def count(self) -> Size:
        return product(self.sizes.values())

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Symbols in offset and strides (those of sizes are the buffer's)."""
        return self.offset.symbols.union(*(stride.symbols for _, _, stride in self.dims))


def product(sizes: Iterable[SizeLike]) -> Size:
    """The product of sizes."""
    total = ONE
    for size in sizes:
        total = total * size
    return total


def dense(buffer: str, axes: Sequence[Axis]) -> View:
    """All of a buffer that holds these axes, row-major."""
    dims: list[Dim] = []
    stride = ONE
    for label, size in reversed(axes):
        dims.insert(0, (label, size, stride))
        stride = stride * size
    return View(buffer, ZERO, tuple(dims))


# ---------------------------------------------------------------- movement
def relabel(view: View, names: Mapping[str, str]) -> View:
    """The same places under other labels."""
    return replace(view, dims=tuple((names.get(n, n), size, stride) for n, size, stride in view.dims))


def expand(view: View, axes: Iterable[Axis]) -> View:
    """Every element repeated along new labels."""
    return replace(view, dims=(*view.dims, *((label, size, ZERO) for label, size in axes)))


def narrow(view: View, label: str, start: SizeLike, size: Size) -> View:
    """`size` indices of a label from `start` on."""
    stride = view.strides[label]
    return replace(view, offset=view.offset + stride * start, dims=_resized(view, label, size))


def drop(view: View, label: str, at: SizeLike = 0) -> View:
    """Without a label, at one of its indices."""
    rest = tuple(d for d in view.dims if d[0] != label)
    return View(view.buffer, view.offset + view.strides[label] * at, rest)


def flip(view: View, label: str) -> View:
    """Back to front along a label."""
    size, stride = view.sizes[label], view.strides[label]
    dims = tuple((n, s, -t if n == label else t) for n, s, t in view.dims)
    return View(view.buffer, view.offset + stride * (size - 1), dims)


def split(view: View, label: str, parts: Sequence[Axis]) -> View:
    """One label as several, row-major."""
    new: list[Dim] = []
    stride = view.strides[label]
    for part, size in reversed(parts):
        new.insert(0, (part, size, stride))
        stride = stride * size
    return _replaced(view, label, tuple(new))


def merged_stride(view: View, labels: Sequence[str]) -> Size | None:
    """The stride of the labels taken as one, row-major in this order; `None` if their places are no such sequence."""
    stride: Size | None = None
    expected = ZERO
    for label in reversed(labels):
        size, own = view.sizes[label], view.strides[label]
        if size == 1:
            continue
        if stride is None:
            stride, expected = own, own
        if own != expected:
            return None
        expected = expected * size
    return ONE if stride is None else stride


def merge(view: View, labels: Sequence[str], label: str) -> View | None:
    """Several labels as one, row-major in the listed order; `None` where only a copy can do that."""
    stride = merged_stride(view, labels)
    if stride is None:
        return None
    size = product(view.sizes[n] for n in labels)
    if not labels:
        return replace(view, dims=(*view.dims, (label, size, stride)))
    first = next(n for n in view.labels if n in labels)
    rest = tuple(d for d in view.dims if d[0] == first or d[0] not in labels)
    return _replaced(replace(view, dims=rest), first, ((label, size, stride),))


def window(view: View, label: str, tap: str, places: tuple[Size, Size, Size], extent: tuple[Size, Size]) -> View:
    """Positions and taps of a label. All of them must exist.

    Args:
        view: what is looked at.
        label: becomes the positions.
        tap: the new label.
        places: stride, dilation and the index that position 0 sees at tap 0.
        extent: numbers of positions and of taps.
    """
    stride, dilation, first = places
    own = view.strides[label]
    moved = replace(view, offset=view.offset + own * first)
    return _replaced(moved, label, ((label, extent[0], own * stride), (tap, extent[1], own * dilation)))


def without(view: View, labels: Iterable[str]) -> View:
    """Without labels, at their index 0."""
    gone = set(labels)
    return replace(view, dims=tuple(d for d in view.dims if d[0] not in gone))


def arranged(view: View, order: Iterable[str]) -> View:
    """The same view with its dims listed in this order."""
    dims = {d[0]: d for d in view.dims}
    return replace(view, dims=tuple(dims[label] for label in order))


def _resized(view: View, label: str, size: Size) -> tuple[Dim, ...]:
    return tuple((n, size if n == label else s, t) for n, s, t in view.dims)


def _replaced(view: View, label: str, new: tuple[Dim, ...]) -> View:
    at = view.labels.index(label)
    return replace(view, dims=(*view.dims[:at], *new, *view.dims[at + 1 :]))


# ---------------------------------------------------------------- weighing
@lru_cache(maxsize=1 << 16)
def sample(size: Size) -> int:
    """About how large: the value with every symbol taken as `SAMPLE`. Only for choices, never for correctness."""
    try:
        return size.evaluate(dict.fromkeys(size.symbols, SAMPLE))
    except (ValueError, ZeroDivisionError):
        return SAMPLE


def by_stride(view: View) -> tuple[str, ...]:
    """Labels from the one that jumps farthest to the innermost; repeated ones last."""
    far = {label: abs(sample(stride)) for label, _, stride in view.dims}
    return tuple(sorted(view.labels, key=lambda label: -far[label]))
