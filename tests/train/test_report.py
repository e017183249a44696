"""Progress is a line for an epoch where it is kept, a bar where someone watches, and never a trap for the terminal."""

from __future__ import annotations

import io
from pathlib import Path

from tests.train.runs import run
from zhdsl.train.report import Bar, Lines, Silent, for_stream, told

RECORD = {"epoch": 2, "step": 9, "loss": 0.125, "valid": {"loss": 0.25, "acc": 0.9, "each": [1, 2]}, "best": True}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_record_is_told_in_one_line() -> None:
    assert told(RECORD) == "loss 0.125  valid: loss 0.25, acc 0.9, each [1, 2]  best"
    assert told({"epoch": 1, "step": 1, "loss": 0.5, "train": {"loss": None}, "best": False}) == (
        "loss 0.5  train: loss None"
    )


def test_a_run_tells_its_parts_and_its_epochs() -> None:
    out = io.StringIO()
    run(None, epochs=3, reporters=[Lines(out, quiet=0)])
    lines = out.getvalue().splitlines()
    assert lines[0] == "train: 42, valid: 9, test: 9 samples"
    assert [line.split("  ")[0] for line in lines if line.startswith("epoch")] == [
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
    ]


def test_fast_epochs_show_the_first_and_the_last() -> None:
    out = io.StringIO()
    lines = Lines(out, quiet=1000)
    lines.begin("M", 5, 1)
    for epoch in range(1, 6):
        lines.epoch({**RECORD, "epoch": epoch}, epoch == 5)
    assert [line[:9] for line in out.getvalue().splitlines()] == ["epoch 1/5", "epoch 5/5"]


def test_a_terminal_gets_a_bar_and_the_same_lines() -> None:
    assert isinstance(for_stream(Terminal()), Bar)
    assert isinstance(for_stream(io.StringIO()), Lines)
    assert not isinstance(for_stream(io.StringIO()), Bar)
    out = Terminal()
    run(None, epochs=2, reporters=[Bar(out)])
    assert "epoch 2/2  loss" in out.getvalue()


def test_a_bar_that_never_began_can_end_and_speak() -> None:
    out = Terminal()
    bar = Bar(out)
    bar.step(0, 0, 1.0)
    bar.note("[red]as it is[/red]")
    bar.end()
    assert out.getvalue() == "[red]as it is[/red]\n"


def test_markup_in_names_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    out = Terminal()
    bar = Bar(out)
    bar.begin("[bold]M", 1, 1)
    bar.note("[red]a note")
    bar.end()
    assert "[red]a note" in out.getvalue()


def test_the_silent_one_says_nothing(capsys: object) -> None:
    run(None, epochs=1, reporters=[Silent()])
    assert capsys.readouterr() == ("", "")  # type: ignore[attr-defined]
