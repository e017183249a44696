"""Texts of the golden tests as sessions, and gradients of their results, in float64 on the reference of the ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import zhdsl as zh
from zhdsl.runtime import pipeline
from zhdsl.runtime.session import Session
from zhdsl.runtime.step import gradient_graph

HERE = Path(__file__).parent
SPECS = HERE.parent.parent / "specs"
Array = npt.NDArray[Any]


def session(source: str | Path, name: str | None = "M") -> Session:
    """A text or a file as a model."""
    return zh.load(source, name, device="reference", dtype="float64")


def gradients(
    m: Session, wrt: Sequence[str], given: Mapping[str, Any], cotangents: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """Gradients of the results of a model, each weighted by its cotangent (result name -> array)."""
    graph = gradient_graph(m.spec.model, wrt)
    arrays = {("data", name): np.asarray(value, np.float64) for name, value in given.items()}
    arrays |= {("data", f"d{name}"): np.asarray(value, np.float64) for name, value in (cotangents or {}).items()}
    arrays |= m.held(graph, {})
    found = pipeline.compile_graph(graph, "reference", "float64").run(arrays)
    return {name: array for (role, name), array in found.items() if role == "grad"}
