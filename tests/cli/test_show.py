"""`zh show` gives tables that add up, and the library as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from zhdsl.cli.layers import OTHERS, layers
from zhdsl.cli.specs import open_spec
from zhdsl.ir.cost import flops
from zhdsl.ir.sizes import Size
from zhdsl.lang.files import library_index

NET = """\
# two layers
model Net(x: [B, F=2]) -> z: [B, K=3] {
  return x -> Dense[4] -> tanh -> Dense[3]
}

train Net {
  data      = two_spirals[points = 5]
  loss      = mean[B, K](z ^ 2)
  optimizer = sgd[lr = 0.1, momentum = 0.9]
  freeze    = "dense2.*"
}
"""
TABLE = """\
model Net(x: [B, F=2]) -> z: [B, K=3]

layer            block  output    parameters  bytes  FLOPs
dense            Dense  [B, F=4]          12     48  20*B
dense2           Dense  [B, K=3]          15     60  27*B
(no parameters)                                      4*B
total                                     27    108  51*B
"""


@pytest.fixture(autouse=True)
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.zh").write_text(NET)


def test_a_model_is_a_table_of_layers(zh: Callable) -> None:
    assert zh("show", "net.zh") == (0, TABLE, "")


def test_sizes_make_numbers(zh: Callable) -> None:
    lines = zh("show", "net.zh", "--batch", "100").out.splitlines()
    assert re.split(r"  +", lines[3]) == ["dense", "Dense", "[B=100, F=4]", "12", "48", "2,000"]
    assert lines[-1].split() == ["total", "27", "108", "5,100"]
    assert zh("show", "net.zh", "--size", "B=100").out.splitlines() == lines


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--size", "Q=3"], "Net has no size Q: it has B"),
        (["--size", "B=0"], "'B=0' is not NAME=N"),
        (["--size", "B"], "'B' is not NAME=N"),
        (["--batch", "0"], "0 is not in the range"),
    ],
)
def test_sizes_that_cannot_be_are_wrong_use(args: list[str], says: str, zh: Callable) -> None:
    result = zh("show", "net.zh", *args)
    assert (result.code, result.out) == (2, "")
    assert says in result.err


def test_sizes_that_a_model_does_not_allow_are_refused(zh: Callable) -> None:
    Path("half.zh").write_text("model Half(x: [B, T]) -> y: [B] require T % 2 == 0 { return x[T = T // 2] }\n")
    assert "needs: T % 2 == 0" in zh("show", "half.zh").out
    result = zh("show", "half.zh", "--size", "T=3,B=1")
    assert result.code == 2
    assert "half.zh:1:" in result.err
    assert "does not hold for these sizes" in result.err


def test_every_model_is_shown_or_the_one_of_a_name(zh: Callable) -> None:
    with open("net.zh", "a") as file:
        file.write("model Other(x: [B, F=2]) -> y: [B, N=1] { return x -> Dense[1] }\n")
        file.write(
            "block Own(x: [B, F=2]) -> [B, F=2] { param w: [F] = ones return w * x }\n".replace(" return", "\n return")
        )
    assert zh("show", "net.zh").out.count("layer  ") == 2
    assert zh("show", "net.zh", "--model", "Other").out.startswith("model Other(")
    own = zh("show", "net.zh", "--model", "Own").out.splitlines()
    assert own[0] == "block Own(x: [B, F=2]) -> result: [B, F=2]"
    assert own[3].split()[:2] == ["w", "Own"]
    assert "did you mean `Other`?" in zh("show", "net.zh", "--model", "Othr").err


def test_a_spec_without_a_model_says_how_to_go_on(zh: Callable) -> None:
    Path("a.zh").write_text("fn twice(x: [B]) -> [B] { return 2 * x }\n")
    assert zh("show", "a.zh") == (2, "", "error: a.zh has no model: choose a function or block with --model\n")
    assert zh("show", "a.zh", "--model", "twice").code == 0


def test_states_are_told(zh: Callable) -> None:
    Path("a.zh").write_text("model M(x: [B, C=3]) -> y: [B, C=3] { return x -> BatchNorm }\n")
    assert "\nstate: 6 numbers\n" in zh("show", "a.zh").out


@pytest.mark.parametrize("name", ["convnets/lenet5", "sequences/bidirectional", "sequences/adding", "mnist_mlp"])
def test_rows_add_up_to_the_whole_model(name: str, root: Path) -> None:
    project = open_spec(str(root / "specs" / f"{name}.zh"), {})
    for model in project.models.values():
        rows = layers(model, project.file)
        assert sum((r.flops for r in rows), start=Size.of(0)) == flops(model.infer.nodes)
        assert sum(r.params for r in rows) == sum(w.type.count().evaluate({}) for w in model.params.values())
        assert all(r.block and r.output for r in rows if r.path != OTHERS)


def test_a_recurrent_layer_is_shown_with_its_stacked_output(zh: Callable) -> None:
    Path("a.zh").write_text("model M(x: [B, T, D=3]) -> y: [B, T, D=5] { return x -> LSTM[5] }\n")
    row = next(line for line in zh("show", "a.zh").out.splitlines() if line.startswith("lstm"))
    assert re.split(r"  +", row)[1:4] == ["LSTMCell", "[B, D=5, T]", "180"]


# ---------------------------------------------------------------- recipes
def test_a_recipe_is_shown_with_what_follows_from_it(zh: Callable) -> None:
    result = zh("show", "net.zh", "--recipe")
    assert (result.code, result.err) == (0, "")
    found = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in result.out.splitlines()[1:] if line)
    assert result.out.splitlines()[0] == "train Net"
    assert found["loss"] == "= mean[B, K](z ^ 2)"
    assert found["fields"].startswith("x: [B, F=2], y: [B, F=1]  from two_spirals[points = 5")
    assert found["trained"] == "12 of 27 parameters"
    assert found["limit"] == "10 epochs"
    assert found["batch"] == "32"


def test_a_spec_without_a_recipe_says_so(zh: Callable) -> None:
    Path("a.zh").write_text("model M(x: [B]) -> y: [B] { return x }\n")
    assert zh("show", "a.zh", "--recipe").err == "error: a.zh has no recipe: write `train M { … }` for its model\n"


# ---------------------------------------------------------------- the library
def test_a_definition_of_the_library_is_shown_as_it_is_written(zh: Callable, root: Path) -> None:
    result = zh("show", "Dense")
    assert (result.code, result.err) == (0, "")
    assert result.out in (root / "zhdsl/lang/stdlib/layers.zh").read_text()
    assert "block Dense[" in result.out
    assert result.out.endswith("}\n")


@pytest.mark.parametrize("name", sorted(library_index()))
def test_every_definition_is_shown_whole_with_its_comment_and_alone(name: str, zh: Callable) -> None:
    from zhdsl.lang.ast import Const, Use
    from zhdsl.lang.parser import parse
    from zhdsl.source import Source

    text = zh("show", name).out
    items = [i for i in parse(Source("shown.zh", text)).items if not isinstance(i, Use | Const)]
    assert [getattr(i, "name", None) for i in items] == [name]


def test_a_primitive_is_described(zh: Callable) -> None:
    lines = zh("show", "tanh").out.splitlines()
    assert lines[0] == "# tanh is a primitive of the language"
    assert any("Hyperbolic tangent" in line for line in lines)
    assert all(line.startswith("#") for line in lines)


def test_an_unknown_name_gets_the_nearest(zh: Callable) -> None:
    assert zh("show", "Dens") == (2, "", "error: the library has no Dens: did you mean Dense?\n")


@pytest.mark.parametrize("name", ["run", "w.safetensors"])
def test_weights_and_runs_are_no_specs(name: str, zh: Callable) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    result = zh("show", name)
    assert result.code == 2
    assert re.match(
        r"error: (run is the folder of a run; its spec is run/spec\.zh|w\.safetensors is a weights)", result.err
    )


def test_a_model_can_be_drawn_below_its_table(zh: Callable, tmp_path: Path) -> None:
    spec = tmp_path / "net.zh"
    spec.write_text("model Net(x: [B, D=4]) -> y: [B, D=4] { return x + (x -> Dense[4] -> tanh) }")
    plain, drawn = zh("show", str(spec)), zh("show", str(spec), "--graph")
    assert drawn.out.startswith(plain.out)
    picture = drawn.out[len(plain.out) :]
    assert "Net.infer: 8 nodes, 8 edges" in picture
    assert picture.index("● x") < picture.index("Dense") < picture.index("tanh") < picture.rindex("├ add")
