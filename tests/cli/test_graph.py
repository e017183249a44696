"""`zh graph` draws what was asked for, in the format that was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

NET = """\
model Net(x: [B, F=2]) -> z: [B, K=3] {
  h = x -> Dense[4] -> tanh
  return h + (h -> Dense[4] -> tanh) -> Dense[3]
}
train Net {
  data      = two_spirals[points = 5]
  loss      = mean[B, K](z ^ 2)
  optimizer = adam[lr = 0.1]
}
"""


@pytest.fixture(autouse=True)
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.zh").write_text(NET)


def test_without_an_output_the_terminal_shows_it(zh: Callable) -> None:
    result = zh("graph", "net.zh")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Net.infer: ")
    assert "Dense" in result.out and "╮" in result.out


@pytest.mark.parametrize("ending", ["svg", "dot", "json", "graphml", "txt"])
def test_the_ending_of_the_file_decides(ending: str, zh: Callable) -> None:
    result = zh("graph", "net.zh", "--backward", "-o", f"net.{ending}")
    assert (result.code, result.out) == (0, f"wrote net.{ending}\n")
    written = Path(f"net.{ending}").read_text(encoding="utf-8")
    if ending in ("svg", "graphml"):
        ElementTree.fromstring(written)
    if ending == "json":
        groups = [g["label"] for g in json.loads(written)["groups"] if g["kind"] == "phase"]
        assert groups == ["forward", "backward"]


@pytest.mark.parametrize(
    ("options", "phases"),
    [([], set()), (["--backward"], {"forward", "backward"}), (["--step"], {"forward", "backward", "update"})],
)
@pytest.mark.parametrize("more", [[], ["--passes"], ["--fused"]])
def test_stages_have_their_phases(options: list[str], phases: set[str], more: list[str], zh: Callable) -> None:
    data = json.loads(zh("graph", "net.zh", "--format", "json", *options, *more).out)
    found = {g["label"] for g in data["groups"] if g["kind"] == "phase"}
    assert found == phases or (more == ["--fused"] and found == phases - {"update"})  # fused into backward kernels
    kernels = [g for g in data["groups"] if g["kind"] == "kernel"]
    assert bool(kernels) == (more == ["--fused"])


def test_bytes_are_for_the_batch_that_is_given(zh: Callable) -> None:
    one, many = (json.loads(zh("graph", "net.zh", "--format", "json", *b).out) for b in ((), ("--batch", "32")))
    assert [n["bytes"] for n in many["nodes"] if n["label"] == "x"] == [2 * 4 * 32]
    assert [n["bytes"] for n in one["nodes"] if n["label"] == "x"] == [2 * 4]


def test_the_number_of_boxes_can_be_chosen(zh: Callable) -> None:
    few, many = (len(zh("graph", "net.zh", "--open", n).out.splitlines()) for n in ("5", "100"))
    assert few < many


def test_an_unknown_ending_is_told(zh: Callable) -> None:
    result = zh("graph", "net.zh", "-o", "net.png")
    assert result.code == 2
    assert "net.png: the name ends in none of .text, .svg" in result.err


def test_a_model_without_a_recipe_has_no_step(zh: Callable) -> None:
    Path("net.zh").write_text(NET[: NET.index("train")])
    result = zh("graph", "net.zh", "--step")
    assert (result.code, result.err) == (2, "error: Net has no recipe, so no step: leave out --step\n")
