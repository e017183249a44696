"""Six training steps and inference of six nets, zhdsl beside its peers, interleaved.

    python benchmarks/run.py [--nets mlp] [--device native] [--threads 1 2] [--rounds 15] [--json out.json] [--table]

Every measuring process is started anew with equal settings for all sides (environment.py). What is not installed is
left out with a line that says so. `--table` writes the results into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import environment, sides, table  # noqa: E402
from benchmarks.measure import Plan  # noqa: E402
from benchmarks.workloads import VARIANTS, WORKLOADS  # noqa: E402

PARTS = ("training", "inference", "memory", "compile", "accuracy", "bits")
ALONE = ("memory", "compile")
PAGE = ROOT / "docs" / "benchmarks.md"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    made.add_argument("--nets", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="all by default")
    made.add_argument("--device", nargs="+", help="zhdsl's; the first is compared. By default the fastest there is")
    made.add_argument("--peers", nargs="*", choices=[k.key for k in sides.PEERS], help="all by default")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="all by default")
    made.add_argument("--threads", nargs="+", type=int, default=[os.cpu_count() or 1], help="of every side")
    made.add_argument("--rounds", type=int, default=15)
    made.add_argument("--hand", action="store_true", help="with three steps written by hand in C")
    made.add_argument("--json", type=Path, help="where all results are written")
    made.add_argument("--table", action="store_true", help=f"write the tables into {PAGE.relative_to(ROOT)}")
    made.add_argument("--from", dest="given", type=Path, help="measure nothing, take the results of an earlier --json")
    return made


def devices() -> tuple[str, ...]:
    """zhdsl's devices here, the fastest first, without the reference."""
    from zhdsl.runtime import pipeline

    fastest = pipeline.chosen("auto")
    return (fastest, *(d for d in pipeline.devices() if d not in (fastest, "reference")))


def plans(args: argparse.Namespace) -> Iterator[Plan]:
    """One for each number of threads."""
    chosen = tuple(args.device or devices()[:1])
    peers = tuple(k.key for k in sides.PEERS) if args.peers is None else tuple(args.peers)
    for threads in args.threads:
        yield Plan(tuple(args.nets), chosen, peers, tuple(args.parts), threads, args.rounds, args.hand)


# ---------------------------------------------------------------- processes of their own
def measured(plan: Plan) -> dict[str, Any]:
    """All that one number of threads gives."""
    found: dict[str, Any] = {"threads": plan.threads, "rounds": plan.rounds, "devices": list(plan.devices)}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.json"
        try:
            _python(plan.threads, ["benchmarks.measure", json.dumps(asdict(plan)), str(out)], {})
        except subprocess.CalledProcessError as error:
            found["failed"] = f"measuring ended early, with exit code {error.returncode}"
            print(found["failed"], file=sys.stderr, flush=True)
            if not out.exists():
                raise
        found |= json.loads(out.read_text(encoding="utf-8"))
        for part in ALONE:
            nets = [*plan.nets, *(VARIANTS if part == "compile" else ())] if part in plan.parts else []
            found[part] = {net: dict(_alone(plan, part, net)) for net in nets}
    return found


def _alone(plan: Plan, part: str, net: str) -> Iterator[tuple[str, Any]]:
    """Each side of a net in a process of its own; compiled twice, with an empty cache and with a filled one."""
    for kind in plan.kinds:
        if not kind.has(net, "training") or kind.key == "hand" or (net in VARIANTS and kind.package != "zhdsl"):
            continue
        with tempfile.TemporaryDirectory() as cache:
            runs = [_last_line(plan, part, net, kind.key, cache) for _ in range(2 if part == "compile" else 1)]
        found = runs[0] if part == "memory" else dict(zip(("cold", "cached"), runs, strict=True))
        print(f"{part} of {net}, {kind.label}: {json.dumps(found)}", flush=True)
        yield kind.label, found


def _last_line(plan: Plan, part: str, net: str, side: str, cache: str) -> dict[str, Any]:
    caches = {
        "XDG_CACHE_HOME": cache,
        "TORCHINDUCTOR_CACHE_DIR": f"{cache}/torch",
        "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = ["benchmarks.alone", part, net, side, str(plan.threads)]
    try:
        text = _python(plan.threads, command, caches if part == "compile" else {}, capture=True)
    except subprocess.CalledProcessError as error:
        return {"failed": (error.stderr or "").strip().splitlines()[-1:] or [f"exit code {error.returncode}"]}
    return dict(json.loads(text.splitlines()[-1]))


def _python(threads: int, command: Sequence[str], more: Mapping[str, str], capture: bool = False) -> str:
    """A module in a new process, on as many cores as it has threads."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    settings = environment.settings(threads, os.environ) | {"PYTHONPATH": path} | dict(more)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=settings,
        cwd=ROOT,
        check=True,
        text=True,
        capture_output=capture,
        preexec_fn=lambda: environment.stay_on(threads),
    )
    return done.stdout or ""


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.given:
        report = json.loads(args.given.read_text(encoding="utf-8"))
    else:
        lines = sides.missing(sides.PEERS)
        print(*lines, sep="\n", flush=True)
        report = {"machine": environment.machine(), "missing": lines, "runs": []}
        for plan in plans(args):
            report["runs"].append(measured(plan))
            _write(args.json, report)  # what is measured is kept if the next number of threads fails
    text = table.tables(report)
    print(f"\n{text}")
    if args.table:
        table.write(PAGE, text)
    return int(any("failed" in run for run in report["runs"]))


def _write(path: Path | None, report: Mapping[str, Any]) -> None:
    if path is not None:
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
