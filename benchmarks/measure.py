"""The process that times: all sides of a net in turn, after it is shown that they compute the same.

Started by run.py with its settings. In: a `Plan` as JSON on the command line. Out: results as JSON in a file, written
after each net.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sides, timing
from benchmarks.bits import digests
from benchmarks.flops import products
from benchmarks.peak import peak
from benchmarks.sides import Kind
from benchmarks.workloads import Start, start_of

PARTS = ("training", "inference", "accuracy", "bits")
LOSS = 1e-5  # largest relative difference of two losses, and of logits


@dataclass(frozen=True)
class Plan:
    """What is measured: nets, zhdsl's devices (the first is held against the peers), peers, parts."""

    nets: tuple[str, ...]
    devices: tuple[str, ...]
    peers: tuple[str, ...]
    parts: tuple[str, ...]
    threads: int
    rounds: int
    hand: bool

    @property
    def kinds(self) -> list[Kind]:
        """All sides that are asked for and installed, zhdsl first."""
        peers = [k for k in sides.PEERS if k.key in self.peers and sides.installed(k.package)]
        return [*map(sides.zhdsl_on, self.devices), *peers, *([sides.HAND] if self.hand else [])]


Told = Callable[[str], None]


def run(plan: Plan, tell: Told, keep: Callable[[dict[str, Any]], None]) -> None:
    """Measures; `tell` gets a line for each thing that is known, `keep` the results so far."""
    rate, how = peak(plan.threads)
    found: dict[str, Any] = {"peak": {"flops": rate, "how": how}, **{part: {} for part in PARTS}}
    tell(f"peak of {plan.threads} threads: {rate / 1e9:.0f} GFLOP/s ({how})")
    keep(found)
    for name in plan.nets:
        start = start_of(name)
        for part in ("training", "inference"):
            if part in plan.parts:
                found[part][name] = compared(plan, start, part, rate, tell)
                keep(found)
                gc.collect()
        if "accuracy" in plan.parts and sides.installed("torch"):
            found["accuracy"][name] = _accuracy(plan, start, tell)
            keep(found)
        if "bits" in plan.parts:
            found["bits"][name] = digests(start, plan.devices[0])
            tell(f"bits of {name}: {' and '.join(found['bits'][name])}")
            keep(found)


# ---------------------------------------------------------------- one net, all sides
def compared(plan: Plan, start: Start, part: str, rate: float, tell: Told) -> dict[str, Any]:
    """Times and ratios of one net."""
    made, left_out = _made(plan.kinds, start, part, plan.threads)
    for label, why in left_out.items():
        tell(f"{start.work.name}: without {label}: {why}")
    check = _steps_agree if part == "training" else _logits_agree
    checked = check(made, start)
    agreeing = {label: side for label, side in made.items() if checked[label]["agrees"]}
    for label in made.keys() - agreeing.keys():
        tell(f"{start.work.name}: no ratio with {label}, it computes something else: {checked[label]}")
    samples = timing.interleaved(agreeing, plan.rounds)
    result = _ratios(plan, samples)
    result |= {"checked": checked, "left_out": left_out, "flops": products(start, part == "training")}
    ours = sides.zhdsl_on(plan.devices[0]).label
    result["share_of_peak"] = result["flops"] / result["sides"][ours]["median"] / rate
    tell(f"{part} of {start.work.name}: {summary(result)}")
    return result


def _made(kinds: Iterable[Kind], start: Start, part: str, threads: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The sides of a net by label, and why the others are not there. zhdsl must be."""
    made, left_out = {}, {}
    for kind in kinds:
        if not kind.has(start.work.name, part):
            continue
        try:
            side = getattr(kind, part)(start, threads)
            side()  # what cannot run here often says so only now
        except Exception as error:  # a peer that does not work here must not end the run
            if kind.package == "zhdsl":
                raise
            left_out[kind.label] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        else:
            made[kind.label] = side
    return made, left_out


def _steps_agree(made: Mapping[str, Any], start: Start) -> dict[str, dict[str, Any]]:
    """Loss and momenta (gradient + decay) of the first step, which all sides have just made, against zhdsl's.

    Every side makes a second step here, whose loss is compared: it depends on the first update.
    """
    ours = next(iter(made.values()))
    momenta = {path: array.copy() for path, array in ours.momenta().items()}
    errors = {label: sides.largest_error(side.momenta(), side.carried(momenta)) for label, side in made.items()}
    losses = {label: side() for label, side in made.items()}
    wanted = losses[next(iter(made))]
    found = {}
    for label, (error, tensor) in errors.items():
        off = abs(losses[label] - wanted) / abs(wanted)
        agrees = bool(error <= start.work.noise and off <= max(LOSS, start.work.noise / 100))
        found[label] = {"agrees": agrees, "gradient_error": error, "tensor": tensor, "loss_error": off}
    return found


def _logits_agree(made: Mapping[str, Any], start: Start) -> dict[str, dict[str, Any]]:
    logits = {label: np.asarray(side(), np.float64) for label, side in made.items()}
    wanted = next(iter(logits.values()))
    found = {}
    for label, values in logits.items():
        same = values.shape == wanted.shape
        error = float(np.abs(values - wanted).max() / np.abs(wanted).max()) if same else float("inf")
        found[label] = {"agrees": error <= LOSS, "logit_error": error}
    return found


def _ratios(plan: Plan, samples: timing.Samples) -> dict[str, Any]:
    """Medians, and for each peer its time / ours; the best peer is the one with the smallest median."""
    ours = sides.zhdsl_on(plan.devices[0]).label
    peers = [k.label for k in sides.PEERS if k.label in samples]
    result: dict[str, Any] = {"sides": {label: asdict(timing.spread(values)) for label, values in samples.items()}}
    result["samples"] = samples
    result["ratios"] = {
        label: asdict(timing.ratio(samples, ours, label)) for label in samples if label != ours and label in peers
    }
    torch = [k.label for k in sides.PEERS if k.label in peers and k.package == "torch"]
    result |= {key: timing.best(samples, names) for key, names in (("best", peers), ("best_torch", torch)) if names}
    if sides.HAND.label in samples:
        result["of_hand"] = asdict(timing.ratio(samples, ours, sides.HAND.label))
    return result


def summary(result: Mapping[str, Any]) -> str:
    """One line: all medians, the ratio to the best peer."""
    times = ", ".join(f"{label} {s['median'] * 1e3:.3f} ms" for label, s in result["sides"].items())
    if "best" not in result:
        return f"{times}; no peer, no ratio"
    r = result["ratios"][result["best"]]
    return f"{times}; {result['best']} / ours {r['median']:.2f} ({r['low']:.2f} to {r['high']:.2f})"


def _accuracy(plan: Plan, start: Start, tell: Told) -> dict[str, Any]:
    from benchmarks.accuracy import accuracy, as_json

    found = accuracy(start, plan.devices[0], plan.threads)
    note = "" if found.decided else "; a mask may have flipped"
    tell(f"accuracy of {start.work.name}: {found.ratio:.2f} times PyTorch's error at most ({found.tensor}){note}")
    return as_json(found)


def main() -> int:
    plan_text, out = sys.argv[1], Path(sys.argv[2])
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(plan_text).items()}
    run(Plan(**given), lambda line: print(line, flush=True), lambda found: _write(out, found))
    return 0


def _write(out: Path, found: Mapping[str, Any]) -> None:
    beside = out.with_suffix(".part")
    beside.write_text(json.dumps(found), encoding="utf-8")
    beside.replace(out)


if __name__ == "__main__":
    sys.exit(main())
