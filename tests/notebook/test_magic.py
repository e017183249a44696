"""`%%zh` in a real IPython shell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.test_bundles import SPEC
from zhdsl.errors import SpecError, TrainingError
from zhdsl.notebook.magic import model_of, parsed, variable_of


def test_the_line_names_variable_model_and_settings() -> None:
    said = parsed("net --model Line --set N=3 --set p=0.5 --set deep=true --seed 7 --dtype float64")
    assert said == ("net", "Line", {"N": 3, "p": 0.5, "deep": True}, "float64", 7)
    assert parsed("") == (None, None, {}, None, None)


@pytest.mark.parametrize("line", ["a b", "--sett N=3", "--set N", "--model"])
def test_a_line_that_says_nothing_known_is_refused_with_what_can_be_said(line: str) -> None:
    with pytest.raises(TrainingError, match="help: "):
        parsed(line)


@pytest.mark.parametrize(("name", "variable"), [("TwoSpirals", "two_spirals"), ("GPT2", "gpt2"), ("Line", "line")])
def test_the_variable_is_the_name_in_small_letters(name: str, variable: str) -> None:
    assert variable_of(name) == variable


def test_the_model_of_a_cell_is_loaded_with_its_settings() -> None:
    cell = "const N = 2\nmodel M(x: [B, F=2]) -> [B, N] { return x -> Dense[N] }\n"
    variable, model = model_of("--set N=5", cell)
    assert variable == "m"
    assert model.params["dense.W"].shape == (2, 5)


@pytest.fixture
def shell() -> Any:
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    shell = interactive.InteractiveShell()
    assert shell.run_line_magic("load_ext", "zhdsl") is None
    return shell


def test_a_cell_defines_a_variable_and_shows_the_model(shell: Any) -> None:
    found = shell.run_cell(f"%%zh net\n{SPEC}")
    assert found.success
    assert shell.user_ns["net"] is found.result
    assert shell.run_cell("net.param_count").result == 13
    data, _ = shell.display_formatter.format(found.result)
    assert {"text/plain", "text/html"} <= data.keys()


def test_a_mistake_in_a_cell_is_shown_with_its_place_and_without_a_traceback(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shell.run_cell("%%zh\nmodel M(x: [B, F=2]) -> [B, N=1] { return x -> Dens[1] }\n")
    assert isinstance(found.error_in_exec, SpecError)
    out = capsys.readouterr()
    assert "Dens" in out.out + out.err
    assert "Traceback" not in out.out + out.err
