"""Contractions as C: out[m, n] (=|+=) Σ_k a[m, k] · b[k, n], every address an affine map of the indices.

One form for matrix products, convolutions over a padded input and their two gradients, attention's batches and the
step of a recurrence. In: a `Product`. Out: the text of one C function with its micro-kernels, register blocks chosen
for the sizes. It needs `product_prelude` once above it, in the same unit.

product_form.py   the same product with fewer dims     product_plan.py      block sizes, from a small cost model
product_block.py  micro-kernels                        product_prelude.py   vector types, partial vectors, transposition
"""

from __future__ import annotations

from zhdsl.backends.native.product_block import blocks_source, variants_of
from zhdsl.backends.native.product_driver import driver_source
from zhdsl.backends.native.product_form import Dim, Number, Product, normal
from zhdsl.backends.native.product_plan import plan_of
from zhdsl.backends.native.product_prelude import product_prelude

__all__ = ["Dim", "Number", "Product", "product_prelude", "product_source", "scratch_elements"]


def product_source(name: str, p: Product, width: int = 64) -> str:
    """C text of `static void NAME(a, b, out, scratch, z, part, parts)` and of what it calls.

    The function computes share `part` of `parts`: every element of `out` belongs to exactly one part, and its bits do
    not depend on `parts`. Nothing beyond the operands' elements is read. `out` overlaps neither operand; all extents
    are at least 1.

    Args:
        name: of the function; what it calls has names that begin with it.
        p: The product.
        width: Bytes of a vector: 64, 32 or 16, the same as `product_prelude`'s.
    """
    form = normal(p)
    plan = plan_of(form, width)
    variants = variants_of(form, plan)
    return "\n".join([blocks_source(name, form, plan, variants), driver_source(name, form, plan, variants)])


def scratch_elements(p: Product, width: int = 64) -> int:
    """Elements of p.dtype that each part needs at `scratch`, aligned in no way; 0 if none."""
    return plan_of(normal(p), width).scratch
