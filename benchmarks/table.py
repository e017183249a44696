"""Results as Markdown: tables between two marks of a page, with the machine and the versions beside the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sides import HAND, PEERS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
Result = Mapping[str, Any]


def tables(report: Result) -> str:
    """All tables of a report."""
    machine = report["machine"]
    parts = [f"Measured on {machine['processor']}, {machine['cores']} cores, {machine['system']}."]
    parts.append(", ".join(f"{name} {version}" for name, version in machine.items() if name not in NOT_VERSIONS) + ".")
    parts += report["missing"]
    for run in report["runs"]:
        parts += [part for part in _run(run) if part]
    if any(run.get("bits") for run in report["runs"]):
        parts.append(
            "**Bits** of loss, weights, momenta and states after two steps, over 20 runs for each number of threads."
        )
        parts.append(_bits(report["runs"]))
    return "\n\n".join(parts) + "\n"


NOT_VERSIONS = ("processor", "cores", "system")


def write(page: Path, text: str) -> None:
    """Puts the tables between the marks of a page; what stands around them stays.

    Raises:
        ValueError: the page has no marks.
    """
    old = page.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} and {END}")
    beside = page.with_suffix(".part")
    beside.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
    beside.replace(page)


def _run(run: Result) -> Iterable[str]:
    device = run["devices"][0]
    threads = f"{run['threads']} thread{'s' if run['threads'] > 1 else ''}"
    yield f"### {threads}, `--device {device}`"
    peak = run["peak"]
    if "failed" in run:
        yield f"**{run['failed']}**"
    yield f"Peak of float32 arithmetic: {peak['flops'] / 1e9:.0f} GFLOP/s ({peak['how']}). {run['rounds']} rounds."
    for part, title in (("training", "Training step"), ("inference", "Inference")):
        if run.get(part):
            yield f"**{title}**: milliseconds, median (quartiles); ratio: best peer's time / zhdsl's, round by round."
            yield _times(run[part], f"zhdsl {device}")
    if run.get("memory"):
        yield "**Memory of a training step**: megabytes of resident set, weights and momenta among them."
        yield _memory(run["memory"], f"zhdsl {device}")
    if run.get("compile"):
        yield "**From the weights to the first loss**: seconds, without a step's own; empty cache / filled cache."
        yield _compile(run["compile"], f"zhdsl {device}")
    if run.get("accuracy"):
        yield "**Accuracy**: errors of float32 gradients against PyTorch's in float64 (L2 norm), tensor by tensor."
        yield _accuracy(run["accuracy"])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns after the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _labels(results: Iterable[Result], ours: str) -> list[str]:
    """The sides that have a column: zhdsl, its other devices, peers in their order, by hand."""
    there = dict.fromkeys(label for r in results for label in r)
    last = [label for label in (*(k.label for k in PEERS), HAND.label) if label in there]
    return [ours, *(label for label in there if label not in (ours, *last)), *last]


def _times(nets: Result, ours: str) -> str:
    labels = _labels((r["sides"] for r in nets.values()), ours)
    hand = [HAND.label] if HAND.label in labels else []
    head = ["net", *labels, "best peer", "ratio", "to PyTorch", *(["of by hand"] if hand else []), "of peak"]
    return markdown(head, [_times_row(net, r, labels, bool(hand)) for net, r in nets.items()])


def _times_row(net: str, r: Result, labels: Sequence[str], hand: bool) -> list[str]:
    cells = [_spread(r["sides"].get(label), 1e3) for label in labels]
    best = r.get("best")
    ratio = f"**{_spread(r['ratios'][best], 1)}**" if best else "–"
    torch = _short(r["ratios"][r["best_torch"]]["median"]) if "best_torch" in r else "–"
    of_hand = [_percent(r["of_hand"]["median"]) if "of_hand" in r else "–"] if hand else []
    return [net, *cells, best or "–", ratio, torch, *of_hand, _percent(r["share_of_peak"])]


def _memory(nets: Result, ours: str) -> str:
    labels = _labels(nets.values(), ours)
    head = ["net", *labels, "predicted", "of PyTorch's least"]
    return markdown(head, [_memory_row(net, r, labels, ours) for net, r in nets.items()])


def _memory_row(net: str, r: Result, labels: Sequence[str], ours: str) -> list[str]:
    cells = [_megabytes(r.get(label, {}).get("bytes")) for label in labels]
    torch = [r[k.label]["bytes"] for k in PEERS if k.package == "torch" and "bytes" in r.get(k.label, {})]
    mine = r.get(ours, {}).get("bytes")
    share = f"**{mine / min(torch):.2f}**" if torch and mine else "–"
    return [net, *cells, _megabytes(r.get(ours, {}).get("predicted")), share]


def _compile(nets: Result, ours: str) -> str:
    labels = _labels(nets.values(), ours)
    rows = []
    for net, r in nets.items():
        both = [" / ".join(_seconds(r.get(label, {}).get(when)) for when in ("cold", "cached")) for label in labels]
        another = r.get(ours, {}).get("cached", {}).get("another_batch")
        rows.append([net, *both, "–" if another is None else f"{another:.3f}"])
    return markdown(["net", *labels, "another batch size"], rows)


def _accuracy(nets: Result) -> str:
    head = ["net", "zhdsl's largest", "PyTorch's largest", "largest ratio", "its tensor", "median ratio", "masks"]
    return markdown(head, [_accuracy_row(net, r) for net, r in nets.items()])


def _accuracy_row(net: str, r: Result) -> list[str]:
    masks = "none" if r["margin"] is None else "pinned" if r["decided"] else "**not pinned**"
    errors = [f"{r['ours']:.1e}", f"{r['theirs']:.1e}", f"**{r['ratio']:.2f}**"]
    return [net, *errors, f"`{r['tensor']}`", f"{r['median']:.2f}", masks]


def _bits(runs: Sequence[Result]) -> str:
    """Whether all runs with all numbers of threads have one digest."""
    nets = dict.fromkeys(net for run in runs for net in run.get("bits", {}))
    rows = []
    for net in nets:
        there = [run for run in runs if net in run.get("bits", {})]
        different = {digest for run in there for digest in run["bits"][net]}
        threads = ", ".join(str(run["threads"]) for run in there)
        rows.append([net, threads, "the same" if len(different) == 1 else f"**{len(different)} different**"])
    return markdown(["net", "threads", "bits"], rows)


def _spread(s: Result | None, scale: float) -> str:
    if s is None:
        return "–"
    return f"{_short(s['median'] * scale)} ({_short(s['low'] * scale)} to {_short(s['high'] * scale)})"


def _short(x: float) -> str:
    """Three significant digits."""
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3f}"


def _percent(x: float) -> str:
    return f"{100 * x:.0f} %"


def _megabytes(n: float | None) -> str:
    return "–" if n is None else f"{n / 1e6:.1f}"


def _seconds(r: Result | None) -> str:
    return "–" if r is None or "seconds" not in r else f"{r['seconds']:.2f}"
