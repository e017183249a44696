"""`zh report` never fails for what a run or its data do not have, and what it says is what the run measured."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zhdsl
from zhdsl.cli.report import page_of
from zhdsl.train.limits import Options
from zhdsl.train.record import RECORD, Recorder
from zhdsl.train.trainer import fit

NET = """\
model Net(x: [B, F=2]) -> logits: [B, K=3] {
  return x -> Dense[6] -> relu -> Dense[3]
}
train Net {
  data = points
  loss = cross_entropy[K](logits, label)
  optimizer = adam[lr = 0.02]
  metric = (acc = accuracy[K](logits, label))
  batch = 8
  epochs = 2
  expect = acc >= 0.0
}
dataset points[file = "points.csv"] -> (x: [B, F=2], label: i32[B])
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    points(30)


def points(count: int, names: tuple[str, ...] = ("ant", "bee", "cat")) -> None:
    rng = np.random.default_rng(1)
    rows = [f"{rng.normal():.3f},{rng.normal():.3f},{names[i % len(names)]}" for i in range(count)]
    Path("points.csv").write_text("\n".join(["x0,x1,label", *rows]) + "\n", encoding="utf-8")


def run(text: str = NET, record: bool = True, **options: Any) -> Path:
    """The folder of a finished run."""
    Path("net.zh").write_text(text, encoding="utf-8")
    model = zhdsl.load("net.zh")
    fit(model, Path("run"), False, Options(**options), None, [], "", Recorder() if record else None)
    return Path("run")


def said(zh: Callable, what: str = "run", *more: str) -> dict[str, Any]:
    """The data of the page."""
    result = zh("report", what, *more)
    assert (result.code, result.err, result.out) == (0, "", "wrote report.html\n")
    text = Path("report.html").read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(found)


def test_a_run_is_told_from_beginning_to_end(zh: Callable) -> None:
    folder = run()
    data = said(zh)
    report = data["report"]
    assert data["title"] == "Net"
    assert [scene["title"] for scene in data["scenes"]] == ["model", "derivative", "kernels"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert report["curves"]["epochs"] == lines
    assert len(report["curves"]["steps"]) == len((folder / RECORD).read_text().splitlines())
    assert report["layers"]["names"] == ["dense.W", "dense.b", "dense2.W", "dense2.b"]
    assert len(report["layers"]["grad"]) == len(report["layers"]["steps"]) == len(report["layers"]["update"])
    assert sum(map(sum, report["confusion"]["counts"])) == report["confusion"]["samples"]
    assert report["confusion"]["names"] == ["ant", "bee", "cat"]
    losses = [float(card["lines"][0].removeprefix("loss ")) for card in report["worst"]]
    assert losses == sorted(losses, reverse=True)
    assert report["run"]["claims"] == ["acc >= 0: holds"]
    assert report["memory"]["peak"]["bytes"] == max(report["memory"]["bytes"])


def test_the_confusion_is_that_of_the_model(zh: Callable) -> None:
    run()
    found = said(zh)["report"]["confusion"]
    counts = np.array(found["counts"])
    accuracy = zhdsl.load("run/best.safetensors", folder=".").evaluate("test")["acc"]
    assert np.trace(counts) / counts.sum() == pytest.approx(accuracy)


def test_time_and_gradients_are_measured_per_operation(zh: Callable) -> None:
    run()
    measures = said(zh)["report"]["measures"]
    assert all(seconds >= 0 for seconds in measures["time"]["model"].values())
    assert sum(measures["time"]["model"].values()) > 0
    assert len(measures["grad"]["model"]) == 4
    shares = measures["dead"]["model"].values()
    assert shares
    assert all(share * 6 == pytest.approx(round(share * 6), abs=1e-5) for share in shares)


def test_what_was_not_recorded_is_said_to_be_so(zh: Callable) -> None:
    run(record=False)
    report = said(zh)["report"]
    assert report["layers"] is None
    assert report["curves"]["steps"] == []
    assert report["curves"]["epochs"]


@pytest.mark.parametrize("names", [("only",), ("a" * 3000, "b"), ("猫", "🙂", "e\u0301"), ("<script>", "&amp;", "'")])
def test_one_class_and_any_names_of_classes(names: tuple[str, ...], zh: Callable) -> None:
    points(30, names)
    run(NET.replace("K=3", f"K={len(names)}").replace("Dense[3]", f"Dense[{len(names)}]"))
    assert sorted(said(zh)["report"]["confusion"]["names"]) == sorted(names)


def test_one_sample(zh: Callable) -> None:
    points(1, ("ant",))
    run()
    report = said(zh)["report"]
    assert report["confusion"]["samples"] == 1
    assert len(report["samples"]) == 1


def test_no_validation(zh: Callable) -> None:
    run(NET.replace("batch = 8", "batch = 8\n  valid = 0"))
    assert said(zh)["report"]["run"]["about"]["samples"] == {"train": 30}


def test_zero_epochs(zh: Callable) -> None:
    run(epochs=0)
    report = said(zh)["report"]
    assert report["curves"] == {"epochs": [], "steps": []}
    assert report["layers"] is None


def test_a_run_that_was_interrupted(zh: Callable) -> None:
    folder = run()
    (folder / "result.json").unlink()
    (folder / "best.safetensors").unlink()
    text = (folder / RECORD).read_text()
    (folder / RECORD).write_text(text[: len(text) - 20])  # cut within a line
    report = said(zh)["report"]
    assert report["run"]["about"]["stopped"] == "not finished"
    assert len(report["curves"]["steps"]) == text.count("\n") - 1


def test_a_run_whose_loss_became_nan(zh: Callable) -> None:
    with pytest.raises(zhdsl.TrainingError):
        run(NET.replace("adam[lr = 0.02]", "sgd[lr = 1e30]"))
    line = {"epoch": 1, "step": 3, "loss": None, "valid": {"loss": None}, "best": False}
    Path("run/metrics.jsonl").write_text(json.dumps(line) + "\n")
    assert said(zh)["report"]["curves"]["epochs"][0]["loss"] is None


def test_weights_that_are_not_finite(zh: Callable) -> None:
    run()
    model = zhdsl.load("run/last.safetensors", folder=".")
    model.params["dense.W"] = np.full((2, 6), np.nan)
    shutil.rmtree("run")
    Path("run").mkdir()
    model.save("run/best.safetensors")
    assert len(said(zh)["report"]["worst"]) > 0


@pytest.mark.parametrize("name", ["metrics.jsonl", "run.json", "result.json", RECORD, "timing.jsonl"])
def test_a_damaged_file_is_left_out(name: str, zh: Callable) -> None:
    folder = run()
    for content in ("", "[1]\n{", '{"epoch": 1}\n', '{"metrics": 3, "layers": {"a": 4}}\n'):
        (folder / name).write_text(content, encoding="latin-1")
        assert said(zh)["report"]["memory"]


def test_data_that_are_gone(zh: Callable) -> None:
    run()
    Path("points.csv").unlink()
    report = said(zh)["report"]
    assert "confusion" not in report
    assert report["layers"]


def test_a_spec_without_a_run(zh: Callable) -> None:
    Path("net.zh").write_text(NET)
    report = said(zh, "net.zh")["report"]
    assert report["run"] is None
    assert list(report["sections"]) == ["memory"]


@pytest.mark.parametrize(
    "text",
    [
        "model M(x: [B, F=2]) -> y: [B, F=2] { return x }",
        "model M(x: []) -> y: [] { return x * 2 }",
        f"model {'M' * 200}(x: [B, F=2]) -> y: [B, F=2] {{ return x -> Dense[2] }}",
    ],
)
def test_any_model(text: str, zh: Callable) -> None:
    Path("名前 <é>.zh").write_text(f"# 名前 🙂 </script>\n{text}", encoding="utf-8")
    assert said(zh, "名前 <é>.zh")["scenes"][0]["items"]["label"]


def test_a_folder_without_a_run_is_told(zh: Callable) -> None:
    Path("empty").mkdir()
    result = zh("report", "empty")
    assert result.code == 2
    assert "empty is not the folder of a run" in result.err


def test_the_same_run_is_the_same_page_but_for_measured_time() -> None:
    run()
    model = zhdsl.load("run/best.safetensors", folder=".")
    one, two = (re.sub(r'"time":\{.*?\}\}', "", page_of(model, Path("run"))) for _ in range(2))
    assert one == two
