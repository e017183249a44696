"""`zh emit` prints every stage: what can be read back is read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.cli.specs import open_spec
from zhdsl.ir.read import read_graph
from zhdsl.ir.text import print_graph

NET = """\
model Net(x: [B, F=2]) -> z: [B, K=3] {
  return x -> Dense[4] -> BatchNorm -> tanh -> Dense[3]
}
train Net {
  data      = two_spirals[points = 5]
  loss      = mean[B, K](z ^ 2)
  optimizer = sgd[lr = 0.1]
}
"""
STAGES = ("ast", "model", "graph", "grad", "passes", "program")


@pytest.fixture(autouse=True)
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.zh").write_text(NET)


@pytest.fixture
def emit(zh: Callable) -> Callable[..., str]:
    """The output of `zh emit` that must succeed."""

    def run(*args: str) -> str:
        result = zh("emit", *args)
        assert (result.code, result.err) == (0, "")
        return result.out

    return run


def test_the_tree_has_every_record_with_its_place(emit: Callable) -> None:
    lines = emit("net.zh", "--stage", "ast").splitlines()
    assert lines[0] == "Module 1:1"
    assert '    Definition 1:1 kind="model" name="Net" statics=() requires=() adjoint=none annotations=()' in lines
    assert any(line.strip().startswith("value: Pipe 2:10") for line in lines)
    assert all(len(line) - len(line.lstrip()) <= 40 for line in lines)


def test_the_tree_of_a_text_that_does_not_check_is_printed(emit: Callable) -> None:
    Path("bad.zh").write_text("model M(x: [B]) -> y: [B] { return nothing }\n")
    assert 'Name 1:36 id="nothing"' in emit("bad.zh", "--stage", "ast")


def test_the_model_is_told_with_its_weights_and_recipe(emit: Callable) -> None:
    out = emit("net.zh", "--stage", "model")
    assert out.startswith("model Net(x: [B, F=2]) -> z: [B, K=3]\nparameters\n")
    rows = [line.split("  ") for line in out.splitlines()]
    assert any(row[1:3] == ["dense.W", ""] or row[1] == "dense.W" for row in rows if len(row) > 2)
    assert "batchnorm" in out.partition("states\n")[2]
    assert "\ntrain Net\n" in out


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (["--stage", "graph"], "Net.infer"),
        (["--stage", "graph", "--mode", "train"], "Net.train"),
        (["--stage", "graph", "--recipe", "Net"], "Net.forward"),
        (["--stage", "graph", "--recipe", "Net", "--mode", "infer"], "Net.evaluate"),
        (["--stage", "grad"], "Net.grad"),
        (["--stage", "grad", "--model", "Net"], "Net.grad"),
        (["--stage", "passes"], "Net.step"),
        (["--stage", "passes", "--mode", "infer"], "Net.infer"),
    ],
)
def test_a_graph_is_read_back_as_it_was(args: list[str], name: str, emit: Callable) -> None:
    text = emit("net.zh", *args)
    assert text.startswith(f"graph {name} {{\n")
    assert print_graph(read_graph(text)) == text


def test_the_graph_is_that_of_the_model(emit: Callable) -> None:
    assert emit("net.zh", "--stage", "graph") == print_graph(open_spec("net.zh", {}).models["Net"].infer)


def test_the_gradients_of_all_parameters_are_outputs(emit: Callable) -> None:
    text = emit("net.zh", "--stage", "grad")
    assert all(f"output grad {path}[" in text for path in ("dense.W", "dense.b", "dense2.W", "dense2.b"))
    assert "output loss loss[]" in text


def test_the_program_has_kernels_and_buffers(emit: Callable) -> None:
    text = emit("net.zh", "--stage", "program")
    assert text.startswith("program Net.step: ")
    assert "param/dense.W: [D=2, N=4]" in text
    assert emit("net.zh", "--stage", "program", "--mode", "infer").startswith("program Net.infer: ")


def test_places_are_comments(emit: Callable) -> None:
    text = emit("net.zh", "--stage", "grad", "--places")
    assert "# net.zh:2:" in text
    assert " backward" in text
    assert print_graph(read_graph(text)) == emit("net.zh", "--stage", "grad")


def test_the_same_spec_gives_the_same_text(emit: Callable) -> None:
    for stage in STAGES:
        assert emit("net.zh", "--stage", stage) == emit("net.zh", "--stage", stage)


def test_a_text_is_written_to_a_file(zh: Callable) -> None:
    assert zh("emit", "net.zh", "--stage", "graph", "-o", "g.txt") == (0, "wrote g.txt\n", "")
    assert Path("g.txt").read_text() == zh("emit", "net.zh", "--stage", "graph").out


def test_the_spec_is_not_overwritten(zh: Callable) -> None:
    result = zh("emit", "net.zh", "--stage", "ast", "-o", "./net.zh")
    assert result == (2, "", "error: ./net.zh is the spec itself; name another file\n")
    assert Path("net.zh").read_text() == NET


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["net.zh"], 2, "Missing option '--stage'"),
        (["net.zh", "--stage", "code"], 2, "'code' is not one of"),
        (["net.zh", "--stage", "graph", "--recipe", "Nett"], 2, "net.zh has no recipe Nett: did you mean Net?"),
        (["net.zh", "--stage", "graph", "--model", "Nett"], 1, "has no model Nett"),
        (["net.zh", "--stage", "graph", "--model", "Net", "--recipe", "Net"], 2, "exclude each other"),
        (["net.zh", "--stage", "grad", "--mode", "infer"], 2, "in training only"),
        (["none.zh", "--stage", "graph"], 2, "none.zh has no model"),
        (["both.zh", "--stage", "graph"], 2, "several models: choose one with --model: A, C"),
        (["gone.zh", "--stage", "ast"], 1, "there is no file gone.zh"),
        (["net.zh", "--stage", "graph", "-o", "gone/g.txt"], 3, "cannot write gone/g.txt"),
    ],
)
def test_wrong_use_is_told(args: list[str], code: int, says: str, zh: Callable) -> None:
    Path("none.zh").write_text("const N = 3\n")
    Path("both.zh").write_text("model A(x: [B]) -> y: [B] { return x }\nmodel C(x: [B]) -> y: [B] { return x }\n")
    result = zh("emit", *args)
    assert (result.code, result.out) == (code, "")
    assert says in result.err
