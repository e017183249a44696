"""Graphs printed as programs: they check, they give the same numbers, and they are written as one would write them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.lang.in_text import model
from tests.lang.printed import arguments, drawn, read_back, require_same, run
from tests.ops.examples import CASES, EXAMPLES, SIZES
from tests.passes.random_graphs import random_example
from zhdsl.errors import CompilerError, SpecError
from zhdsl.ir.graph import Graph, Port, close
from zhdsl.ir.node import Builder, Node, apply
from zhdsl.ir.sizes import Size, ceil, extreme, floor
from zhdsl.ir.types import Type
from zhdsl.lang import decompile
from zhdsl.lang.decompile import syntax
from zhdsl.lang.decompile.labels import absorb_relabels
from zhdsl.lang.decompile.names import Names, gradient, legal
from zhdsl.lang.parser import parse
from zhdsl.lang.phrases import phrase
from zhdsl.passes import run_passes
from zhdsl.source import Source

ALL_SIZES = Type("float", tuple((n, Size.of(n)) for n in SIZES))


def lines(graph: Graph, name: str = "f") -> list[str]:
    """The lines of the printed body."""
    text = decompile.text(graph, name)
    body = text[text.index("{") + 1 : text.rindex("}")]
    return [line.strip() for line in body.strip().splitlines()]


def graph_of(text: str, name: str = "M") -> Graph:
    return model(text, name).infer


def body_of(text: str) -> list[str]:
    return lines(graph_of(text))


def made(make: Callable[[], Node], *inputs: Node) -> Graph:
    """A graph of one result, made in a builder of its own."""
    with Builder() as b:
        node = make()
        ports = [Port(getattr(n.op, "port", "x"), n, n.type.labels, "data") for n in inputs]
        return close("g", ports, [Port("result", node, node.type.labels, "result")], b)


# ---------------------------------------------------------------- every op
def example(name: str, i: int) -> Graph:
    """One use of an op as a graph; a further input names all sizes."""
    with Builder() as b:
        found = EXAMPLES[name][i]
        node = found.node(name)
        ports = [Port(f"x{k}", n, n.type.labels, "data") for k, n in enumerate(found.inputs())]
        if node.op.name in ("param", "state"):
            ports.append(Port(node.op.path, node, node.type.labels, node.op.name))  # type: ignore[attr-defined]
        ports.append(Port("sizes", apply("input", port="sizes", type=ALL_SIZES), ALL_SIZES.labels, "data"))
        return close("g", ports, [Port("result", node, node.type.labels, "result")], b)


@pytest.mark.parametrize(("name", "i"), [case for case in CASES if case[0] != "slot"])
def test_every_op_is_printed_with_its_numbers(name: str, i: int) -> None:
    graph = example(name, i)
    given = drawn(graph, SIZES) | {f"x{k}": v for k, v in enumerate(EXAMPLES[name][i].values(name))}
    require_same(graph, given, SIZES)


def test_a_slot_outside_of_its_loop_is_no_value() -> None:
    with pytest.raises(CompilerError, match="cannot say slot"):
        decompile.text(example("slot", 0), "f")


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_keep_their_numbers(seed: int) -> None:
    found = random_example(seed)
    names = {p.name: np.transpose(v, _back(p)) for p, v in zip(found.graph.inputs, found.values.values(), strict=True)}
    require_same(found.graph, names, found.sizes, 1e-12)  # a sum of a product becomes a contraction
    short = run_passes(found.graph)
    require_same(short, names, found.sizes)
    absorbed = absorb_relabels(short)
    require_same(absorbed, names, found.sizes)
    for old, new in zip(run(short, names, found.sizes), run(absorbed, names, found.sizes), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12)


def _back(port: Port) -> list[int]:
    return [port.node.type.labels.index(label) for label in port.order]


# ---------------------------------------------------------------- numbers and sizes
@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1.0, 0.1, 1e-5, 1e22, 1 / 3, 1 - 0.9, 5 / 7, math.sqrt(2), math.pi, -2.5, math.inf]
)
def test_a_number_is_read_back_to_the_bit(value: float) -> None:
    graph = made(lambda: apply("const", value=value, dtype="float"))
    (found,) = run(read_back(graph), {}, {})
    assert float(found).hex() == value.hex()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-5, "1e-5"),
        (1 / 3, "1 / 3"),
        (1 - 0.9, "1 - 0.9"),
        (2**0.5, "sqrt(2)"),
        (-math.inf, "-inf"),
        (math.nan, "inf - inf"),
    ],
)
def test_numbers_are_written_as_one_would(value: float, text: str) -> None:
    assert phrase(syntax.number(value)) == text


def test_a_whole_number_beside_a_tensor_has_no_point() -> None:
    assert body_of("model M(x: [B]) -> y: [B] { return 1 - 2.0 * x }") == ["return 1 - 2 * x"]
    assert body_of("model M(x: [B]) -> y: [B] { return where(x > 0, 1.0, 0.0) }") == ["return where(x > 0, 1.0, 0.0)"]


B, T, H = (Size.of(n) for n in "BTH")
FORMS = [
    Size.of(0),
    B,
    2 * B + 1,
    B * T - T,
    1 - B,
    -B,
    (B + 1) / 2,
    floor(B / 2),
    floor((3 * B + T - 1) / 4),
    ceil(H / 2),
    ceil(ceil(H / 2) / 2) + 1,
    2 * ceil((H - 1) / 3) - H,
    B // T,
    (B + 1) // (T + 2),
    extreme("max", [B - 2 * T, 0]),
    extreme("min", [B, T + 1]) * 2,
    B * B * T - 3,
]


@pytest.mark.parametrize("size", FORMS, ids=str)
def test_a_size_is_read_back_as_the_same_size(size: Size) -> None:
    node = Builder()
    with node:
        x = apply("input", port="x", type=Type("float", (("B", B), ("T", T), ("H", H))))
        n = apply("const", value=size, dtype="i32")
    graph = Graph("g", (Port("x", x, ("B", "T", "H"), "data"),), (Port("result", n, (), "result"),))
    value = read_back(graph).outputs[0].node.op.value  # type: ignore[attr-defined]  # a constant
    assert Size.of(value) == size


def test_a_part_that_is_rounded_up_is_written_as_ceil() -> None:
    assert phrase(syntax.size(ceil(H / 2))) == "ceil(H / 2)"
    assert phrase(syntax.size((B + 1) / 2)) == "(B + 1) / 2"


# ---------------------------------------------------------------- how it reads
def test_the_last_axis_meets_the_first() -> None:
    text = "model M(x: [B, D], W: [D, N], b: [N]) -> y: [B, N] { return tanh(sum[D](x * W) + b) }"
    assert body_of(text) == ["return tanh(x @ W + b)"]


def test_a_product_under_two_names_is_written_without_renaming() -> None:
    text = "model M(h: [B, N=3], U: [N'=3, N=3]) -> y: [B, N=3] { return h @ U @ U }"
    assert body_of(text) == ["return h @ U @ U"]


def test_other_contractions_name_what_is_summed() -> None:
    text = "model M(g: [B, N], W: [D, N]) -> y: [B, D] { return sum[N](g * W) }"
    assert body_of(text) == ["return sum[N](g * W)"]


def test_formulas_of_the_library_are_called_by_name() -> None:
    text = """model M(x: [B, K]) -> y: [B, K] {
  p = softmax[K](relu(x)) * sigmoid(x) + log_softmax[K](gelu(x)) - softplus(x)
  return p - mean[B](p * x) + max(x, 0) + min(p, x)
}
"""
    assert body_of(text) == [
        "p = softmax[K](relu(x)) * sigmoid(x) + log_softmax[K](gelu(x)) - softplus(x)  # test.zh:2",
        "return p - mean[B](p * x) + max(x, 0) + min(p, x)",
    ]


def test_a_formula_of_which_a_part_is_used_elsewhere_is_written_out() -> None:
    text = """model M(x: [B]) -> (s: [B], t: [B]) {
  t = tanh(0.5 * x)
  return 0.5 * (1 + t), t * t
}
"""
    assert body_of(text) == [
        "t2 = tanh(0.5 * x)  # test.zh:2",
        "s = 0.5 * (1 + t2)  # test.zh:3",
        "t = t2 * t2",
        "return s, t",
    ]


def test_values_used_twice_keep_the_users_name_and_place() -> None:
    text = """model M(x: [B]) -> y: [B] {
  h = exp(x)
  return h + h * x
}
"""
    assert body_of(text) == ["h = exp(x)  # test.zh:2", "return h + h * x"]


def test_what_does_not_fit_a_line_gets_a_name() -> None:
    text = "model M(x: [B]) -> y: [B] { return " + " + ".join(["sin(x) * cos(x + 1)"] * 2 + ["exp(x * 3)"] * 9) + " }"
    found = body_of(text)
    assert len(found) > 2
    assert max(map(len, found)) <= 100


def test_windows_pads_and_positions_take_the_short_form() -> None:
    text = """model M(x: [B, H, W, T]) -> y: [B, H=H-2, W=W-2] {
  p = window[H, W, size = 3](x)
  q = pad[H = 1, W = (0, 2)](max[H', W'](p))[H=1..-1, W=..-2]
  return q[T=-1] + q[T=0]
}
"""
    assert body_of(text) == [
        "q = pad[H=1, W = (0, 2)](max[H', W'](window[H, W, size = 3](x)))[H=1..-1, W=..-2]  # test.zh:3",
        "return q[T=-1] + q[T=0]",
    ]


def test_axes_that_another_operand_has_are_not_repeated() -> None:
    with Builder():
        x = apply("input", port="x", type=Type("float", (("B", B), ("T", T))))
        y = apply("input", port="y", type=Type("float", (("B", B),)))
        graph = made(lambda: x * apply("expand", y, axes=(("T", T),)), x, y)
    assert lines(graph) == ["return x * y"]


def test_a_swap_of_two_axes_is_one_renaming() -> None:
    with Builder():
        x = apply("input", port="x", type=Type("float", (("B", B), ("T", B))))
        graph = made(lambda: apply("relabel", x, names=(("B", "T"), ("T", "B"))), x)
    assert lines(graph) == ["return x[B as T, T as B]"]


def test_a_definition_with_its_own_derivative_is_printed_as_its_value() -> None:
    text = """fn doubled(x: [...A]) -> [...A] { return 2 * x } grad (dy) { return 2 * dy }
model M(x: [B]) -> y: [B] { return doubled(x) }
"""
    assert body_of(text) == ["return 2 * x"]


# ---------------------------------------------------------------- signatures and names
def test_inputs_are_arguments_and_results_are_named() -> None:
    text = """model M(x: [B, D=3], n: i32[B]) -> (y: [B, N=2], k: i32[B]) {
  return x -> Dense[2], n + 1
}
"""
    head = decompile.text(graph_of(text), "M.printed").split(" {")[0]
    signature = "(x: [B, D=3], n: i32[B], dense_W: [D=3, N=2], dense_b: [N=2])"
    assert head == f"fn M_printed{signature} -> (y: [B, N=2], k: i32[B])"


def test_new_states_are_results_and_unused_states_are_left_out() -> None:
    norm = model("model M(x: [B, C=2, H]) -> y: [B, C=2, H] { return BatchNorm(x) }")
    assert [p.name for p in arguments(norm.infer)] == [p.name for p in norm.infer.inputs]
    found = decompile.program(norm.train, "f")
    assert [r.name for r in found.results] == ["y", "new_batchnorm_mu", "new_batchnorm_var"]
    assert [p.name for p in found.params][-2:] == ["batchnorm_mu", "batchnorm_var"]


def test_names_stay_clear_of_axes_words_and_functions() -> None:
    names = Names(("T", "h"))
    assert [names.fresh(n) for n in ("T", "h", "h", "sum", "from", "W1", "W1")] == [
        "T2",
        "h2",
        "h3",
        "sum_",
        "from_",
        "W1",
        "W1_",
    ]
    assert (legal("conv2.W"), legal("7 up"), legal("h'")) == ("conv2_W", "v7_up", "h")
    assert (gradient("W"), gradient("b1"), gradient("dense.W")) == ("dW", "db1", "d_dense_W")


def test_a_value_called_like_an_axis_gets_another_name() -> None:
    text = """fn f(x: [...A]) -> [...A] {
  T = exp(x)
  return T * T
}
model M(x: [B, T]) -> y: [B, T] { return f(x) }
"""
    assert body_of(text) == ["T2 = exp(x)  # test.zh:2", "return T2 * T2"]
    require_same(graph_of(text), {"x": np.ones((2, 3))}, {"B": 2, "T": 3})


# ---------------------------------------------------------------- axes
def test_renamings_vanish_where_arguments_can_have_the_names() -> None:
    text = """model M(x: [B, F=3]) -> logits: [B, C=2] {
  return x -> Dense[4] -> tanh -> Dense[2]
}
"""
    graph = absorb_relabels(graph_of(text))
    assert not [n for n in graph.nodes if n.op.name == "relabel"]
    assert (
        decompile.text(graph, "M")
        == """\
fn M(x: [B, F=3], dense_W: [F=3, N=4], dense_b: [N=4], dense2_W: [N=4, C=2], dense2_b: [C=2]) -> logits: [B, C=2] {
  return tanh(x @ dense_W + dense_b) @ dense2_W + dense2_b
}
"""
    )


def test_the_axes_of_data_and_results_keep_their_names() -> None:
    text = "model M(x: [B, F=3], y: [B, F=1]) -> p: [B, F=1] { return (x -> Dense[1]) - y }"
    graph = absorb_relabels(graph_of(text))
    assert [(p.name, p.order) for p in graph.of_role("data")] == [("x", ("B", "F")), ("y", ("B", "F"))]
    assert graph.outputs[0].order == ("B", "F")
    assert lines(graph) == ["return (x @ dense_W + dense_b)[N as F] - y"]


def test_axes_that_meet_stay_apart() -> None:
    text = "model M(x: [B, T, D=4]) -> y: [B, T, D=4] { return SelfAttention[2](x) }"
    before = graph_of(text)
    graph = absorb_relabels(before)
    assert [n.op.names for n in graph.nodes if n.op.name == "relabel"] == [(("T", "K"),)]  # type: ignore[attr-defined]
    sizes = {"B": 2, "T": 3}
    given = drawn(before, sizes)
    for old, new in zip(run(before, given, sizes), run(graph, given, sizes), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-13)


# ---------------------------------------------------------------- forms of the language made for printing
def test_a_window_of_any_offset_and_count() -> None:
    text = "model M(x: [T=5]) -> y: [T=2, K=2] { return window[T as K, size = 2, stride = 2, pad = -1, count = 2](x) }"
    (y,) = run(graph_of(text), {"x": np.arange(5.0)}, {})
    assert y.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_stack_has_a_new_first_axis() -> None:
    text = "model M(a: [B], b: [B]) -> y: [G=2, B] { return stack[G](a, 2 * b) }"
    assert body_of(text) == ["return stack[G](a, 2 * b)"]
    (y,) = run(graph_of(text), {"a": np.ones(3), "b": np.ones(3)}, {"B": 3})
    assert y.tolist() == [[1.0] * 3, [2.0] * 3]


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("stack[B](x, x)", "Z0311"),
        ("x[B as Q, T as Q]", "Z0311"),
        ("x[B as T]", "Z0311"),
        ("uniform[B, T, stream = 1, key = (x, x)]", "Z0504"),
    ],
)
def test_their_errors_are_the_languages(expression: str, code: str) -> None:
    with pytest.raises(SpecError, match=code):
        graph_of(f"model M(x: [B, T]) -> y: [B, T] {{ return {expression} }}")


def test_axes_are_swapped_at_once() -> None:
    text = "model M(x: [B=2, T=2]) -> y: [B=2, T=2] { return x[B as T, T as B] }"
    (y,) = run(graph_of(text), {"x": np.array([[1.0, 2.0], [3.0, 4.0]])}, {})
    assert y.tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_draws_of_a_given_key_are_those_of_that_key() -> None:
    own = "model M(seed: i32[], step: i32[]) -> y: [B=4] { return uniform[B=4, stream = 3] }"
    key = "model M(a: i32[], b: i32[]) -> y: [B=4] { return uniform[B=4, stream = 3, key = (a, b)] }"
    (one,) = run(graph_of(own), {"seed": np.int32(7), "step": np.int32(2)}, {})
    (two,) = run(graph_of(key), {"a": np.int32(7), "b": np.int32(2)}, {})
    assert one.tolist() == two.tolist()


def test_dropout_is_printed_with_its_stream() -> None:
    dropped = model("model M(x: [B]) -> y: [B] { return dropout[0.5](x) }").train
    text = decompile.text(dropped, "f")
    assert "seed: i32[], step: i32[]" in text
    assert "stream = " in text
    require_same(dropped, {"x": np.ones(9), "seed": np.int32(3), "step": np.int32(5)}, {"B": 9})


def test_the_text_is_one_definition_of_the_syntax_tree() -> None:
    graph = graph_of("model M(x: [B]) -> y: [B] { return 2 * x }")
    found = decompile.program(graph, "twice")
    assert (found.kind, found.name) == ("fn", "twice")
    assert parse(Source("t.zh", decompile.text(graph, "twice"))).items == (found,)
