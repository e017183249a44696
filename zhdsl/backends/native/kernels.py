"""One kernel as the text of a C function, and what it must be given.

    void k(void **b, const long *z, long part, long parts)

`b` holds addresses of buffers, then of this kernel's scratch, then numbers. A kernel with a tile runs its share of the
pieces; where it has totals, the pieces make up a fixed number of chunks, each with totals of its own, so that the bits
do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zhdsl.backends.native import contractions, moves, nest, reductions
from zhdsl.backends.native.ctext import C_TYPES, PIECE
from zhdsl.backends.native.frame import Frame
from zhdsl.errors import BackendError
from zhdsl.ir.sizes import Size
from zhdsl.ops.contract import Contract
from zhdsl.ops.families import Reduce
from zhdsl.schedule.program import Kernel, Program, Step
from zhdsl.schedule.views import View

NAME = "KERNEL"  # stands for the function's name until equal texts have been found


@dataclass(frozen=True)
class Source:
    """A printed kernel.

    Attributes:
        kernel: what was printed.
        text: its function, called `NAME`, with helpers before it.
        buffers: names of the buffers that `b` begins with, scratch included.
        scratch: elements that products need, for each thread.
        lives: of scratch buffers, from the first to the last of the kernel's loops that touch them.
    """

    kernel: Kernel
    text: str
    buffers: tuple[str, ...]
    scratch: int
    lives: Mapping[str, tuple[int, int]]


def print_kernel(
    program: Program,
    kernel: Kernel,
    float_: str,
    names: Mapping[str, str],
    literals: Mapping[str, float | int | bool],
    width: int,
) -> Source:
    """Print a kernel for vectors of `width` bytes. Raises `BackendError` where C has no such dtype or op."""
    frame = Frame(program, kernel, float_, {**names, PIECE: "pn"}, literals, width)
    lives = _print_steps(frame)
    body = frame.lines
    head = [f"void {NAME}(void **b, const long *z, long part, long parts) {{"]
    head += ["(void)z; (void)part; (void)parts;", *_arguments(frame)]
    helpers = list(frame.helpers.values())
    text = "\n".join([*helpers, *head, *_pieces(frame, body), "}"])
    scratch = max((s for s in frame.asked), default=0)
    return Source(kernel, text, tuple(frame.buffers), scratch, lives)


def _arguments(frame: Frame) -> list[str]:
    """Declarations of all pointers; scratch of this thread lies `stride` bytes behind that of the one before."""
    count = len(frame.buffers)
    lines = [f"char *const mine = (char *)b[{count}] + part * (long)b[{count + 1}];", "(void)mine;"]
    for i, name in enumerate(frame.buffers):
        kind = C_TYPES[frame.dtype(name)]
        if name in frame.kernel.totals:
            continue
        if frame.is_local(name):
            lines.append(f"{kind} *const b{i} = ({kind} *)(mine + (long)b[{i}]);")
        else:
            lines.append(f"{kind} *const b{i} = b[{i}];")
    lines.append(f"void *const scratch = mine + (long)b[{count + 2}];")
    return lines


def _pieces(frame: Frame, body: Sequence[str]) -> list[str]:
    """The body, once or in a loop over this thread's pieces."""
    tile = frame.kernel.tile
    if tile is None:
        return ["const long p0 = 0, pn = 1; (void)p0; (void)pn;", *body]
    count = len(frame.buffers)
    whole = frame.text(_whole(frame))
    most = frame.text(tile.size)
    size = most if frame.kernel.totals else f"zh_most(1, zh_least({most}, (whole + parts - 1) / parts))"
    lines = [
        f"const long whole = {whole}, size = {size}, pieces = (whole + size - 1) / size;",
        f"const long chunks = (long)b[{count + 3}];" if frame.kernel.totals else "const long chunks = parts;",
        "for (long chunk = chunks * part / parts; chunk < chunks * (part + 1) / parts; chunk++) {",
    ]
    for name in frame.kernel.totals:
        i = frame.buffers.index(name)
        kind, elements = C_TYPES[frame.dtype(name)], frame.text(frame.program.buffers[name].count)
        lines.append(f"{kind} *const b{i} = ({kind} *)b[{i}] + chunk * {elements};")
        lines.append(f"for (long i = 0; i < {elements}; i++) b{i}[i] = 0;")
    return [
        *lines,
        "for (long piece = pieces * chunk / chunks; piece < pieces * (chunk + 1) / chunks; piece++) {",
        "const long p0 = piece * size, pn = zh_least(size, whole - p0); (void)p0;",
        *body,
        "}",
        "}",
    ]


def _whole(frame: Frame) -> Size:
    """The size of what is cut."""
    label, buffers = frame.label, frame.program.buffers
    views = [v for s in frame.kernel.steps for v in (s.output, *s.inputs)]
    found = [v.sizes[label] for v in views if label in v.sizes and buffers[v.buffer].place != "local"]
    return found[0] if found else next(v.sizes[label] for v in views if label in v.sizes)


# ---------------------------------------------------------------- steps
PRINTERS: dict[str, Callable[[Frame, Step], None]] = {
    "fold": moves.print_fold,
    "gather": moves.print_gather,
    "scatter": moves.print_scatter,
    "topk": moves.print_topk,
    "uniform": moves.print_uniform,
}


def _print_steps(frame: Frame) -> dict[str, tuple[int, int]]:
    """Print a call for every loop nest, each in a function of its own; when scratch is needed, counted in these.

    Equal nests are one function, in all kernels of a program: repeated layers are compiled once.
    """
    lives: dict[str, tuple[int, int]] = {}
    for at, item in enumerate(_items(_joined_totals(frame.kernel))):
        inner = frame.inner()
        if isinstance(item, tuple):
            _print_into(inner, *item)
        elif isinstance(item, nest.Cluster):
            nest.print_cluster(inner, item, _kept(frame.kernel, item))
        else:
            print_step(inner, item)
        if inner.lines:
            _call(frame, inner)
        for name in inner.buffers:
            if frame.is_local(name):
                lives[name] = lives.get(name, (at, at))[0], at
    return lives


def _call(frame: Frame, inner: Frame) -> None:
    """Make a function of what has been printed, and print a call of it."""
    kinds = [f"{C_TYPES[frame.dtype(name)]} *b{i}" for i, name in enumerate(inner.buffers)]
    head = ", ".join([*kinds, "const long *z", "long p0", "long pn", "void *scratch"])
    unused = "(void)z; (void)p0; (void)pn; (void)scratch;"
    body = "\n".join([unused, *inner.lines])
    frame.adopt(inner)
    name = frame.helper(lambda name: f"static __attribute__((noinline)) void {name}({head}) {{\n{body}\n}}")
    arguments = ", ".join([*(frame.pointer(b) for b in inner.buffers), "z", "p0", "pn", "scratch"])
    frame.add(f"{name}({arguments});")


def _joined_totals(kernel: Kernel) -> list[Step | tuple[Step, View]]:
    """The steps, those whose part of a total can be added where it is made together with the place of the total."""
    found: list[Step | tuple[Step, View]] = []
    skip = False
    for step, after in zip(kernel.steps, (*kernel.steps[1:], None), strict=True):
        if skip:
            skip = False
            continue
        adds = after is not None and after.output.buffer in kernel.totals and after.inputs[-1] == step.output
        if adds and after is not None and _adds_in_place(step):
            found.append((step, after.output))
            skip = True
        else:
            found.append(step)
    return found


def _adds_in_place(step: Step) -> bool:
    """Whether printing can add to what is there: products with rows and columns, and scatters."""
    if step.op.name == "scatter":
        return True
    if not isinstance(step.op, Contract):
        return False
    a, b = (set(v.labels) for v in step.inputs)
    inner = [n for n in step.output.labels if step.output.sizes[n] != 1]
    return bool(inner) and (inner[-1] in a) != (inner[-1] in b)


def _items(steps: Sequence[Step | tuple[Step, View]]) -> list[nest.Cluster | Step | tuple[Step, View]]:
    """Clusters of elementwise steps, other steps, and steps that add to totals, in order."""
    found: list[nest.Cluster | Step | tuple[Step, View]] = []
    run: list[Step] = []
    for step in steps:
        if isinstance(step, Step):
            run.append(step)
        else:
            found += [*nest.clusters(run), step]
            run = []
    return [*found, *nest.clusters(run)]


def _kept(kernel: Kernel, cluster: nest.Cluster) -> set[str]:
    """The buffers that steps outside of the cluster touch."""
    own = {id(s) for s in cluster.steps}
    others = [s for s in kernel.steps if id(s) not in own]
    return {v.buffer for s in others for v in (s.output, *s.inputs)}


def _print_into(frame: Frame, step: Step, into: View) -> None:
    if isinstance(step.op, Contract):
        contractions.print_contraction(frame, step, into)
    else:
        moves.print_scatter(frame, step, into)


def print_step(frame: Frame, step: Step) -> None:
    """Print one step that is not elementwise."""
    op = step.op
    if isinstance(op, Contract):
        contractions.print_contraction(frame, step)
    elif isinstance(op, Reduce):
        reductions.print_reduction(frame, step)
    elif op.name in PRINTERS:
        PRINTERS[op.name](frame, step)
    else:
        raise BackendError(f"native: no rule for {op.name} of family {op.family}")


__all__ = ["NAME", "Source", "print_kernel"]
