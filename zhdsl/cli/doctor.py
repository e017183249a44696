"""`zh doctor`: what this machine and this installation have, and what is missing; or what hinders a model's training.

Changes nothing but the cache folder: a probe file is written and removed, and what is found out about the compiler is
remembered there, as every other command remembers it.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import click

from zhdsl import __version__
from zhdsl.cli.specs import setting_option
from zhdsl.cli.terminal import printable
from zhdsl.errors import ZhError

PACKAGES = ("numpy", "lark", "networkx", "click", "rich", "safetensors")
GPU_PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
VECTORS = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("sve", "SVE"), ("asimd", "NEON"), ("sse2", "SSE2"))

# SHA-256 of the files in zhdsl/data/bundled/.
BUNDLED = {
    "digits.npz": "63bd2a94fef641400312231c859eec64289d2b7776976242f1f60d08eab215dd",
    "mnist_5k.npz": "c365c975d1d17af21f7092b3e61f8ca8a32d63afb7ad059146e5888b3bb139bd",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `bad` makes the exit code 1, `note` is worth knowing and hinders nothing."""

    name: str
    state: Literal["ok", "note", "bad"]
    text: str
    help: str = ""


def python() -> Finding:
    """Version and place of the interpreter."""
    text = f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable or 'embedded'}"
    return Finding("python", "ok", text)


def packages() -> Finding:
    """Versions of what zhdsl needs."""
    versions = {name: version(name) for name in PACKAGES}
    missing = [name for name in PACKAGES if not versions[name]]
    text = ", ".join(f"{name} {versions[name] or 'missing'}" for name in PACKAGES)
    if missing:
        return Finding("packages", "bad", text, f"python -m pip install {' '.join(missing)}")
    return Finding("packages", "ok", text)


def blas() -> Finding:
    """The library that computes NumPy's matrix products, and a setting that may slow it down."""
    import numpy as np

    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    text = f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()
    if forced := os.environ.get("OPENBLAS_CORETYPE"):
        help = "kernels for another processor may be slower; unset it to let OpenBLAS choose"
        return Finding("blas", "note", f"{text}, with OPENBLAS_CORETYPE={forced}", help)
    return Finding("blas", "ok", text)


def processor() -> Finding:
    """Cores this process may use, and the widest vectors."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    about = dict(fields(Path("/proc/cpuinfo")))
    flags = about.get("flags", about.get("Features", "")).split()
    vectors = next((text for flag, text in VECTORS if flag in flags), "no wide vectors known")
    name = about.get("model name", platform.machine())
    return Finding("processor", "ok", f"{cores} core{'s' * (cores != 1)}, {vectors}, {name}")


def memory() -> Finding:
    """Memory of the machine, or of the container if that has less, and what is free of it (GiB)."""
    about = dict(fields(Path("/proc/meminfo")))
    if "MemTotal" not in about:
        return Finding("memory", "note", "unknown on this system")
    total, free = (int(about[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    limit = first_line(Path("/sys/fs/cgroup/memory.max"))
    total = min(total, int(limit)) if limit.isdigit() else total
    return Finding("memory", "ok", f"{total / 2**30:.1f} GiB, {min(free, total) / 2**30:.1f} GiB free")


def compiler() -> Finding:
    """The C compiler for the native backend: found and tried out as that does it."""
    from zhdsl.backends.native import toolchain

    if reason := toolchain.reason():
        help = "compiled training needs a working gcc or clang (CC chooses one); until then NumPy computes, slower"
        return Finding("compiler", "note", reason, help)
    found = toolchain.find()
    text = f"{' '.join(found.command)}, {found.version}, vectors of {found.vector_bytes} bytes"
    return Finding("compiler", "ok", text)


def gpu() -> Finding:
    """The NVIDIA driver with its devices, and CuPy. Their absence hinders nothing."""
    cupy = next((f"{name} {found}" for name in GPU_PACKAGES if (found := version(name))), "")
    devices = cuda_devices()
    text = f"{', '.join(devices) or 'no NVIDIA device'}; {cupy or 'no CuPy'}"
    if devices and not cupy:
        return Finding("gpu", "note", text, "python -m pip install 'zhdsl[cuda]' to use it")
    return Finding("gpu", "ok" if devices else "note", text)


def cache() -> Finding:
    """The folder for compiled kernels: the user's own, and a file can be written there."""
    from zhdsl.runtime.files import cache_folder, write_whole

    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return Finding("cache", "bad", f"{folder}: {error.strerror}", "set ZH_CACHE to a folder you can write")
    if folder.stat().st_mode & 0o022:
        return Finding("cache", "bad", f"{folder}: others may write there", "chmod go-w it, or set ZH_CACHE to another")
    probe = folder / f"probe-{os.getpid()}"
    write_whole(probe, b"zh doctor\n")
    probe.unlink()
    return Finding("cache", "ok", str(folder))


def data() -> Finding:
    """The bundled data sets are byte for byte those that were released."""
    from hashlib import sha256
    from importlib.resources import files

    folder = files("zhdsl.data") / "bundled"
    wrong = []
    for name, wanted in BUNDLED.items():
        try:
            found = sha256((folder / name).read_bytes()).hexdigest()
        except OSError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} is {'missing' if found == 'missing' else 'damaged'}")
    if wrong:
        return Finding("data", "bad", ", ".join(wrong), "install zhdsl again")
    return Finding("data", "ok", ", ".join(BUNDLED))


CHECKS: tuple[Callable[[], Finding], ...] = (
    python,
    packages,
    blas,
    processor,
    memory,
    compiler,
    gpu,
    cache,
    data,
)


def examine(check: Callable[[], Finding]) -> Finding:
    """Runs one check; what it cannot find out is a finding too."""
    try:
        return check()
    except (ZhError, OSError) as error:
        return Finding(check.__name__, "bad", str(error))


def version(package: str) -> str:
    """Version of an installed package; empty if it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def fields(path: Path) -> Iterator[tuple[str, str]]:
    """`name : value` lines of a file of the kernel; none, if there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(":")
        yield name.strip(), value.strip()


def first_line(path: Path) -> str:
    """First line of a file; empty if there is no such file."""
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        return ""


def cuda_devices() -> list[str]:
    """Names of the devices that the NVIDIA driver shows; none without a driver. Asks the driver itself, not CuPy."""
    import ctypes

    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    found = []
    for number in range(count.value):
        if not driver.cuDeviceGetName(name, len(name), number):
            found.append(name.value.decode(errors="replace"))
    return found


def table(findings: list[Finding]) -> Iterator[str]:
    """One line for each finding, and one for its help."""
    wide = max(len(f.name) for f in findings)
    for finding in findings:
        yield f"{finding.state:<5} {finding.name:<{wide}}  {finding.text}"
        if finding.help:
            yield f"{'':<5} {'':<{wide}}  help: {finding.help}"


def as_json(findings: list[Finding]) -> str:
    """The same for programs: `{"zhdsl": …, "ok": …, "findings": [{"name", "state", "text", "help"}, …]}`."""
    import json

    holds = all(f.state != "bad" for f in findings)
    return json.dumps({"zhdsl": __version__, "ok": holds, "findings": [asdict(f) for f in findings]}, indent=2)


@click.command()
@click.argument("spec", metavar="[SPEC|RUN]", required=False)
@click.option("--recipe", metavar="NAME", help="Which recipe, if the spec has several.")
@setting_option
@click.option("--json", "json_", is_flag=True, help="Print the findings as JSON.")
def doctor(spec: str | None, recipe: str | None, settings: dict[str, Any], json_: bool) -> int:
    """Report on this machine, or on what hinders a model's training.

    Without a file it looks at Python, packages, BLAS, processor, memory, C
    compiler, GPU, cache folder and bundled data. The exit code is 1 if something
    that zhdsl needs is missing or damaged, else 0.

    For a spec it measures activations and gradients by depth and through time on
    batches of the recipe's data at the first weights, takes a few steps, and
    names the lines that make units saturate or die, gradients vanish or explode,
    that leave the input as it is or set too large a learning rate. For a run it
    measures at the trained weights. The exit code is 1 if anything was found.
    """
    if spec is not None:
        return examined(spec, recipe, settings, json_)
    findings = [Finding("zhdsl", "ok", __version__), *map(examine, CHECKS)]
    click.echo(as_json(findings) if json_ else printable("\n".join(table(findings))))
    return int(any(f.state == "bad" for f in findings))


def examined(spec: str, recipe: str | None, settings: dict[str, Any], json_: bool) -> int:
    """Diagnoses a spec or a run and prints what was found."""
    from zhdsl.cli import trainability
    from zhdsl.diagnose import diagnose

    model, trained = trainability.opened(spec, recipe, settings)
    diagnosis = diagnose(model, descend=not trained)
    report = (
        trainability.as_json(diagnosis, model) if json_ else "\n".join(trainability.text(diagnosis, model, trained))
    )
    click.echo(report if json_ else printable(report))
    return int(bool(diagnosis.findings))
