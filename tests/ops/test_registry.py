"""Every registered op, from its examples: types against NumPy, dtypes, derivatives to second order, documentation."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields

import numpy as np
import pytest

from tests.ops.examples import CASES, EXAMPLES, SIZES, Example
from zhdsl.autodiff.check import check_gradients
from zhdsl.autodiff.reverse import gradients
from zhdsl.ir.node import Builder, Node, apply, topological
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ops.evaluate import Evaluator, evaluate, numpy_dtype

# Constant almost everywhere, truth values, whole numbers, or constants by decree.
WITHOUT_GRADIENT = {
    *("input", "param", "state", "slot", "const", "iota", "uniform"),
    *("floor", "floordiv", "lt", "le", "eq", "not", "and", "or", "stop", "argmax", "topk"),
}
INVOLVED = {"scan", "project", "override"}  # the example is more than the op alone


def example(name: str, i: int) -> Example:
    return EXAMPLES[name][i]


def made(name: str, i: int) -> tuple[Node, list[Node], dict[Node, np.ndarray]]:
    """The node, its inputs and their values; sources that have no operands get values too."""
    case = example(name, i)
    node, inputs = case.node(name), case.inputs()
    values = dict(zip(inputs, case.values(name), strict=True))
    if not inputs and name in ("param", "state", "slot"):
        values[node] = np.random.default_rng(0).uniform(-1, 1, node.type.shape(SIZES))
    return node, inputs, values


def test_every_op_has_examples() -> None:
    assert set(EXAMPLES) == set(REGISTRY)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_an_example_uses_its_op(name: str, i: int) -> None:
    with Builder():
        assert name in {node.op.name for node in topological([made(name, i)[0]])}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "i"), CASES)
def test_numpy_gives_the_inferred_shape_and_dtype(name: str, i: int, dtype: str) -> None:
    with Builder():
        node, _, values = made(name, i)
        (result,) = evaluate([node], values, SIZES, dtype)
    assert result.shape == node.type.shape(SIZES)
    assert result.dtype == numpy_dtype(node.type.dtype, dtype)


@pytest.mark.parametrize(("name", "i"), CASES)
def test_float32_is_close_to_float64(name: str, i: int) -> None:
    with Builder():
        node, _, values = made(name, i)
        near = {n: v.astype(np.float32) if v.dtype.kind == "f" else v for n, v in values.items()}
        ((single,), (double,)) = (evaluate([node], near, SIZES, d) for d in ("float32", "float64"))
    np.testing.assert_allclose(single.astype(float), double.astype(float), rtol=2e-5, atol=2e-5)


def smooth() -> list[tuple[str, int]]:
    """The cases from float to float, but for `stop`: those whose derivative NumPy can confirm."""
    with Builder():
        nodes = [(name, i, *made(name, i)[:2]) for name, i in CASES if name != "stop"]
    return [(n, i) for n, i, y, xs in nodes if y.type.is_float and y not in xs and any(x.type.is_float for x in xs)]


@pytest.mark.parametrize(("name", "i"), smooth())
def test_gradients_are_those_of_finite_differences_to_second_order(name: str, i: int) -> None:
    with Builder():
        node, inputs, values = made(name, i)
        check_gradients([node], [x for x in inputs if x.type.is_float], values, SIZES, order=2, tol=1e-7)


def test_every_op_with_a_gradient_was_compared_with_finite_differences() -> None:
    assert {name for name, _ in smooth()} >= set(REGISTRY) - WITHOUT_GRADIENT


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - INVOLVED))
def test_an_op_has_a_gradient_exactly_if_it_is_not_listed_without(name: str) -> None:
    assert any(_has_gradient(name, i) for i in range(len(EXAMPLES[name]))) == (name not in WITHOUT_GRADIENT)


def _has_gradient(name: str, i: int) -> bool:
    with Builder():
        node, inputs, _ = made(name, i)
        if not node.type.is_float or node in inputs:
            return False
        seed = apply("input", port="g", type=node.type)
        return any(g is not None for g in gradients([node], [seed], [x for x in inputs if x.type.is_float]))


@pytest.mark.parametrize(("name", "i"), CASES)
def test_a_gradient_has_the_type_of_its_operand(name: str, i: int) -> None:
    with Builder():
        node, inputs, _ = made(name, i)
        seed = apply("input", port="g", type=node.type)
        found = gradients([node], [seed], inputs) if node.type.is_float and node not in inputs else ()
        assert all(g is None or g.type == x.type for g, x in zip(found, inputs, strict=False))


@pytest.mark.parametrize(("name", "i"), CASES)
def test_binding_sizes_commutes_with_inference(name: str, i: int) -> None:
    with Builder():
        node = made(name, i)[0]
        bound = node.op.bind(SIZES)
        evaluator = Evaluator(SIZES)
        if name not in INVOLVED:
            assert bound.infer(*map(evaluator.type, node.operands)) == evaluator.type(node)
            assert bound.bind({}) == bound


@pytest.mark.parametrize(("name", "i"), [case for case in CASES if case[0] not in INVOLVED | {"input"}])
def test_equal_fields_are_one_op(name: str, i: int) -> None:
    attributes = example(name, i).attributes
    as_sizes = {k: Size.of(v) if type(v) is int and name not in ("ipow", "uniform", "slot", "const") else v
                for k, v in attributes.items()}  # fmt: skip
    as_lists = {k: list(v) if isinstance(v, tuple) else v for k, v in as_sizes.items()}
    ops = {REGISTRY[name](**given) for given in (attributes, as_sizes, as_lists)}
    assert len(ops) == 1


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_docstring_has_all_sections(name: str) -> None:
    text = inspect.getdoc(REGISTRY[name]) or ""
    assert REGISTRY[name].__dict__.get("__doc__"), "an op must not inherit its docstring"
    for section in ("Shapes", "Dtypes", "Gradient"):
        assert re.search(rf"(^|\s){section}\s", text), section


# ---------------------------------------------------------------- kernels are data: they must say what `numpy` says
SCALAR = {
    **{name: getattr(math, name) for name in ("exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "floor", "pow")},
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "ipow": lambda x, k: x**k,
    "cast": lambda dtype, x: {"i32": int, "bool": bool, "float": float, "f64": float}[dtype](x),
    "max": max,
}


def python(kernel: str, names: dict[str, str]) -> str:
    """A kernel as a Python expression."""
    text = kernel.format(**names).replace("&&", " and ").replace("||", " or ").replace("!", "not ")
    return re.sub(r"\((\w+) \? (\w+) : (\w+)\)", r"(\2 if \1 else \3)", text)


@pytest.mark.parametrize("name", sorted(n for n, cls in REGISTRY.items() if cls.family == "elementwise"))
def test_the_kernel_says_what_numpy_says(name: str) -> None:
    for i in range(len(EXAMPLES[name])):
        with Builder():
            node, inputs, values = made(name, i)
            (result,) = evaluate([node], values, SIZES)
        aligned = np.broadcast_arrays(*(aligned_to(node.type, x.type, values[x]) for x in inputs))
        names = {"x": "x", "y": "y", "z": "z"} | {f.name: repr(getattr(node.op, f.name)) for f in fields(node.op)}
        code = compile(python(type(node.op).kernel, names), name, "eval")
        for at in np.ndindex(result.shape):
            scalars = dict(zip("xyz", (a[at].item() for a in aligned), strict=False))
            wanted = eval(code, {**SCALAR, **scalars})
            assert result[at] == pytest.approx(wanted, rel=1e-14, abs=1e-15)


def aligned_to(out: Type, type_: Type, x: np.ndarray) -> np.ndarray:
    return x.reshape([SIZES.get(n, 0) if n in type_.sizes else 1 for n in out.labels])


@pytest.mark.parametrize("name", sorted(n for n, cls in REGISTRY.items() if cls.family == "reduce"))
def test_combine_and_identity_say_what_numpy_says(name: str) -> None:
    cls = REGISTRY[name]
    code = compile(python(cls.combine, {"acc": "acc", "x": "x"}), name, "eval")
    for n in (0, 1, 5):
        x = np.random.default_rng(n).integers(-3, 4, n).astype(float)
        total = cls.identity
        for value in x.tolist():
            total = eval(code, {**SCALAR, "acc": total, "x": value})
        wanted = total if cls.gives == "same" else next((i for i, v in enumerate(x) if v == total), 0)
        assert cls(labels=("T",)).numpy(x, (0,)) == wanted


def test_documented_fields_match_the_list_of_kernels() -> None:
    for name, cls in REGISTRY.items():
        if cls.family == "elementwise":
            used = set(re.findall(r"{(\w+)}", cls.kernel))
            assert used == set("xyz"[: cls.arity]) | {f.name for f in fields(cls)}, name
