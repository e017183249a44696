"""`zh check` says of every file what is in it and of every claim whether it holds, with pictures of what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NET = """\
const N = 4
model Net(x: [B, F=2]) -> y: [B, K=N] { return x -> Dense[N] }
check Net.params == 12
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def test_a_right_spec_is_one_line(zh: Callable) -> None:
    write("net.zh", NET)
    assert zh("check", "net.zh") == (0, "net.zh: ok, 1 model, 1 claim\n", "")


def test_what_is_in_a_spec_is_counted(zh: Callable) -> None:
    text = NET.replace("y: [B, K=N]", "p: [B, N=1]").replace("Dense[N]", "Dense[1] -> sigmoid").replace("== 12", "== 3")
    text += "model Other(x: [B, F=2]) -> y: [B, F=2] { return x }\ncheck 1 < 2\n"
    text += "train Net {\n  data = two_spirals[]\n  loss = mean[B, N](p)\n  optimizer = sgd[lr = 0.1]\n}\n"
    write("net.zh", text)
    assert zh("check", "net.zh").out == "net.zh: ok, 2 models, 1 recipe, 2 claims\n"


def test_a_file_that_is_only_imported_is_fine(zh: Callable) -> None:
    write("nets/twice.zh", "fn twice(x: [...A]) -> [...A] { return x * 2 }\n")
    write("net.zh", 'use "nets/twice.zh"\nmodel Net(x: [B]) -> y: [B] { return twice(x) }\n')
    result = zh("check", ".")
    assert result == (0, "net.zh: ok, 1 model\nnets/twice.zh: ok, 1 definition\n2 files: all ok\n", "")


def test_a_claim_that_does_not_hold_is_shown_with_both_sides(zh: Callable) -> None:
    write("net.zh", NET.replace("== 12", "== 13"))
    result = zh("check", "net.zh")
    assert (result.code, result.out) == (1, "net.zh: 1 error, 1 model, 1 claim\n")
    assert result.err.startswith("error Z0801: Net.params is 12, not 13")
    assert "net.zh:3:1\n3 | check Net.params == 13\n  | ~~~~" in result.err


def test_every_file_is_checked_though_one_is_wrong(zh: Callable) -> None:
    write("a.zh", "model = 3\n")
    write("b.zh", NET)
    write("c.zh", "model M(x: [B]) -> y: [B] { return z }\ncheck M.parms == 1\n")
    result = zh("check", "a.zh", "b.zh", "c.zh", "gone.zh")
    assert result.code == 1
    assert result.out.splitlines()[0] == "a.zh: 1 error"
    assert result.out.splitlines()[1] == "b.zh: ok, 1 model, 1 claim"
    assert result.out.splitlines()[3:] == ["gone.zh: 1 error", "4 files: 3 with errors"]
    assert all(place in result.err for place in ("a.zh:1:", "c.zh:1:", "there is no file gone.zh"))


def test_a_setting_changes_a_const(zh: Callable) -> None:
    write("net.zh", NET)
    assert "Net.params is 15, not 12" in zh("check", "net.zh", "--set", "N=5").err
    assert "the spec has no `const M`" in zh("check", "net.zh", "--set", "M=5").err


def test_standard_input_is_checked(zh: Callable) -> None:
    assert zh("check", "-", stdin="const N = 4\n") == (0, "standard input: ok, 1 definition\n", "")
    assert zh("check", "-", stdin="const N = \n").code == 1


@pytest.mark.parametrize("name", ["best.safetensors", "run"])
def test_weights_and_runs_are_no_specs(name: str, zh: Callable) -> None:
    write("run/run.json", "{}")
    write("best.safetensors", "")
    write("run/spec.zh", NET)
    result = zh("check", name)
    if name == "run":  # a folder is searched for specs, that of a run too
        assert result == (0, "run/spec.zh: ok, 1 model, 1 claim\n", "")
    else:
        assert result == (2, "", "error: best.safetensors is a weights file; a .zh file is wanted here\n")


# ---------------------------------------------------------------- gradients
RIGHT = """\
fn swish(x: [...A]) -> [...A] { return x * sigmoid(x) } grad (dy) {
  s = sigmoid(x)
  return dy * (s + x * s * (1 - s))
}
fn nll(x: [B, K], label: i32[B]) -> [] { return mean[B](-log(x[K=label])) }
fn halves(x: [B, T]) -> [B, T] require T % 4 == 0 { return split[T = (P=4, Q)](x) -> softmax[Q] -> merge[T = (P, Q)] }
block Two(x: [B, D=4], keep: bool[B]) -> [B, D=3] { return where(keep, x, 0) -> LayerNorm -> Dense[3] }
block Mean(x: [B, C=3]) -> [B, C=3] { return x -> BatchNorm -> dropout[0.5] }
check gradient[nll]
check gradient[halves]
check gradient[Two]
check gradient[Mean]
"""


def test_gradients_are_compared_with_finite_differences(zh: Callable) -> None:
    write("f.zh", RIGHT)
    result = zh("check", "f.zh", "--json")
    assert result.code == 0, result.err
    claims = json.loads(result.out)["files"][0]["claims"]
    assert [c["text"] for c in claims] == [f"gradient[{f}]" for f in ("nll", "halves", "Two", "Mean", "swish")]
    assert [c["kind"] for c in claims] == ["gradient"] * 4 + ["adjoint"]
    assert all(0 < c["error"] < 1e-8 for c in claims)


def test_how_exact_gradients_are_is_told(zh: Callable) -> None:
    write("f.zh", RIGHT)
    out = zh("check", "f.zh").out
    assert out.startswith("f.zh: ok, 5 claims, gradients within ")
    assert float(out.split()[-1]) < 1e-8


def test_a_wrong_derivative_is_found_and_shown(zh: Callable) -> None:
    write("f.zh", "fn square(x: [B]) -> [B] { return x * x } grad (dy) { return dy * x }\n")
    result = zh("check", "f.zh")
    assert (result.code, result.out) == (1, "f.zh: 1 error, 1 claim\n")
    assert "error Z0803: the gradient of square in x[B=" in result.err
    found, expected = (
        float(result.err.split(text)[1].split(",")[0].split()[0]) for text in ("] is ", "differences give ")
    )
    assert expected == pytest.approx(2 * found, rel=1e-6)
    assert "f.zh:1:4" in result.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fn f(i: i32[B]) -> i32[B] { return i }", "f has no floats to differentiate"),
        ("fn f(x: [B]) -> [B] { return log(-x * x) }", "f is not finite at random inputs"),
        ("fn f(x: [B]) -> [B] require B % 97 == 0 { return x }", "no small sizes meet the requirements of f"),
    ],
)
def test_a_gradient_that_cannot_be_compared_is_an_error(text: str, says: str, zh: Callable) -> None:
    write("f.zh", f"{text}\ncheck gradient[f]\n")
    result = zh("check", "f.zh")
    assert result.code == 1
    assert f"error Z0803: {says}" in result.err


# ---------------------------------------------------------------- for programs
def test_json_says_everything(zh: Callable) -> None:
    write("net.zh", NET.replace("== 12", "== 13"))
    write("bad.zh", "model M(x: [B]) -> y: [B] { return z }\n")
    result = zh("check", "net.zh", "bad.zh", "--json")
    assert (result.code, result.err) == (1, "")
    found = json.loads(result.out)
    assert found["ok"] is False
    net, bad = found["files"]
    assert (net["path"], net["ok"], net["models"], net["recipes"]) == ("net.zh", False, ["Net"], [])
    assert net["claims"] == [
        {"text": "check Net.params == 13", "kind": "static", "holds": False}
        | {"file": "net.zh", "line": 3, "column": 1, "end_line": 3, "end_column": 23}
    ]
    assert [d["code"] for d in net["diagnostics"]] == ["Z0801"]
    (problem,) = bad["diagnostics"]
    assert (problem["code"], problem["file"], problem["line"], problem["column"]) == ("Z0201", "bad.zh", 1, 36)


def test_json_of_what_has_no_place(zh: Callable) -> None:
    (problem,) = json.loads(zh("check", "gone.zh", "--json").out)["files"][0]["diagnostics"]
    assert (problem["code"], problem["file"], problem["line"]) == ("Z0001", None, None)


def test_checking_imports_nothing_that_computes(root: Path) -> None:
    write("net.zh", NET)
    code = (
        "import sys; from zhdsl.cli.main import main; code = main(sys.argv[1:]);"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.__stderr__); sys.exit(code)"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}", "check", "net.zh"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"numpy", "networkx", "rich", "safetensors"} & set(ran.stderr.split())
