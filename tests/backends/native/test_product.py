"""The generated contractions against NumPy in double precision: values, bits, and what they read and write."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from tests.backends.native.product_cases import SIZES, dense, layers, random_product
from zhdsl.backends.native.product import Dim, Number, Product, product_prelude, product_source, scratch_elements
from zhdsl.backends.native.product_form import normal
from zhdsl.backends.native.product_plan import plan_of

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler on this machine")

FLAGS = ["-O1", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-w"]
NUMPY = {"f32": np.float32, "f64": np.float64}
C = {"f32": "float", "f64": "double"}
TOLERANCE = {"f32": 2e-7, "f64": 4e-16}
"""Error allowed per unit of Σ|a·b| and of sqrt(terms): rounding, and nothing else."""


def value(n: Number) -> int:
    """A number with the run-time sizes put in."""
    return n if isinstance(n, int) else SIZES[int(n[2:-1])]


def places(dims: Iterable[Dim], side: str) -> np.ndarray:
    """Offsets of all elements that the dims walk through, in their order."""
    found = np.zeros(1, np.int64)
    for d in dims:
        found = np.add.outer(found, value(getattr(d, side)) * np.arange(value(d.extent))).reshape(-1)
    return found


def operands(p: Product, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and out with exactly the elements that the product reaches, filled at random."""
    rng = np.random.default_rng(seed)
    reached = (
        places(p.rows, "first").max() + places(p.sums, "first").max(),
        places(p.columns, "first").max() + places(p.sums, "second").max(),
        places(p.rows, "second").max() + places(p.columns, "second").max(),
    )
    return tuple(rng.standard_normal(n + 1).astype(NUMPY[p.dtype]) for n in reached)  # type: ignore[return-value]


def reference(p: Product, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The result in double precision and Σ|a·b|, both laid out as `out`; elements not in it as they are, and 0."""
    at = np.add.outer(places(p.rows, "second"), places(p.columns, "second"))
    left = a.astype(np.float64)[np.add.outer(places(p.rows, "first"), places(p.sums, "first"))]
    right = b.astype(np.float64)[np.add.outer(places(p.sums, "second"), places(p.columns, "first"))]
    want, size = out.astype(np.float64), np.zeros(out.size)
    want[at] = left @ right + (want[at] if p.accumulate else 0)
    size[at] = np.abs(left) @ np.abs(right) + 1
    return want, size


def function_source(i: int, p: Product, width: int) -> str:
    """A product and an exported way to call it."""
    t = C[p.dtype]
    return product_source(f"product{i}", p, width) + (
        f"void run{i}(const {t} *a, const {t} *b, {t} *out, {t} *s, const long *z, long part, long parts) "
        f"{{ product{i}(a, b, out, s, z, part, parts); }}\n"
    )


Run = Callable[[np.ndarray, np.ndarray, np.ndarray, int], None]


def build(products: list[Product], folder: Path, width: int) -> list[Run]:
    """Each product as a Python function of a, b, out and the number of parts."""
    text = product_prelude(width) + "".join(function_source(i, p, width) for i, p in enumerate(products))
    name = sha256(text.encode()).hexdigest()[:16]
    source, library = folder / f"{name}.c", folder / f"{name}.so"
    source.write_text(text)
    subprocess.run([str(COMPILER), *FLAGS, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    return [runner(getattr(loaded, f"run{i}"), p, width) for i, p in enumerate(products)]


def runner(function: Callable[..., None], p: Product, width: int) -> Run:
    sizes = np.array(SIZES, np.int64)

    def run(a: np.ndarray, b: np.ndarray, out: np.ndarray, parts: int) -> None:
        scratch = np.full(scratch_elements(p, width), np.nan, a.dtype)
        addresses = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, out, scratch, sizes)]
        for part in reversed(range(parts)):
            function(*addresses, ctypes.c_long(part), ctypes.c_long(parts))

    return run


def check(products: dict[str, Product], folder: Path, width: int = 64) -> None:
    """Values against double precision, nothing else written, and the same bits for 1, 2, 3 and 7 parts."""
    for (name, p), run in zip(products.items(), build(list(products.values()), folder, width), strict=True):
        a, b, before = operands(p)
        want, size = reference(p, a, b, before)
        found = []
        for parts in (1, 2, 3, 7):
            found.append(before.copy())
            run(a, b, found[-1], parts)
        terms = places(p.sums, "first").size
        error = np.abs(found[0] - want)
        assert (error <= TOLERANCE[p.dtype] * size * np.sqrt(terms)).all(), f"{name}: off by {error.max()}"
        assert (found[0] == before)[size == 0].all(), f"{name}: wrote between the elements of out"
        assert all(f.tobytes() == found[0].tobytes() for f in found), f"{name}: the bits depend on the number of parts"


def test_the_shapes_of_layers_are_right_in_single_precision(tmp_path: Path) -> None:
    check(layers("f32"), tmp_path)


def test_random_affine_products_are_right(tmp_path: Path) -> None:
    check({f"random {seed}": random_product(seed) for seed in range(24)}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 32, 16])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_all_are_right_with_vectors_of_any_width(dtype: str, width: int, tmp_path: Path) -> None:
    check(layers(dtype), tmp_path, width)
    check({f"random {seed}": random_product(seed, dtype) for seed in range(100, 140)}, tmp_path, width)


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 32])
def test_nothing_outside_the_operands_is_touched(width: int, tmp_path: Path) -> None:
    products = [*layers("f32").values(), *layers("f64").values(), *(random_product(seed) for seed in range(40))]
    source, program = tmp_path / "products.c", tmp_path / "products"
    calls = "".join(guarded_call(i, p, width) for i, p in enumerate(products))
    sizes = ", ".join(map(str, SIZES))
    source.write_text(
        f"#include <stdlib.h>\n{product_prelude(width)}"
        + "".join(product_source(f"product{i}", p, width) for i, p in enumerate(products))
        + f"int main(void) {{\n  const long z[] = {{{sizes}}};\n{calls}  return 0;\n}}\n"
    )
    sanitize = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    made = subprocess.run([str(COMPILER), *FLAGS, *sanitize, str(source), "-o", str(program)], check=False)
    if made.returncode:
        pytest.skip("the compiler has no sanitizers")
    ran = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def guarded_call(i: int, p: Product, width: int) -> str:
    """C that runs a product in three parts on heap blocks of exactly its elements."""
    t = C[p.dtype]
    counts = [*(x.size for x in operands(p)), scratch_elements(p, width)]
    blocks = [f"{t} *{x}{i} = calloc({n}, sizeof({t}));" for x, n in zip("abos", counts, strict=True)]
    call = f"for (long q = 0; q < 3; q++) product{i}(a{i}, b{i}, o{i}, s{i}, z, q, 3);"
    return f"  {' '.join(blocks)}\n  {call}\n  free(a{i}); free(b{i}); free(o{i}); free(s{i});\n"


def test_long_sums_are_as_accurate_as_pairwise_ones(tmp_path: Path) -> None:
    p = dense(2, 60_000, 16)
    (run,) = build([p], tmp_path, 64)
    a, b, out = (np.abs(x) for x in operands(p))
    want, size = reference(p, a, b, out)
    run(a, b, out, 1)
    assert (np.abs(out - want) / size).max() < 60 * np.finfo(np.float32).eps


def test_a_dim_that_continues_its_neighbour_is_merged_with_it() -> None:
    c, n = 16, 32
    taps = (Dim(3, 34 * c, 3 * c * n), Dim(3, c, c * n), Dim(c, 1, n))
    p = Product((Dim(1, 0, 0), Dim(8, c, n)), (Dim(n, 1, 1),), taps, "f32", False)
    form = normal(p)
    assert form.rows == (Dim(8, c, n),)
    assert form.sums == (Dim(3, 34 * c, 3 * c * n), Dim(3 * c, 1, n))


def test_vectors_run_along_the_contiguous_side_of_the_result() -> None:
    p = Product((Dim(5, 1, 1),), (Dim(4, 1, 5),), (Dim(6, 5, 4),), "f32", False)
    form = normal(p)
    assert form.swapped
    assert (form.rows, form.columns, form.sums) == ((Dim(4, 1, 5),), (Dim(5, 1, 1),), (Dim(6, 4, 5),))


@pytest.mark.parametrize("width", [64, 32, 16])
def test_a_register_block_fits_into_the_registers(width: int) -> None:
    registers = {64: 32, 32: 16, 16: 32}[width]
    for p in layers("f32").values():
        plan = plan_of(normal(p), width)
        rows = plan.units * (value(normal(p).rows[-1].extent) if plan.box else 1)
        assert rows * plan.vectors + plan.vectors + (plan.vectors > 1) < registers or rows == 1


def test_the_text_is_the_same_each_time_and_all_names_begin_with_the_product_s() -> None:
    p = layers("f32")["run-time data gradient"]
    assert product_source("gradient", p) == product_source("gradient", replace(p))
    names = re.findall(r"^static .*?(\w+)\(", product_source("gradient", p), re.MULTILINE)
    functions = [n for n in names if n != "__attribute__"] + re.findall(r"void (\w+)\(", product_source("gradient", p))
    assert functions
    assert all(n.startswith("gradient") for n in functions)
