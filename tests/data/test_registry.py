"""Data sets by name, and the statics they take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zhdsl.data import Arrays, dataset, fingerprint, known, load
from zhdsl.errors import TrainingError


def test_a_provider_is_found_by_its_name_and_gets_statics_and_folder(tmp_path: Path) -> None:
    @dataset("test_registry_ones")
    def ones(folder: Path, n: int, scale: float = 1.0) -> Arrays:
        assert folder == tmp_path
        return Arrays({"x": np.full(n, scale, np.float32)}, "made")

    assert "test_registry_ones" in known()
    assert load("test_registry_ones", {"n": 2, "scale": 3}, tmp_path).fields["x"].tolist() == [3, 3]
    with pytest.raises(TrainingError, match="the static `n` is missing"):
        load("test_registry_ones", {}, tmp_path)
    with pytest.raises(ValueError, match="registered already"):
        dataset("test_registry_ones")(ones)


@pytest.mark.parametrize(
    ("name", "statics", "message"),
    [
        ("mnist5k", {}, "did you mean `mnist_5k`"),
        ("wmt14", {}, "known: adding"),
        ("two_spirals", {"point": 9}, "did you mean `points`"),
        ("two_spirals", {"points": 97.5}, "`points` = 97.5 is not of kind int"),
        ("two_spirals", {"points": True}, "is not of kind int"),
        ("digit_scenes", {"noise": float("nan")}, "is not of kind float"),
        ("digits", {"folder": "x"}, "no static `folder`"),
        ("digits", {"split": "training"}, "no part `training`"),
    ],
)
def test_a_wrong_name_or_static_is_an_error_with_a_fix(name: str, statics: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        load(name, statics, Path())


GENERATED = (
    "adding",
    "copy",
    "dates",
    "digit_captions",
    "digit_scenes",
    "first_token",
    "moving_digits",
    "number_words",
)
GENERATED += ("reversed", "stick_figures")


@pytest.mark.parametrize("name", GENERATED)
def test_a_seed_decides_generated_data_completely(name: str) -> None:
    first, again, other = (fingerprint(load(name, {"samples": 20, "seed": s}, Path())) for s in (1, 1, 2))
    assert first == again != other


def test_another_process_makes_the_same_bytes() -> None:
    statics: dict[str, int | float | bool | str] = {"samples": 50}
    code = "from zhdsl.data import *; from pathlib import Path; import sys\n"
    code += "for n in sys.argv[1:]: print(fingerprint(load(n, {'samples': 50}, Path())))"
    run = subprocess.run([sys.executable, "-c", code, *GENERATED], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [fingerprint(load(name, statics, Path())) for name in GENERATED]


@pytest.mark.parametrize("name", [n for n in GENERATED if n not in ("number_words",)])
@pytest.mark.parametrize("samples", [0, -1, 10**12, 10**30])
def test_sizes_beyond_reason_are_errors_before_memory_is_taken(name: str, samples: int) -> None:
    with pytest.raises(TrainingError):
        load(name, {"samples": samples}, Path())
