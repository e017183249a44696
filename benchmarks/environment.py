"""The process that measures: the same threads and settings for all sides, set before anything is loaded; the machine.

OpenBLAS, OpenMP and XLA read their settings when they are loaded, so whatever measures is a process of its own.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

HALVING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some machines set them; they choose slower kernels of OpenBLAS
PACKAGES = ("zhdsl", "numpy", "torch", "jax", "jaxlib", "onnxruntime", "scipy-openblas32")
SPIN = "100000"  # rounds that waiting threads of GNU OpenMP spin before they sleep


def settings(threads: int, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that measures with so many threads."""
    kept = {name: value for name, value in environ.items() if name not in HALVING}
    count = str(threads)
    kept |= {"OPENBLAS_NUM_THREADS": count, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    kept |= {"GOMP_SPINCOUNT": SPIN, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return kept


def cores(threads: int) -> set[int] | None:
    """The cores to stay on, so that pools that count cores have as many threads; `None` where that cannot be said."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return set(allowed[:threads])


def stay_on(threads: int) -> None:
    """Keeps this process on as many cores as it has threads."""
    places = cores(threads)
    if places is not None:
        os.sched_setaffinity(0, places)


def machine() -> dict[str, str]:
    """What figures are taken on: processor, cores, versions."""
    found = {"processor": _processor(), "cores": str(os.cpu_count())}
    found |= {"system": f"{platform.system()} {platform.machine()}", "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The model's name and its widest vectors. Cloud machines often hide the former."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    fields = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in reversed(lines))}
    name = fields.get("model name") or platform.processor() or platform.machine()
    flags = fields.get("flags", "").split()
    wide = next((label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    numbers = [f"family {fields['cpu family']}, model {fields['model']}"] if "cpu family" in fields else []
    return ", ".join([name, *numbers, *([wide] if wide else [])])
