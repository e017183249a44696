"""The doctor of a spec: what it prints, in words and in JSON, and what it says of what it cannot look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

SICK = """model Net(image: [B, H=8, W=8]) -> logits: [B, K=10] {
  h = merge[F = (H, W)](image)
  repeat 9 {
    h = h -> Dense[32] -> sigmoid
  }
  return h -> Dense[10]
}

train Net {
  data          = digits[]
  prepare.image = image -> standardize
  loss          = cross_entropy[K](logits, label)
  optimizer     = adam[lr = 1e-3]
  batch         = 64
  epochs        = 1
}
"""
HEALTHY = SICK.replace("sigmoid", "relu").replace("Dense[32]", "Dense[32, weight = he]").replace("repeat 9", "repeat 3")


@pytest.fixture
def spec(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "net.zh").write_text(text, encoding="utf-8")
        return str(tmp_path / "net.zh")

    return write


def test_a_sick_network_is_named_with_its_line_and_the_exit_code_is_1(zh: Callable, spec: Callable) -> None:
    result = zh("doctor", spec(SICK))
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    assert lines[0].startswith("Net: 10,858 parameters, 64 samples at the first weights (seed 0), loss ")
    assert "vanishing gradient: net.zh:4:27" in lines
    assert "     4 | h = h -> Dense[32] -> sigmoid" in lines
    words = [line.split()[0] for line in lines[lines.index("vanishing gradient: net.zh:4:27") :] if line[2:3].isalpha()]
    assert [w for w in words if w in ("measured", "threshold", "source", "remedy")] == [
        "measured",
        "threshold",
        "source",
        "remedy",
    ]


def test_a_healthy_network_is_called_so_and_the_exit_code_is_0(zh: Callable, spec: Callable) -> None:
    result = zh("doctor", spec(HEALTHY))
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-1] == "nothing was found that hinders training"
    assert "20 steps at the recipe's rate: loss" in result.out


def test_two_diagnoses_are_the_same_to_the_byte(zh: Callable, spec: Callable) -> None:
    path = spec(HEALTHY)
    assert zh("doctor", path) == zh("doctor", path)


def test_the_json_has_every_number_of_the_table(zh: Callable, spec: Callable) -> None:
    result = zh("doctor", spec(SICK), "--json")
    found = json.loads(result.out)
    assert (result.code, found["ok"], found["recipe"], found["samples"]) == (1, False, "Net", 64)
    assert [layer["depth"] for layer in found["layers"]] == list(range(1, 11))
    assert all(layer["gradient"] > 0 and layer["gain"] > 0 and layer["line"] in (4, 6) for layer in found["layers"])
    (finding,) = found["findings"]
    assert finding["places"] == [{"file": "net.zh", "line": 4}]


def test_a_run_is_examined_at_its_trained_weights(zh: Callable, spec: Callable, tmp_path: Path) -> None:
    path = spec(HEALTHY)
    assert zh("train", path, "--out", str(tmp_path / "runs"), "--quiet").code == 0
    result = zh("doctor", str(tmp_path / "runs" / "Net-1"))
    assert (result.code, result.err) == (0, "")
    assert "64 samples at the trained weights" in result.out
    assert "steps at the recipe's rate" not in result.out


def test_data_that_are_not_there_are_told_and_noise_is_measured(zh: Callable, spec: Callable) -> None:
    text = SICK.replace("= digits[]", "= rows").replace("  prepare.image = image -> standardize\n", "")
    result = zh("doctor", spec('dataset rows[file = "no.npz"] -> (image: [B, H=8, W=8], label: i32[B])\n\n' + text))
    assert result.code == 1
    assert "note: measured on noise, for the data are not there: " in result.out
    assert "vanishing gradient: net.zh:6:27" in result.out


LARGE = """dataset pictures[file = "no.npz"] -> (image: [B, C=3, H=512, W=512], label: i32[B])
model Net(image: [B, C=3, H=512, W=512]) -> logits: [B, K=10] {
  return image -> Conv[64, 5] -> relu -> Conv[64, 5] -> relu -> global_pool -> Dense[10]
}
train Net {
  data      = pictures
  loss      = cross_entropy[K](logits, label)
  optimizer = sgd[lr = 0.1]
  batch     = 16
  epochs    = 1
}
"""


def test_a_network_that_is_too_large_is_not_measured(zh: Callable, spec: Callable) -> None:
    result = zh("doctor", spec(LARGE))
    assert result.code == 0
    assert "GFLOP, too much to be measured in seconds" in result.out
    assert "nothing was found" not in result.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.zh"], "there is no file nowhere.zh"),
        (["--recipe", "Other"], "has no recipe Other"),
        (["--set", "Q=1"], "Q"),
    ],
)
def test_what_cannot_be_examined_is_said(args: list[str], message: str, zh: Callable, spec: Callable) -> None:
    path = spec(HEALTHY)
    result = zh("doctor", *(args if args[0].endswith(".zh") else [path, *args]))
    assert result.code in (1, 2)
    assert message in result.err


def test_a_loss_that_is_not_finite_is_told_with_its_op_and_line(zh: Callable, spec: Callable) -> None:
    result = zh("doctor", spec(HEALTHY.replace("Dense[10]\n", "Dense[10, weight = zeros] -> log\n")))
    assert result.code == 4
    assert "the loss is inf at the first batch" in result.err
    assert "log gives" in result.err
    assert "from net.zh:6:" in result.err


def test_a_spec_without_a_recipe_cannot_be_examined(zh: Callable, spec: Callable) -> None:
    result = zh("doctor", spec("model M(x: [B, F=2]) -> [B, K=1] { return x -> Dense[1] }\n"))
    assert result.code == 2
    assert "has no recipe" in result.err
