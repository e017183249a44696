"""How a product is cut: into parts, blocks of sums, panels of columns, register blocks. Chosen by a small cost model.

The loops, from outside: chunks of rows (what of `a` stays in L2), blocks of sums (a register sum is over at most
`SUMS` terms, so long sums have two levels), panels of columns (packed into scratch where that pays), row blocks, and
in the micro-kernel the block's sums. None of these cuts depends on `parts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product as pairs
from math import ceil, prod

from zhdsl.backends.native.product_form import Dim, Form, Number, static_or

SUMS = 1024
"""Terms that are added one after the other, at most; blocks of them are added to each other in `out`."""
UNKNOWN = 64
"""What a run-time extent is taken for where only speed depends on it."""
L1, L2 = 32 << 10, 1 << 20
"""Bytes that a panel of b, and a chunk of a, may take."""
PACK_ROWS, PACK_STRIDE = 48, 1024
"""A panel that could be read in place is packed from this many rows on, if its rows lie this many bytes apart."""
PACKING = 8
"""Packing a panel costs as much as using it for this many rows (a quarter of a cycle per element)."""
SHARED = 250_000
"""Cycles from which on a product is worth sharing out, and blocks are chosen for that too."""
REGISTERS = {64: 32, 32: 16, 16: 32}


@dataclass(frozen=True)
class Plan:
    """The cuts of one product.

    Attributes:
        lanes: elements of a vector.
        box: whether a row block is `units` whole runs of the innermost row dim, not `units` steps along it.
        units: of a full row block.  vectors: of a full panel.
        sum_dim: index of the sums' dim that is cut; those outside it are loops of blocks, those inside whole in each.
        sum_step: steps along it in one block.
        pack: "" (b in place), "copy", "transpose" or "gather".
        chunk: row blocks in one chunk, 0 for all.
        cut: "rows" or "columns", what parts share out.
        scratch: elements for a packed panel.
    """

    width: int
    lanes: int
    box: bool
    units: int
    vectors: int
    sum_dim: int
    sum_step: int
    pack: str
    chunk: int
    cut: str
    scratch: int


def plan_of(form: Form, width: int) -> Plan:
    """The plan with the least estimated time; of equal ones the first in a fixed order."""
    pack = packing(form)
    lanes = width // form.itemsize
    return plan_with(form, width, pack, *register_block(form, lanes, REGISTERS[width], pack))


def plan_with(form: Form, width: int, pack: str, box: bool, units: int, vectors: int) -> Plan:
    """The plan that follows from a way to read b and a register block."""
    lanes = width // form.itemsize
    sum_dim, sum_step = cut_sums(form, most_terms(pack, vectors * width))
    block = sum_step * prod([static_or(d.extent, 0) for d in form.sums[sum_dim + 1 :]])
    row_size = rows_in(form, box, units)
    chunk = max(1, L2 // (block * form.itemsize * row_size)) if is_large(form) else 0
    scratch = (block * vectors + 1) * lanes if pack else 0
    _, cut = cuts(form, lanes, pack, box, units, vectors)
    return Plan(width, lanes, box, units, vectors, sum_dim, sum_step, pack, chunk, cut, scratch)


def most_terms(pack: str, row_bytes: int) -> int:
    """Terms of one block of sums: what of a packed panel stays in L1, and not too many for one register sum."""
    return min(SUMS, max(64, L1 // row_bytes)) if pack else SUMS


def extents(dims: tuple[Dim, ...]) -> int:
    """Elements of some dims, with a guess for what is known at run time only."""
    return prod([static_or(d.extent, UNKNOWN) for d in dims])


def is_large(form: Form) -> bool:
    """Whether `a` exceeds what stays in L2 (or might)."""
    known = all(isinstance(d.extent, int) for d in (*form.rows, *form.sums))
    return not known or extents(form.rows) * extents(form.sums) * form.itemsize > L2


def packing(form: Form) -> str:
    """How a panel of b comes into scratch, or "" if it is read in place."""
    if form.columns[-1].first != 1:
        return "transpose" if form.sums[-1].second == 1 else "gather"
    apart = static_or(form.sums[-1].second, PACK_STRIDE) * form.itemsize
    pays = extents(form.rows) >= PACK_ROWS and apart >= PACK_STRIDE and extents(form.sums) >= 32
    return "copy" if pays else ""


def rows_in(form: Form, box: bool, units: int) -> int:
    """Rows in a block of `units`."""
    return units * (static_or(form.rows[-1].extent, 0) if box else 1)


def cut_sums(form: Form, most: int) -> tuple[int, int]:
    """Which dim of the sums is cut, and into steps of how many, so that no block has more than `most` terms."""
    inner = 1
    for i in reversed(range(len(form.sums))):
        extent = form.sums[i].extent
        if not isinstance(extent, int):
            return i, max(1, most // inner)
        if extent * inner > most:
            step = max(1, most // inner)
            return i, ceil(extent / ceil(extent / step))
        inner *= extent
    return 0, static_or(form.sums[0].extent, 1)


def cuts(form: Form, lanes: int, pack: str, box: bool, units: int, vectors: int) -> tuple[float, str]:
    """(time lost, "rows" or "columns"): what parts should share out, and the factor of time that it costs.

    Whole blocks are shared out, so the last part may wait; parts that share out rows each pack all panels.
    """
    dims = form.rows[:-1] if box else form.rows
    row_blocks = extents(dims[:-1]) * ceil(static_or(dims[-1].extent, UNKNOWN) / units)
    panels = extents(form.columns[:-1]) * ceil(static_or(form.columns[-1].extent, UNKNOWN) / (vectors * lanes))
    again = PACKING / extents(form.rows) if pack else 0
    return min((imbalance(row_blocks) + again, "rows"), (imbalance(panels), "columns"))


def imbalance(blocks: int) -> float:
    """How much longer the longest of a few parts takes than their mean, for 2 and for 4 parts."""
    return sum(ceil(blocks / parts) * parts / blocks for parts in (2, 4)) / 2


# ---------------------------------------------------------------- the cost model
def register_block(form: Form, lanes: int, registers: int, pack: str) -> tuple[bool, int, int]:
    """(box, units, vectors) of the block with the least estimated cycles."""
    candidates = [
        (cycles(form, lanes, box, units, vectors, pack), vectors, not box, units)
        for vectors in range(1, 9 if extents(form.rows) < 5 else 5)
        for box, units in row_blocks(form, registers, vectors)
    ]
    _, vectors, plain, units = min(candidates)
    return not plain, units, vectors


def row_blocks(form: Form, registers: int, vectors: int) -> list[tuple[bool, int]]:
    """What fits: accumulators, the panel's vectors and one broadcast, in one register less than there are."""
    most = max(1, (registers - 1 - vectors - (vectors > 1)) // vectors)
    if vectors > 1 and 2 * vectors + 1 >= registers:
        return [(False, 1)]
    inner = form.rows[-1].extent
    plain = [(False, units) for units in range(1, min(most, static_or(inner, most)) + 1)]
    if len(form.rows) < 2 or not isinstance(inner, int) or not is_static(form.rows[-2:]):
        return plain
    outer = static_or(form.rows[-2].extent, most)
    return plain + [(True, units) for units in range(2, min(most // inner, outer) + 1)]


def is_static(dims: tuple[Dim, ...]) -> bool:
    """Whether the strides are known."""
    return all(isinstance(s, int) for d in dims for s in (d.first, d.second))


def cycles(form: Form, lanes: int, box: bool, units: int, vectors: int, pack: str) -> float:
    """Estimated cycles of the whole product: two multiply-add units, two loads per cycle, a few cores."""
    blocked = form.rows[-2] if box else form.rows[-1]
    rest = form.rows[:-2] if box else form.rows[:-1]
    per_unit = rows_in(form, box, 1)
    counts = [(n, units_of * per_unit) for n, units_of in shares(blocked.extent, units)]
    columns = shares(form.columns[-1].extent, vectors * lanes)
    widths = [(n, ceil(w / lanes)) for n, w in columns]
    terms = extents(form.sums)
    blocks = ceil(terms / most_terms(pack, vectors * lanes * form.itemsize))
    once = sum(n * k * block_cycles(m, v, terms, blocks, pack) for (n, m), (k, v) in pairs(counts, widths))
    total = once * extents(rest) * extents(form.columns[:-1])
    return total * cuts(form, lanes, pack, box, units, vectors)[0] if total >= SHARED else total


def shares(extent: Number, step: int) -> list[tuple[float, int]]:
    """(how many, of which size) when `extent` is cut into steps; an unknown one is taken for many full steps."""
    if not isinstance(extent, int):
        return [(UNKNOWN / step, step)]
    return [(n, size) for n, size in ((extent // step, step), (1, extent % step)) if n and size]


def block_cycles(rows: int, vectors: int, terms: int, blocks: int, pack: str) -> float:
    """Cycles of one register block: bound by multiply-adds, by loads or by the latency of a sum; then its ends.

    What the loads add is fitted to measurements: a panel in place comes from L2 more often than a packed one.
    """
    bound = max(rows * vectors / 2, (rows + vectors) / 2, 4)
    loads = 0.2 + 0.1 * rows + (0.12 if pack else 0.25) * vectors
    return terms * (bound + loads) + blocks * (2 * rows * vectors + 20)
