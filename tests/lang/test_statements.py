"""Statements: repeat, if, when, state, scan, require."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lang.in_text import codes, model, run, value

X = np.arange(12.0).reshape(2, 3, 2)


def test_repeat_carries_a_rebound_name() -> None:
    assert value("fn M(x: [B]) {\n repeat 3 as i { x = x * (i + 1) }\n return x }", x=np.array([1.0])).tolist() == [6]


def test_tied_repeats_share_parameters() -> None:
    text = "model M(x: [B, D=2]) -> [B, D=2] {{\n repeat 3{} {{ x = x -> Dense[2] }}\n return x }}"
    assert len(model(text.format(" tied")).params) == 2
    assert len(model(text.format("")).params) == 6


def test_only_the_taken_branch_of_if_is_elaborated() -> None:
    text = "block M[deep = false](x: [B, D=2]) -> [B, D=2] {\n if deep { return x -> Dense[2] } else { return x }\n}"
    assert model(text).params == {}


def test_both_branches_of_when_are_checked_and_make_both_programs() -> None:
    good = "block M(x: [B]) -> [B] {\n when train { y = x * 2 } else { y = x }\n return y }"
    assert value(good, mode="train", x=np.ones(1)).tolist() == [2]
    assert value(good, mode="infer", x=np.ones(1)).tolist() == [1]
    assert codes("model M(x: [B]) -> [B] {\n when train { y = x } else { y = nothing }\n return y }") == ["Z0201"]


def test_states_are_read_and_updated_in_program_order() -> None:
    text = (
        "block M(x: []) -> [] {\n c = Count\n a = c(x)\n return a + 10 * c(x) }\n"
        "block Count(x: []) -> [] {\n state n: [] = zeros\n update n = n + x\n return n }"
    )
    got = run(model(text).train, {"x": 2.0, "c.n": 1.0})
    assert got["result"] == 3 + 10 * 5
    assert got["c.n"] == 5


def test_a_scan_is_the_recurrence() -> None:
    text = "fn M(x: [B, T, D]) {\n return scan t over T from h = zeros[B, D] {\n h = 0.5 * h + x[t]\n emit h\n }\n}"
    h, want = np.zeros((2, 2)), []
    for t in range(3):
        h = 0.5 * h + X[:, t]
        want.append(h)
    assert np.array_equal(value(text, x=X), np.stack(want, 1))


def test_last_is_the_final_carry_and_reverse_runs_backwards() -> None:
    text = "fn M(x: [B, T, D]) {\n y, h = scan t over T reverse from h = zeros[B, D] {\n"
    text += " h = h * 2 + x[t]\n emit h, last h\n }\n return h }"
    assert np.array_equal(value(text, x=X), X[:, 0] + 2 * X[:, 1] + 4 * X[:, 2])


def test_a_scan_generates_over_a_length() -> None:
    text = "fn M(x: [B]) {\n return scan t over T=3 from y = x {\n y = 2 * y\n emit y\n }\n}"
    assert value(text, x=np.array([1.0])).tolist() == [[2], [4], [8]]


def test_scans_nest() -> None:
    text = (
        "fn M(x: [B, T, D]) {\n return scan t over T from s = zeros[B] {\n"
        " r = x[t]\n u = scan d over D from a = s { \n a = a + r[d]\n emit last a\n }\n s = u\n emit s\n }\n}"
    )
    assert np.array_equal(value(text, x=X), np.cumsum(X.sum(2), 1))


def test_a_state_in_a_scan_is_carried() -> None:
    text = (
        "block M(x: [T]) -> [T] {\n c = Count\n return scan t over T from z = zeros[] {\n z = c(x[t])\n emit z\n }\n}\n"
        "block Count(x: []) -> [] {\n state n: [] = zeros\n update n = n + x\n return n }"
    )
    got = run(model(text).train, {"x": np.array([1.0, 2, 3]), "c.n": 10.0})
    assert got["result"].tolist() == [11, 13, 16]
    assert got["c.n"] == 16


def test_the_graph_of_a_scan_does_not_depend_on_its_length() -> None:
    text = "fn M(x: [B, T={}]) {{\n return scan t over T from h = zeros[B] {{\n h = tanh(h + x[t])\n emit h\n }}\n}}"
    sizes = {len(model(text.format(n)).infer.nodes) for n in (10, 10_000)}
    assert len(sizes) == 1


def test_require_is_checked_guarded_and_known() -> None:
    halved = "model M(x: [B, H]) -> [B, H=H/2] require H % 2 == 0 { return split[H = (H, P = 2)](x)[P=0] }"
    assert model(halved).guards[0].holds({"B": 1, "H": 6})
    assert not model(halved).guards[0].holds({"B": 1, "H": 7})
    assert codes(
        "block F(x: [B, H]) -> [B, H] require H % 2 == 0 { return x }\nmodel M(x: [B, H=7]) -> [B, H=7] { return F(x) }"
    ) == ["Z0330"]


def test_a_fully_masked_softmax_row_is_zero() -> None:
    text = "fn M(x: [B, K], keep: bool[B, K]) { return softmax[K](where(keep, x, -inf)) }"
    keep = np.array([[True, False], [False, False]])
    assert value(text, x=np.zeros((2, 2)), keep=keep).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("scan t over T from h = zeros[] {\n h = h + x[t]\n emit h\n }", "Z0606"),
        ("scan t over T from h = zeros[B] { h = h + x[t] }", "Z0610"),
        ("scan t over T from h = zeros[B] {\n h = h + x[t]\n emit last x\n }", "Z0611"),
        ("scan t over S from h = zeros[B] {\n h = h\n emit h\n }", "Z0612"),
    ],
)
def test_scans_that_are_wrong(body: str, code: str) -> None:
    assert codes(f"model M(x: [B, T]) -> [B, T] {{\n return {body}\n}}") == [code]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("fn f(x: [B]) -> [B] {\n param W: [B] = zeros\n return x }\nmodel M(x: [B]) -> [B] { return f(x) }", "Z0601"),
        ("fn f(x: [B, D]) { return x -> Dense[3] }\nmodel M(x: [B, D=2]) -> [B, N=3] { return f(x) }", "Z0613"),
        ("block R(x: [B]) -> [B] { return R(x) }\nmodel M(x: [B]) -> [B] { return R(x) }", "Z0412"),
        ("model M(x: [B]) -> [B] {\n repeat 1_000_000_000 { x = x + 1 }\n return x }", "Z0614"),
        ("model M(x: [B]) -> [B] { y = x }", "Z0607"),
        ("model M(x: [B]) -> [B] {\n return x\n y = x }", "Z0618"),
        ("model M(x: [B]) -> [B] {\n emit x }", "Z0608"),
        ("model M(x: [B, B]) -> [B] { return x }", "Z0311"),
        ("const D = D + 1\nmodel M(x: [B]) -> [B] { return x * D }", "Z0204"),
    ],
)
def test_definitions_that_are_wrong(text: str, code: str) -> None:
    assert codes(text) == [code]


def test_independent_errors_come_in_one_run_without_cascades() -> None:
    text = (
        "model M(x: [B, T=4]) -> [B] {\n a = x[T=9]\n b = a + 1\n c = sum[H](x)\n d = c * b\n"
        " e = nosuch(x)\n return sum[T](d + e) }"
    )
    assert codes(text) == ["Z0327", "Z0302", "Z0201"]
