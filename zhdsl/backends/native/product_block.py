"""Micro-kernels: one register block of a product, its accumulators in registers over a block of the sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zhdsl.backends.native.product_form import Dim, Form, Number, plus, times
from zhdsl.backends.native.product_plan import Plan
from zhdsl.backends.native.product_prelude import vector_name


@dataclass(frozen=True)
class Variant:
    """One micro-kernel: `units` of rows by `vectors`, the last of them partial or not."""

    units: int
    vectors: int
    partial: bool

    def name(self, of: str) -> str:
        return f"{of}_{self.units}x{self.vectors}{'p' if self.partial else ''}"


def variants_of(form: Form, plan: Plan) -> list[Variant]:
    """All blocks that the cuts leave: full ones, and what remains at the end of rows and of columns."""
    units = row_variants(form, plan)
    return [Variant(u, v, part) for u in units for v, part in column_variants(form, plan)]


def row_variants(form: Form, plan: Plan) -> list[int]:
    """Units of the row blocks, the full one first; halvings of it where the remainder is not known."""
    extent = form.rows[-2 if plan.box else -1].extent
    if isinstance(extent, int):
        sizes = [plan.units] if extent >= plan.units else []
        return sizes + ([extent % plan.units] if extent % plan.units else [])
    sizes = [plan.units]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return sizes


def column_variants(form: Form, plan: Plan) -> list[tuple[int, bool]]:
    """(vectors, whether the last is partial) of the panels, the full one first."""
    extent, full = form.columns[-1].extent, plan.vectors * plan.lanes
    if not isinstance(extent, int):
        return [(plan.vectors, False), *([(1, False)] if plan.vectors > 1 else []), (1, True)]
    rest = extent % full
    sizes = [(plan.vectors, False)] if extent >= full else []
    return sizes + ([(-(-rest // plan.lanes), rest % plan.lanes != 0)] if rest else [])


def blocks_source(name: str, form: Form, plan: Plan, variants: list[Variant]) -> str:
    return "\n".join(block_source(name, form, plan, v) for v in variants)


def block_source(name: str, form: Form, plan: Plan, v: Variant) -> str:
    """One micro-kernel. `steps` counts along the dim that is cut, `n` the columns if the last vector is partial."""
    t = form.ctype
    vector = vector_name(form.dtype)
    rows = row_offsets(form, plan, v.units)
    names = [[f"s{m}_{j}" for j in range(v.vectors)] for m in range(len(rows))]
    masked = v.partial and (not plan.pack or form.columns[-1].second == 1)
    mask = f"  const {vector}_mask mask = {vector}_first(n - {(v.vectors - 1) * plan.lanes});" if masked else ""
    lines = [
        f"static __attribute__((noinline)) void {v.name(name)}(const {t} *restrict a, const {t} *restrict b,",
        f"    {t} *restrict out, const long *z, long steps, long n, int add) {{",
        "  (void)z; (void)steps; (void)n; (void)add;",
        *([mask] if mask else []),
        *(f"  {vector}_full " + ", ".join(f"{x} = {{0}}" for x in row) + ";" for row in names),
        *sums_source(form, plan, v, rows, names),
        *ends_source(form, plan, v, rows, names),
        "}",
    ]
    return "\n".join(lines)


def row_offsets(form: Form, plan: Plan, units: int) -> list[tuple[Number, Number]]:
    """Offsets in a and in out of each row of a block."""
    if not plan.box:
        d = form.rows[-1]
        return [(times(i, d.first), times(i, d.second)) for i in range(units)]
    outer, inner = form.rows[-2:]
    runs = [(i, j) for i in range(units) for j in range(int(inner.extent))]
    return [
        (plus(times(i, outer.first), times(j, inner.first)), plus(times(i, outer.second), times(j, inner.second)))
        for i, j in runs
    ]


def sums_source(
    form: Form, plan: Plan, v: Variant, rows: list[tuple[Number, Number]], names: list[list[str]]
) -> Iterator[str]:
    """The loops over one block of the sums, around a step for each of its terms."""
    dims = packed_sums(form, plan)
    depth = len(dims)
    for i, d in enumerate(dims):
        pad = "  " * (i + 1)
        yield f"{pad}const {form.ctype} *a{i} = {f'a{i - 1}' if i else 'a'}, *b{i} = {f'b{i - 1}' if i else 'b'};"
        yield f"#pragma GCC unroll 1\n{pad}for (long k{i} = 0; k{i} < {d.extent}; k{i}++) {{"
    pad = "  " * (depth + 1)
    yield from (pad + line for line in step_source(form, plan, v, rows, names, f"a{depth - 1}", f"b{depth - 1}"))
    for i in reversed(range(depth)):
        pad = "  " * (i + 1)
        yield f"{pad}  a{i} += {dims[i].first}; b{i} += {dims[i].second};\n{pad}}}"


def packed_sums(form: Form, plan: Plan) -> list[Dim]:
    """The dims of one block of sums, as the micro-kernel walks them: over b itself, or over the packed panel."""
    cut = form.sums[plan.sum_dim]
    whole = cut.extent == plan.sum_step
    dims = [Dim(plan.sum_step if whole else "steps", cut.first, cut.second), *form.sums[plan.sum_dim + 1 :]]
    if not plan.pack:
        return dims
    stride = plan.vectors * plan.lanes
    packed: list[Dim] = []
    for d in reversed(dims):
        packed.insert(0, Dim(d.extent, d.first, stride))
        stride *= d.extent if isinstance(d.extent, int) else 1
    return packed


def step_source(
    form: Form, plan: Plan, v: Variant, rows: list[tuple[Number, Number]], names: list[list[str]], a: str, b: str
) -> Iterator[str]:
    """One term: the panel's vectors, and for each row a broadcast times them.

    The empty assembly hides from the compiler that the next term reads what this one has read (neighbouring pixels of
    a convolution): GCC would carry those broadcasts over in registers that the accumulators need, and spill.
    """
    vector = vector_name(form.dtype)
    yield f'__asm__("" : "+r"({a}), "+r"({b}));'
    for j in range(v.vectors):
        place = f"{b} + {j * plan.lanes}"
        partial = v.partial and j == v.vectors - 1 and not plan.pack
        yield f"const {vector}_full v{j} = " + (
            f"{vector}_load_part({place}, mask);" if partial else f"*(const {vector} *)({place});"
        )
    for (offset, _), row in zip(rows, names, strict=True):
        sums = " ".join(f"{s} += x * v{j};" for j, s in enumerate(row))
        yield f"{{ const {form.ctype} x = {a}[{offset}]; {sums} }}"


def ends_source(
    form: Form, plan: Plan, v: Variant, rows: list[tuple[Number, Number]], names: list[list[str]]
) -> Iterator[str]:
    """The sums into `out`: added to what is there, or in its place."""
    several = plan.sum_dim > 0 or form.sums[plan.sum_dim].extent != plan.sum_step
    adding = list(stores(form, plan, v, rows, names, add=True))
    setting = list(stores(form, plan, v, rows, names, add=False))
    if form.accumulate:
        yield from ("  " + line for line in adding)
    elif not several:
        yield from ("  " + line for line in setting)
    else:
        yield from ["  if (add) {", *("    " + line for line in adding)]
        yield from ["  } else {", *("    " + line for line in setting), "  }"]


def stores(
    form: Form, plan: Plan, v: Variant, rows: list[tuple[Number, Number]], names: list[list[str]], *, add: bool
) -> Iterator[str]:
    vector, stride = vector_name(form.dtype), form.columns[-1].second
    for (_, offset), row in zip(rows, names, strict=True):
        for j, s in enumerate(row):
            place = f"out + {plus(offset, times(j * plan.lanes, stride))}"
            partial = v.partial and j == len(row) - 1
            if stride != 1:
                count = f"n - {j * plan.lanes}" if partial else f"{plan.lanes}"
                yield f"for (long i = 0; i < {count}; i++) ({place})[i * ({stride})] {'+=' if add else '='} {s}[i];"
            elif partial:
                value = f"{vector}_load_part({place}, mask) + {s}" if add else s
                yield f"{vector}_store_part({place}, {value}, mask);"
            else:
                yield f"*({vector} *)({place}) {'+=' if add else '='} {s};"
