"""`--detect-anomaly` names the first op and line that made a NaN or an infinity: forward, backward, in loops."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import zhdsl as zh
from zhdsl.errors import TrainingError

RECIPE = """
train Net {
  data = rows
  loss = LOSS
  optimizer = sgd[lr = RATE]
  batch = 4
  epochs = 3
  valid = 0
}
"""


class Planted(NamedTuple):
    """A net whose marked line fails, and what is to be said of it: the op, the role, the step of a loop."""

    body: str
    op: str
    role: str = "forward"
    loop: str = ""
    loss: str = "mse(p, y)"
    rate: str = "0.1"


PLANTED = {
    "log of 0": Planted("  h = x -> Dense[3, weight = zeros]\n  return log(sum[D](h))  # here", "log"),
    "log of a negative number": Planted(
        "  h = x -> Dense[1, weight = zeros, bias = constant[-1]]\n  return sum[D](log(h))  # here", "log"
    ),
    "0 / 0": Planted("  h = x -> Dense[3, weight = zeros]\n  return sum[D](h / sum[D](h))  # here", "div"),
    "overflow": Planted(
        "  h = x -> Dense[3, weight = zeros, bias = constant[50]]\n  return sum[D](exp(2 * h))  # here", "exp"
    ),
    "overflow of a power": Planted(
        "  h = x -> Dense[3, weight = zeros, bias = constant[1e10]]\n  return sum[D](h ^ 4)  # here", "ipow"
    ),
    "in the loss": Planted(
        "  return sum[D](x -> Dense[1, weight = zeros])", "log", loss="-mean(log(p))  # here"
    ),
    "the slope of a root at 0": Planted(
        "  h = x -> Dense[3, weight = zeros]\n  return sqrt(sum[D](h ^ 2))  # here", "div", "backward"
    ),
    "the infinite slope of a root at 0": Planted(
        "  h = x -> Dense[3, weight = zeros]\n  return sqrt(sum[D](h ^ 2))  # here",
        "div",
        "backward",
        loss="mse(p, 1 + y)",
    ),
    "in a loop": Planted(
        "  param w: [D=2] = ones\n"
        "  h = scan t over T = 6 from s = x * w {\n"
        "    s = s * 1e10  # here\n"
        "    emit last s\n"
        "  }\n  return sum[D](h)",
        "mul",
        loop="T=3",
    ),
    "in a loop over the data": Planted(
        "  param w: [D=2] = constant[-1]\n"
        "  h = scan t over T = 5 from s = w + 2.5 {\n"
        "    s = s - 1\n"
        "    z = log(s)  # here\n"
        "    emit z\n"
        "  }\n  return sum[D, T](h * x)",
        "log",
        loop="T=1",
    ),
    "backward in a loop": Planted(
        "  param w: [D=2] = zeros\n"
        "  h = scan t over T = 5 from s = w {\n"
        "    z = sqrt(s)  # here\n"
        "    s = s + 1\n"
        "    emit z\n"
        "  }\n  return sum[D, T](h * x)",
        "div",
        "backward",
        loop="T=0",
    ),
    "in the update": Planted(
        "  return sum[D](x -> Dense[1, weight = constant[1e15]])", "mul", rate="1e30  # here"
    ),
}  # fmt: skip


def spec(planted: Planted) -> str:
    rate, _, here = planted.rate.partition("  ")
    recipe = RECIPE.replace("LOSS", planted.loss).replace("RATE]", f"{rate}]  {here}")
    return (
        'dataset rows[file = "rows.csv"] -> (x: [B, D=2], y: [B])\n\n'
        f"model Net(x: [B, D=2]) -> p: [B] {{\n{planted.body}\n}}\n{recipe}"
    )


def data() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {"x": draw.uniform(0.5, 1.0, (8, 2)).astype(np.float32), "y": np.zeros(8, np.float32)}


def line_of(text: str) -> int:
    (line,) = (i for i, line in enumerate(text.splitlines(), 1) if "# here" in line)
    return line


@pytest.mark.parametrize("name", PLANTED)
def test_the_op_and_the_line_of_a_planted_anomaly_are_named(name: str, tmp_path: Path) -> None:
    planted = PLANTED[name]
    text = spec(planted)
    (tmp_path / "net.zh").write_text(text, encoding="utf-8")
    m = zh.load(tmp_path / "net.zh")
    before = {key: array.copy() for key, array in m.arrays.items()}
    with pytest.raises(TrainingError) as raised:
        m.fit(data=data(), reporters=[], detect_anomaly=True)
    message = str(raised.value)
    found = re.search(r"\n  (\w+)( \(\S+\))? gives .*from net\.zh:(\d+):\d+ \((\w+)\)", message)
    assert found, message
    assert (found[1], int(found[3]), found[4]) == (planted.op, line_of(text), planted.role), message
    assert (f"at step {planted.loop}," in message) == bool(planted.loop), message
    assert message.startswith("step 0 (epoch 1, batch 1): ")
    assert all(np.array_equal(m.arrays[key], array) for key, array in before.items())


def test_a_gradient_that_is_not_finite_is_found_a_step_earlier_than_by_the_loss(tmp_path: Path) -> None:
    (tmp_path / "net.zh").write_text(spec(PLANTED["the slope of a root at 0"]), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"^step 1 \(epoch 1, batch 2\): the loss is nan"):
        zh.load(tmp_path / "net.zh").fit(data=data(), reporters=[])
    with pytest.raises(TrainingError, match=r"^step 0 \(epoch 1, batch 1\): the new value of dense\.W .*is not finite"):
        zh.load(tmp_path / "net.zh").fit(data=data(), reporters=[], detect_anomaly=True)


def test_a_run_in_which_nothing_happens_is_the_same_with_and_without(tmp_path: Path) -> None:
    text = spec(Planted("  return sum[D](x -> Dense[3] -> tanh -> Dense[1])", ""))
    (tmp_path / "net.zh").write_text(text, encoding="utf-8")
    runs = []
    for watched in (False, True):
        m = zh.load(tmp_path / "net.zh")
        m.fit(data=data(), reporters=[], detect_anomaly=watched)
        runs.append({key: array.tobytes() for key, array in m.arrays.items()})
    assert runs[0] == runs[1]


def test_the_command_stops_with_the_exit_code_of_training(
    tmp_path: Path, zh_main: Callable[..., tuple[int, str]]
) -> None:
    import csv

    text = spec(PLANTED["overflow"])
    (tmp_path / "net.zh").write_text(text, encoding="utf-8")
    fields = data()
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["x0", "x1", "y"], *([*x, y] for x, y in zip(fields["x"], fields["y"], strict=True))]
        )
    arguments = ("train", str(tmp_path / "net.zh"), "--detect-anomaly", "--quiet", "--out", str(tmp_path / "runs"))
    code, err = zh_main(*arguments)
    assert code == 4
    assert f"from net.zh:{line_of(text)}:" in err


@pytest.fixture
def zh_main(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    from zhdsl.cli.main import main

    def run(*args: str) -> tuple[int, str]:
        capfd.readouterr()
        code = main(args)
        return code, capfd.readouterr().err

    return run
