"""The native backend: every kernel a C function, compiled once, and a run one call through a table of them.

    print every kernel → equal texts once → compile what the cache lacks → a table of addresses for given sizes → run

Memory is laid out as in the NumPy backend, which also computes what is constant; behind the arena lie scratch, for each
thread its own, and the totals of chunks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from zhdsl.backends.base import require_float
from zhdsl.backends.native import run, toolchain
from zhdsl.backends.native.kernels import NAME, Source, print_kernel
from zhdsl.backends.native.library import Library, load
from zhdsl.backends.native.product import product_prelude
from zhdsl.backends.numpy.backend import FLOAT_BYTES, Binding, NumpyExecutable, Watch
from zhdsl.backends.numpy.memory import Array, aligned_bytes, numpy_dtype
from zhdsl.ir.sizes import Size
from zhdsl.ops.source import Const
from zhdsl.schedule.memory import ALIGN, Block, Plan, place, plan
from zhdsl.schedule.program import Kernel, Loop, Program
from zhdsl.schedule.tiling import CHUNKS

LIGHT = 1 << 14  # operations up to which threads cost more than they save


class NativeBackend:
    """Compiles C; needs a C compiler and nothing else."""

    name = "native"

    def available(self) -> bool:
        """Whether there is a C compiler that works."""
        return toolchain.available()

    def compile(self, program: Program, dtype: str = "f32", threads: int | None = None) -> NativeExecutable:
        """See `Backend.compile`.

        Args:
            program: scheduled with `direct`.
            dtype: f32 or f64.
            threads: how many take part, by default `$ZH_THREADS` or as many as there are cores; the bits do not depend
                on it.

        Raises:
            BackendError: there is no compiler, it failed, or C has no such dtype.
        """
        require_float(dtype)
        return NativeExecutable(program, dtype, threads or run.wanted())


class NativeExecutable(NumpyExecutable):
    """A program as compiled functions. See `Executable`."""

    def __init__(self, program: Program, dtype: str, threads: int):
        super().__init__(program, dtype)
        self.threads = threads
        self.slots = {s: i for i, s in enumerate((*_symbols(program), *_counters(program.kernels)))}
        names = {s: f"z[{i}]" for s, i in self.slots.items()}
        literals = _literals(program)
        width = toolchain.find().vector_bytes
        self._functions: Mapping[str, int] | None = None
        self.sources = {k.name: print_kernel(program, k, dtype, names, literals, width) for k in program.all_kernels}

    @property
    def functions(self) -> Mapping[str, int]:
        """Addresses of the kernels' functions, by kernel, and of `zh_combine_*`; compiles what the cache lacks."""
        if self._functions is None:
            prepare([self])
        assert self._functions is not None
        return self._functions

    def plan(self, sizes: Mapping[str, int]) -> Plan:
        """See `Executable.plan`; with the scratch of all threads and the totals of all chunks."""
        own = plan(self.program, sizes, FLOAT_BYTES[self.dtype], scratch=False)
        extra = Extra.of(self, sizes)
        return replace(own, arena=own.arena + extra.count)

    def _bound(self, sizes: Mapping[str, int]) -> Binding:
        return NativeBinding(self, sizes)


@dataclass(frozen=True)
class Extra:
    """Memory beside the arena of buffers, in bytes: `scratch` for each thread, `totals` for all chunks."""

    scratch: int
    totals: int
    threads: int

    @property
    def count(self) -> int:
        return self.scratch * self.threads + self.totals

    @staticmethod
    def of(executable: NativeExecutable, sizes: Mapping[str, int]) -> Extra:
        spaces = [Space.of(executable, s, sizes) for s in executable.sources.values()]
        scratch = max((s.scratch for s in spaces), default=0)
        return Extra(scratch, max((s.totals for s in spaces), default=0), executable.threads)


@dataclass(frozen=True)
class Space:
    """What one kernel needs of it: offsets of its scratch buffers and of its totals, and where products have theirs."""

    offsets: Mapping[str, int]
    product: int
    scratch: int
    total_offsets: Mapping[str, int]
    totals: int
    chunks: int

    @staticmethod
    def of(executable: NativeExecutable, source: Source, sizes: Mapping[str, int]) -> Space:
        program, kernel = executable.program, source.kernel
        blocks = [Block(n, _bytes(executable, n, sizes), source.lives[n]) for n in source.buffers if n in source.lives]
        offsets, end = place(blocks)
        product = _aligned(source.scratch * FLOAT_BYTES[executable.dtype])
        chunks = _chunks(program, kernel, sizes)
        total_offsets, at = {}, 0
        for name in kernel.totals:
            total_offsets[name] = at
            at += _aligned(_bytes(executable, name, sizes, exact=True) * chunks)
        return Space(offsets, end, end + product, total_offsets, at, chunks)


def _bytes(executable: NativeExecutable, name: str, sizes: Mapping[str, int], exact: bool = False) -> int:
    buffer = executable.program.buffers[name]
    count = buffer.count.evaluate({**sizes, **dict.fromkeys(executable.slots, 0), **sizes})
    size = count * numpy_dtype(buffer.dtype, executable.dtype).itemsize
    return size if exact else _aligned(size)


def _aligned(count: int) -> int:
    return -(-count // ALIGN) * ALIGN


def _chunks(program: Program, kernel: Kernel, sizes: Mapping[str, int]) -> int:
    """In how many parts its totals are added up: depends on sizes, never on threads."""
    if not kernel.totals or kernel.tile is None:
        return 1
    whole = whole_of(program, kernel).evaluate(sizes)
    return max(1, min(CHUNKS, -(-whole // max(1, kernel.tile.size.evaluate(sizes)))))


def whole_of(program: Program, kernel: Kernel) -> Size:
    """The size of what the kernel's pieces are cut from."""
    assert kernel.tile is not None
    label = kernel.tile.label
    views = [v for s in kernel.steps for v in (s.output, *s.inputs) if label in v.sizes]
    found = [v.sizes[label] for v in views if program.buffers[v.buffer].place != "local"]
    return found[0] if found else views[0].sizes[label]


# ---------------------------------------------------------------- compiling
def prepare(executables: Sequence[NativeExecutable]) -> None:
    """Compile several programs at once, what the cache lacks of them; equal kernels of any of them once.

    Raises:
        BackendError: there is no compiler that works.
    """
    texts = {(e, k): named(s) for e in executables for k, s in e.sources.items()}
    units = unit_texts(sorted(dict(texts.values())[name] for name in dict(texts.values())))
    libraries = load(["\n".join(unit) for unit in units])
    homes = {text: library for library, unit in zip(libraries, units, strict=True) for text in unit}
    for executable in executables:
        own = {k: homes[text].function(name) for (e, k), (name, text) in texts.items() if e is executable}
        executable._functions = own | _combiners(libraries[0])


def named(source: Source) -> tuple[str, str]:
    """A kernel's name and text: the same for equal texts."""
    name = f"k{hashlib.sha256(source.text.encode()).hexdigest()[:16]}"
    return name, source.text.replace(f"void {NAME}(", f"void {name}(")


def unit_texts(functions: Sequence[str]) -> list[list[str]]:
    """The functions in as many units as there are cores, of about the same length, behind what they need."""
    count = max(1, min(run.cores(), len(functions)))
    head = prelude(toolchain.find().vector_bytes)
    units: list[list[str]] = [[head] for _ in range(count)]
    for text in sorted(functions, key=lambda t: (-len(t), t)):
        min(units, key=lambda u: sum(map(len, u))).append(text)
    return units


@lru_cache
def prelude(width: int) -> str:
    """What stands before all kernels; vectors have `width` bytes."""
    own = [f'#include "{name}"' for name in ("vmath.h", "threefry.h", "zh.h")]
    combine = [
        f"void zh_combined_{d}(void **b, const long *z, long part, long parts) {{ zh_combine_{d}(b, z, part, parts); }}"
        for d in ("f32", "f64", "i32")
    ]
    return "\n".join([*own, product_prelude(width), *combine])


def _combiners(library: Library) -> dict[str, int]:
    return {f"combine/{d}": library.function(f"zh_combined_{d}") for d in ("f32", "f64", "i32")}


def _literals(program: Program) -> dict[str, float | int | bool]:
    """Scalars whose values are known now."""
    found = {}
    for kernel in program.once:
        for step in kernel.steps:
            if isinstance(step.op, Const) and not step.output.dims and not isinstance(step.op.value, Size):
                found[step.output.buffer] = step.op.value
    return found


def _symbols(program: Program) -> list[str]:
    """All symbols of sizes, in order; those that no input tells are given in each run."""
    sizes = [n for b in program.buffers.values() for _, n in b.axes]
    sizes += [n for k in program.all_kernels for s in k.steps for v in (s.output, *s.inputs) for _, n, _ in v.dims]
    return sorted(s for s in program.symbols.union(*(n.symbols for n in sizes)) if not s.startswith("@"))


def _counters(items: Sequence[Kernel | Loop]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Loop):
            yield item.counter
            yield from _counters(item.body)


# ---------------------------------------------------------------- running
class NativeBinding(Binding):
    """A program with all sizes known: memory, and a table of calls."""

    def __init__(self, executable: NativeExecutable, sizes: Mapping[str, int]):
        self._executable = executable
        super().__init__(executable, sizes)

    def _bind(self) -> None:
        """Lay out scratch and make the table."""
        executable, sizes = self._executable, self.memory.sizes
        self._keep: list[Array] = []
        extra = Extra.of(executable, sizes)
        self._scratch = aligned_bytes(extra.scratch * extra.threads)
        self._totals = aligned_bytes(extra.totals)
        self._stride = extra.scratch
        z = np.zeros(max(1, len(executable.slots)), np.int64)
        for symbol, slot in executable.slots.items():
            z[slot] = sizes.get(symbol, 0)
        self._kernels: list[tuple[Kernel | Loop, int, int]] = []
        items: list[run.Item] = []
        for item in self.program.kernels:
            made = list(self._items(item))
            self._kernels.append((item, len(items), len(items) + len(made)))
            items += made
        self.table = run.Table(items, z)
        self.threads = executable.threads if any(_parallel(i) for i in items) else 1

    def _items(self, item: Kernel | Loop) -> Iterator[run.Item]:
        if isinstance(item, Loop):
            rounds = item.size.evaluate(self.memory.sizes)
            body = [made for inner in item.body for made in self._items(inner)]
            yield run.Loop(self._executable.slots[item.counter], rounds, body, item.reverse)
            return
        source = self._executable.sources[item.name]
        space = Space.of(self._executable, source, self.memory.sizes)
        addresses = [self._address(name, space) for name in source.buffers]
        extra = [self._scratch.ctypes.data, self._stride, space.product, space.chunks]
        buffers = self._row([*addresses, *extra])
        heavy = item.tile is not None and self._work(item) > LIGHT
        yield run.Call(self._executable.functions[item.name], buffers, heavy)
        for i, name in enumerate(item.totals):
            yield self._combined(name, space, i > 0)

    def _combined(self, name: str, space: Space, unordered: bool) -> run.Call:
        flat = self.memory.flat(name)
        dtype = {"f": "f32", "d": "f64", "i": "i32"}[flat.dtype.char]
        parts = self._totals.ctypes.data + space.total_offsets[name]
        buffers = self._row([flat.ctypes.data, parts, flat.size, space.chunks])
        heavy = flat.size * space.chunks > LIGHT
        return run.Call(self._executable.functions[f"combine/{dtype}"], buffers, heavy, unordered)

    def _address(self, name: str, space: Space) -> int:
        if name in space.offsets:
            return space.offsets[name]
        if name in space.total_offsets:
            return int(self._totals.ctypes.data + space.total_offsets[name])
        return int(self.memory.flat(name).ctypes.data)

    def _row(self, values: Sequence[int]) -> Array:
        array = np.array(values, np.int64)
        self._keep.append(array)
        return array

    def _work(self, kernel: Kernel) -> int:
        """About how many operations the kernel does."""
        sizes = {**dict.fromkeys(self._executable.slots, 0), **self.memory.sizes}
        total = 0
        for step in kernel.steps:
            domain = {n: size for v in (step.output, *step.inputs) for n, size, _ in v.dims}
            work = 1
            for size in domain.values():
                work *= max(1, size.evaluate(sizes))
            total += work
        return total

    def execute(self, watch: Watch | None = None) -> None:
        """Run all kernels."""
        if watch is None:
            self.table.run(self.threads)
            return
        for item, first, last in self._kernels:
            self.table.run_items(first, last, self.threads)
            for kernel in _flat(item):
                watch(kernel, self._shown(kernel))

    def _shown(self, kernel: Kernel) -> list[Array]:
        local = {b.name for b in self.program.of_place("local")}
        written = (v for v in kernel.written if v.buffer not in local and not any(s[0] == "@" for s in v.symbols))
        return [self.memory.places(v).array(v.labels) for v in written]


def _flat(item: Kernel | Loop) -> Iterator[Kernel]:
    if isinstance(item, Kernel):
        yield item
    else:
        for inner in item.body:
            yield from _flat(inner)


def _parallel(item: run.Item) -> bool:
    return item.parallel if isinstance(item, run.Call) else any(map(_parallel, item.body))


def compile(program: Program, dtype: str = "f32", threads: int | None = None) -> NativeExecutable:
    """A program ready to run as compiled C. See `NativeBackend.compile`."""
    return NativeBackend().compile(program, dtype, threads)
