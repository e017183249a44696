"""The function around a product's micro-kernels: shares, chunks, blocks of sums, panels (packed or in place), rows."""

from __future__ import annotations

from collections.abc import Iterator

from zhdsl.backends.native.product_block import Variant, column_variants, row_variants
from zhdsl.backends.native.product_form import Dim, Form, Number, times
from zhdsl.backends.native.product_plan import Plan
from zhdsl.backends.native.product_prelude import vector_name


def driver_source(name: str, form: Form, plan: Plan, variants: list[Variant]) -> str:
    """`static void NAME(a, b, out, scratch, z, part, parts)`, after the function that packs a panel, if one does."""
    t = form.ctype
    a, b = ("b", "a") if form.swapped else ("a", "b")
    body = [
        f"const long row_blocks = {blocks_of(row_dims(form, plan), plan.units)};",
        f"const long panels = {blocks_of(form.columns, plan.vectors * plan.lanes)};",
        *share("row", "row_blocks", plan.cut == "rows"),
        *share("panel", "panels", plan.cut == "columns"),
        *aligned_panel(form, plan),
        *chunks(form, plan, list(sums(name, form, plan, list(panel_loop(name, form, plan))))),
    ]
    head = [
        f"static void {name}(const {t} *{a}, const {t} *{b}, {t} *out, {t} *scratch, const long *z, long part,",
        "    long parts) {",
        "  (void)scratch; (void)z; (void)part; (void)parts;",
    ]
    return "\n".join([*pack_source(name, form, plan), *head, *indent(body), "}", ""])


def indent(lines: list[str]) -> list[str]:
    return ["  " + line for line in lines]


def loop(head: str, body: list[str]) -> list[str]:
    return [head + " {", *indent(body), "}"]


# ---------------------------------------------------------------- blocks of a list of dims, counted from 0
def row_dims(form: Form, plan: Plan) -> tuple[Dim, ...]:
    """The rows' dims, the last of them the one that blocks go along."""
    return form.rows[:-1] if plan.box else form.rows


def blocks_of(dims: tuple[Dim, ...], step: int) -> Number:
    """How many blocks of `step` along the last dim there are."""
    return times(*(d.extent for d in dims[:-1]), cut_in(dims[-1].extent, step))


def cut_in(extent: Number, step: int) -> Number:
    return -(-extent // step) if isinstance(extent, int) else f"(({extent}) + {step - 1}) / {step}"


def share(what: str, count: str, is_cut: bool) -> list[str]:
    """The range of blocks that this part does: all, or its share."""
    if not is_cut:
        return [f"const long first_{what} = 0, last_{what} = {count};"]
    return [f"const long first_{what} = {count} * part / parts, last_{what} = {count} * (part + 1) / parts;"]


def least(x: Number, y: Number) -> str:
    return f"({x}) < ({y}) ? ({x}) : ({y})"


def place_of(block: str, index: str, dims: tuple[Dim, ...], step: int) -> tuple[list[str], str, str]:
    """C that finds a block's place: `index` along the last dim, and its offsets in both arrays."""
    lines, first, second = [], [], []
    rest, last = block, len(dims) - 1
    for i in reversed(range(len(dims))):
        at = index if i == last else f"{index}{i}"
        count = cut_in(dims[i].extent, step) if i == last else dims[i].extent
        value = f"({rest}) % ({count})" if i else f"({rest})"
        lines.append(f"const long {at} = {value}{f' * {step}' if i == last and step != 1 else ''};")
        rest = f"{rest} / ({count})"
        first.append(f"{at} * ({dims[i].first})")
        second.append(f"{at} * ({dims[i].second})")
    return lines, " + ".join(first), " + ".join(second)


# ---------------------------------------------------------------- the loops, from outside
def chunks(form: Form, plan: Plan, body: list[str]) -> list[str]:
    """Around all: row blocks in chunks, so that what of `a` a block of sums needs stays in L2."""
    if not plan.chunk:
        return ["const long first = first_row, last = last_row;", *body]
    end = least("last_row - first", plan.chunk)
    head = f"for (long first = first_row; first < last_row; first += {plan.chunk})"
    return loop(head, [f"const long last = first + ({end});", *body])


def sums(name: str, form: Form, plan: Plan, body: list[str]) -> Iterator[str]:
    """The blocks of sums: `as` and `bs` are where one begins, `add` says that it is not the first."""
    outer, cut = form.sums[: plan.sum_dim], form.sums[plan.sum_dim]
    t, step = form.ctype, plan.sum_step
    if cut.extent == step and not outer:
        yield from [f"const {t} *as = a, *bs = b;", f"const long steps = {step};", "const int add = 0;", *body]
        return
    terms = [(f"k{i}", d) for i, d in enumerate(outer)] + [("k", cut)]
    first, second = (" + ".join(f"{k} * ({d[side]})" for k, d in pairs_of(terms)) for side in (0, 1))
    inner = [
        f"const long steps = {least(f'{cut.extent} - k', step)};",
        f"const {t} *as = a + {first}, *bs = b + {second};",
        f"const int add = {' || '.join(f'{k} > 0' for k, _ in terms)};",
        *body,
    ]
    lines = loop(f"for (long k = 0; k < {cut.extent}; k += {step})", inner)
    for i in reversed(range(len(outer))):
        lines = loop(f"for (long k{i} = 0; k{i} < {outer[i].extent}; k{i}++)", lines)
    yield from lines


def pairs_of(terms: list[tuple[str, Dim]]) -> list[tuple[str, tuple[Number, Number]]]:
    return [(k, (d.first, d.second)) for k, d in terms]


def panel_loop(name: str, form: Form, plan: Plan) -> Iterator[str]:
    """The panels of columns of this part, and under each the row blocks."""
    t, wide = form.ctype, plan.vectors * plan.lanes
    lines, first, second = place_of("p", "j", form.columns, wide)
    packed = [f"{name}_pack(bs + {first}, panel, z, steps, n);", f"const {t} *bp = panel;"]
    body = [
        *lines,
        f"const long n = {least(f'({form.columns[-1].extent}) - j', wide)};",
        *(packed if plan.pack else [f"const {t} *bp = bs + {first};"]),
        f"{t} *op = out + {second};",
        *row_loop(name, form, plan),
    ]
    yield from loop("for (long p = first_panel; p < last_panel; p++)", body)


def row_loop(name: str, form: Form, plan: Plan) -> list[str]:
    dims = row_dims(form, plan)
    lines, first, second = place_of("r", "i", dims, plan.units)
    body = [
        *lines,
        f"const long m = {least(f'({dims[-1].extent}) - i', plan.units)};",
        f"const {form.ctype} *ap = as + {first};",
        f"{form.ctype} *o = op + {second};",
        *by_rows(name, form, plan),
    ]
    return loop("for (long r = first; r < last; r++)", body)


# ---------------------------------------------------------------- which micro-kernel
def by_rows(name: str, form: Form, plan: Plan) -> list[str]:
    """Full row blocks, and the remainder: one micro-kernel if its size is known, else by halvings."""
    sizes, dim = row_variants(form, plan), row_dims(form, plan)[-1]
    if len(sizes) == 1:
        return ["(void)m;", *by_columns(name, form, plan, sizes[0], "ap", "o")]
    whole = loop(f"if (m == {sizes[0]})", by_columns(name, form, plan, sizes[0], "ap", "o"))
    if isinstance(dim.extent, int):
        return [*whole[:-1], *loop("} else", by_columns(name, form, plan, sizes[1], "ap", "o"))]
    rest: list[str] = []
    for size in sizes[1:]:
        calls = by_columns(name, form, plan, size, f"ap + done * ({dim.first})", f"o + done * ({dim.second})")
        rest += loop(f"for (; m - done >= {size}; done += {size})", calls)
    return [*whole[:-1], *loop("} else", ["long done = 0;", *rest])]


def by_columns(name: str, form: Form, plan: Plan, units: int, ap: str, o: str) -> list[str]:
    """Full panels, and the remainder: one micro-kernel if its size is known, else a vector at a time."""
    sizes, dim, wide = column_variants(form, plan), form.columns[-1], plan.vectors * plan.lanes

    def call(size: tuple[int, bool], b: str, out: str, n: str) -> str:
        return f"{Variant(units, *size).name(name)}({ap}, {b}, {out}, z, steps, {n}, add);"

    if len(sizes) == 1:
        return [call(sizes[0], "bp", o, "n")]
    whole = [f"if (n == {wide}) {call(sizes[0], 'bp', o, 'n')}"]
    if isinstance(dim.extent, int):
        return [*whole, f"else {call(sizes[1], 'bp', o, 'n')}"]
    stride = 1 if plan.pack else dim.first
    at = (f"bp + c * ({stride})", f"{o} + c * ({dim.second})")
    one = f"if (n - c >= {plan.lanes}) {call((1, False), *at, 'n - c')} else {call((1, True), *at, 'n - c')}"
    return [*whole, f"else for (long c = 0; c < n; c += {plan.lanes}) {{ {one} }}"]


# ---------------------------------------------------------------- panels in scratch
def aligned_panel(form: Form, plan: Plan) -> list[str]:
    if not plan.pack:
        return []
    size = plan.width - 1
    return [
        f"{form.ctype} *panel = ({form.ctype} *)(((__UINTPTR_TYPE__)scratch + {size}) & ~(__UINTPTR_TYPE__){size});"
    ]


def pack_source(name: str, form: Form, plan: Plan) -> list[str]:
    """`static void NAME_pack(b, panel, z, steps, n)`: a panel as panel[sums][columns], zeros beyond column n."""
    if not plan.pack:
        return []
    t, wide = form.ctype, plan.vectors * plan.lanes
    cut = form.sums[plan.sum_dim]
    dims = [Dim("steps", 0, cut.second), *form.sums[plan.sum_dim + 1 :]]
    inner = PACKERS[plan.pack](form, plan, dims[-1], f"b{len(dims) - 1}")
    body = [*inner, f"panel += ({dims[-1].extent}) * {wide};"]
    for i in reversed(range(len(dims) - 1)):
        body = loop(f"for (long k{i} = 0; k{i} < {dims[i].extent}; k{i}++, b{i} += {dims[i].second})", [
            f"const {t} *b{i + 1} = b{i};", *body])  # fmt: skip
    head = f"static __attribute__((noinline)) void {name}_pack(const {t} *b0, {t} *panel, const long *z, long steps,"
    return loop(f"{head}\n    long n)", ["(void)z;", *body])


def pack_copy(form: Form, plan: Plan, d: Dim, b: str) -> list[str]:
    """Columns lie side by side: vectors, and one element at a time in the last panel."""
    v, wide = vector_name(form.dtype), plan.vectors * plan.lanes
    moves = [f"*({v} *)(to + {j * plan.lanes}) = *(const {v} *)(from + {j * plan.lanes});" for j in range(plan.vectors)]
    pointers = f"const {form.ctype} *from = {b} + k * ({d.second}); {form.ctype} *to = panel + k * {wide};"
    by_vector = loop(f"for (long k = 0; k < {d.extent}; k++)", [pointers, *moves])
    return [*loop(f"if (n == {wide})", by_vector)[:-1], *loop("} else", pack_gather(form, plan, d, b))]


def pack_gather(form: Form, plan: Plan, d: Dim, b: str) -> list[str]:
    """One element at a time."""
    v, wide = vector_name(form.dtype), plan.vectors * plan.lanes
    return [f"{v}_gather({b}, {d.second}, {form.columns[-1].first}, panel, {wide}, {wide}, {d.extent}, n);"]


def pack_transpose(form: Form, plan: Plan, d: Dim, b: str) -> list[str]:
    """The sums lie side by side: square tiles of vectors, and one element at a time at the edges."""
    v, wide = vector_name(form.dtype), plan.vectors * plan.lanes
    return [f"{v}_transpose({b}, {form.columns[-1].first}, panel, {wide}, {d.extent}, n);"]


PACKERS = {"copy": pack_copy, "transpose": pack_transpose, "gather": pack_gather}
