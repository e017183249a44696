"""What the comparisons with PyTorch share. The ordinary run, which leaves them out, does not even import PyTorch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

TOLERANCE = 1e-9  # relative, in float64
COMPILED = ("test_recurrent", "test_attention", "test_windows")  # compared on every device; the others with --native


class Agree(Protocol):
    def __call__(self, errors: Mapping[str, float], tolerance: float = TOLERANCE) -> None: ...


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --native, compile only what has loops, products and windows of all kinds."""
    if not config.getoption("--native"):
        items[:] = [i for i in items if not _left_out(i)]


def _left_out(item: pytest.Item) -> bool:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return params.get("device") == "native" and item.path.parent.name == "peers" and item.path.stem not in COMPILED


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = re.fullmatch("(.* and )?not torch( and .*)?", config.getoption("markexpr"))
    return True if left_out and collection_path.name.startswith("test_") else None


@pytest.fixture(autouse=True, params=["reference", "numpy", "native"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every comparison is made for the meaning of the ops and for both kinds of compiled programs."""
    from tests.peers import twin

    monkeypatch.setattr(twin, "DEVICE", request.param)
    return str(request.param)


@pytest.fixture
def agree(record_property: Callable[[str, object], None]) -> Agree:
    """`agree(errors)`: no relative error (name -> number) is above the tolerance; the largest is kept in the report."""

    def check(errors: Mapping[str, float], tolerance: float = TOLERANCE) -> None:
        __tracebackhide__ = True
        worst = max(errors, key=lambda name: errors[name])
        record_property("largest relative error", f"{errors[worst]:.1e} in {worst}, of {len(errors)}")
        wrong = {name: f"{error:.1e}" for name, error in errors.items() if not error <= tolerance}
        assert not wrong, f"relative errors above {tolerance}: {wrong}"

    return check
