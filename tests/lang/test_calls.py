"""Calls bind in order and check by name; labels of a definition are its own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lang.in_text import codes, model, order, project, value

X = np.arange(6.0).reshape(2, 3)
SCORES = "fn scores(x: [B, Q, D], m: [B, K, D]) -> [B, Q, K] { return sum[D](x * m) }\n"


def test_one_caller_label_may_be_two_inside_and_comes_back_with_a_prime() -> None:
    text = SCORES + "fn M(x: [B, T, D]) { return scores(x, x) }"
    x = np.arange(12.0).reshape(1, 3, 4)
    assert order(text) == ("B", "T", "T'")
    assert np.array_equal(value(text, x=x), x @ x.transpose(0, 2, 1))


@pytest.mark.parametrize("d", ["D", "E", "H", "Q"])
def test_a_callers_labels_do_not_clash_with_a_callees_private_ones(d: str) -> None:
    text = f"block M(x: [B, T, {d}=4]) -> [B, T, {d}=4] {{ return MultiHead[2](x[{d} as Z], x[{d} as Z])[Z as {d}] }}"
    x = np.random.default_rng(0).normal(size=(1, 3, 4))
    one = value(text, x=x)
    other = value(
        text.replace(f"{d}=4", "Y=4").replace(f"[{d} as Z]", "[Y as Z]").replace(f"[Z as {d}]", "[Z as Y]"), x=x
    )
    assert np.array_equal(one, other)


def test_axes_that_cross_are_an_error() -> None:
    text = "fn g(x: [B, T, D]) -> [B, D] { return sum[T](x) }\nmodel M(y: [T, B, D]) -> [B, D] { return g(y) }"
    assert codes(text) == ["Z0317"]


def test_a_label_of_several_parameters_is_one_label() -> None:
    text = "fn g(x: [B, D], y: [B, D]) -> [B, D] { return x + y }\n"
    text += "model M(a: [B, D], b: [B, F]) -> [B, D] { return g(a, b) }"
    assert codes(text) == ["Z0318"]


def test_axis_statics_are_taken_by_name() -> None:
    got = value("fn M(x: [B, C, H]) { return softmax[C](x) }", x=np.zeros((1, 4, 2)))
    assert got.shape == (1, 4, 2)
    assert np.allclose(got, 0.25)


def test_an_axis_static_takes_label_and_size() -> None:
    m = model("model M(ids: i32[B, T]) -> [B, T, D=8] { return Embed[V = 5, 8](ids) }")
    assert dict(m.params["embed.W"].type.axes)["V"].number == 5
    named = model("const V = 7, D = 2\nblock M(ids: i32[B, T]) -> [B, T, D] {\n e = Embed[V, D]\n return e(ids) }")
    assert named.params["e.W"].order == ("V", "D")


def test_rests_keep_the_callers_labels() -> None:
    assert order("fn M(x: [B, C, H]) { return relu(x) }") == ("B", "C", "H")
    assert order("fn M(x: [B, C, H]) { return mean[B, H](x) }") == ("C",)


def test_mean_without_axes_is_over_all() -> None:
    assert value("fn M(x: [B, T]) { return mean(x) }", x=X) == 2.5


def test_defaults_of_statics_follow_sizes() -> None:
    text = "block Wide[N = 2 * D](x: [B, D]) -> [B, N] {\n y: [B, N] = x -> Dense[N]\n return y }\n"
    text += "model M(x: [B, F=3]) -> [B, N=6] { return Wide(x) }"
    assert order(text) == ("B", "N")


def test_a_pipe_passes_more_tensors_and_spreads_several() -> None:
    text = (
        "fn two(x: [B]) -> (a: [B], b: [B]) { return x, 2 * x }\nfn add(a: [B], b: [B]) -> [B] { return a + 10 * b }\n"
    )
    assert value(text + "fn M(x: [B]) { return two(x) -> add }", x=np.array([1.0])).tolist() == [21]
    assert value(text + "fn M(x: [B]) { return x -> add(x) }", x=np.array([1.0])).tolist() == [11]


def test_functions_and_layers_are_statics() -> None:
    text = "fn twice[f: fn](x: [...A]) -> [...A] { return f(f(x)) }\n"
    assert np.allclose(value(text + "fn M(x: [B, T]) { return x -> twice[tanh] }", x=X), np.tanh(np.tanh(X)))
    residual = "block Res[Body: layer](x: [...A, D]) -> [...A, D] { return x + Body(x) }\n"
    m = model(residual + "model M(x: [B, D=4]) -> [B, D=4] { return x -> Res[Dense[4]] -> Res[Dense[4]] }")
    assert sorted(m.params) == ["res.dense.W", "res.dense.b", "res2.dense.W", "res2.dense.b"]


def test_an_instance_is_shared_and_a_mention_is_not() -> None:
    shared = model("model M(x: [B, D=4]) -> [B, D=4] {\n d = Dense[4]\n return d(d(x)) }")
    fresh = model("model M(x: [B, D=4]) -> [B, D=4] { return x -> Dense[4] -> Dense[4] }")
    assert sorted(shared.params) == ["d.W", "d.b"]
    assert sorted(fresh.params) == ["dense.W", "dense.b", "dense2.W", "dense2.b"]


def test_appending_a_layer_renames_nothing_before_it() -> None:
    text = "model M(x: [B, D=4]) -> [B, D=4] {{\n repeat 2 as stage {{ x = x -> Dense[4] -> relu }}\n return x{} }}"
    assert set(model(text.format("")).params) < set(model(text.format(" -> Dense[4]")).params)


def test_a_const_instance_is_shared_between_models() -> None:
    found = project(
        "const step = Dense[3]\nmodel A(x: [B, D=3]) -> [B, D=3] { return step(x) }\n"
        "model B(x: [B, D=3]) -> [B, D=3] { return step(step(x)) }"
    )
    assert set(found.models["A"].params) == set(found.models["B"].params) == {"step.W", "step.b"}


def test_sizes_that_do_not_come_out_of_the_symbols_are_refused() -> None:
    assert codes("model M(x: [B, D]) -> [B, D=3] { return x -> Dense[3] }") == ["Z0602"]


def test_round_brackets_for_sizes_get_the_fix() -> None:
    from zhdsl.errors import SpecError

    with pytest.raises(SpecError) as found:
        project("model M(x: [B, D=3]) -> [B, D=5] { return x -> Dense(5) }")
    assert [(d.code, d.help) for d in found.value.diagnostics] == [("Z0401", "did you mean `Dense[5]`?")]


def test_an_ascription_matches_by_name_and_then_in_order() -> None:
    assert order("fn M(x: [B, C, T]) {\n y: [T, B, C] = x\n return y }") == ("T", "B", "C")
    assert order("fn M(x: [B, C=3, T=4]) {\n y: [B, K, T] = x\n return y }") == ("B", "K", "T")
    assert codes("model M(x: [B, C=3, D=3]) -> [B] {\n y: [B, E, F] = x\n return sum[E, F](y) }") == ["Z0320"]


def test_custom_adjoints_replace_the_symbolic_derivative() -> None:
    found = project(
        "fn soft(x: [...A]) -> y: [...A] { return log(1 + exp(x)) } grad (dy) { return dy * (1 - exp(-y)) }\n"
        "model M(x: [B]) -> [B] { return soft(x) }"
    )
    assert [c.kind for c in found.claims] == ["adjoint"]
    assert any(n.op.name == "override" for n in found.models["M"].infer.nodes)


TWO_SIZES = "model M(a: [B, K=3], x: [B, F=5]) -> r: [] {{\n  c: [B, K=5] = x\n  return {} + 0 * sum(a)\n}}\n"


@pytest.mark.parametrize(
    ("definition", "call"),
    [
        ("fn count[C: axis](x: [B, C]) -> [] { return sum(f32(iota[C] >= 0)) + 0 * sum(x) }", "count[K](c)"),
        ("fn count[...R](x: [...A, ...R]) -> [] { return sum(ones[...R] + 0 * sum[...A](x)) }", "count[K](c)"),
    ],
)
def test_an_axis_given_by_name_has_the_size_it_has_in_the_tensor(definition: str, call: str) -> None:
    """In the caller the name K may stand for another size, that of an axis K of another tensor."""
    text = f"{definition}\n{TWO_SIZES.format(call)}"
    assert value(text, a=np.zeros((1, 3)), x=np.zeros((1, 5))) == 5
