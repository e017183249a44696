"""Training steps beside PyTorch eager, interleaved in one process: medians and ratios, never absolute claims.

    python benchmarks/steps.py [NAME ...] [--rounds 40] [--threads N] [--json FILE]

Each side computes the same: preparation, forward, loss, gradients, one update by the same optimiser on the same batch.
A round is one timed burst of each side in turn; the ratio is taken round by round (PyTorch's time / ours), so it holds
while the speed of the machine drifts. Needs PyTorch; says so where it is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HALVING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some machines set them; they choose slower kernels of OpenBLAS
Step = Callable[[], float]


def digits() -> tuple[Step, Step]:
    """The step of specs/digits.zh: its batch, its optimiser."""
    import numpy as np
    import torch
    from torch import nn

    import zhdsl as zh
    from zhdsl.data import load

    m = zh.load(ROOT / "specs" / "digits.zh")
    fields = load("digits", {}, ROOT).fields
    m.prepare(**fields)
    batch = {name: array[: m.recipe.batch] for name, array in fields.items()}
    mean, std = float(fields["image"].mean()), float(fields["image"].std())
    image = torch.tensor(batch["image"])

    def noisy() -> Any:  # as `prepare` and `augment` of the spec
        x = (image - mean) / std
        return (x + 0.3 * torch.randn_like(x)).flatten(1)

    y = torch.tensor(batch["label"].astype(np.int64))
    layers: list[nn.Module] = []
    weights = [p for path, p in m.params.items() if path.endswith("W")]
    for w in weights:
        layers += [nn.Linear(*w.shape), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    return (lambda: m.step(**batch)), torch_step(
        net, noisy, y, torch.optim.Adam(net.parameters(), lr=2e-3), nn.CrossEntropyLoss()
    )


def spirals() -> tuple[Step, Step]:
    """MLP 2-32-32-2 with tanh on 194 points: SGD with momentum 0.9 and decay 1e-4."""
    import torch
    from torch import nn

    import zhdsl as zh

    m = zh.load(SPIRALS)
    x, y = torch.rand(194, 2), torch.randint(0, 2, (194,))
    batch = {"x": x.numpy(), "y": y.numpy().astype("int32")}
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2))
    sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    return (lambda: m.step(**batch)), torch_step(net, lambda: x, y, sgd, nn.CrossEntropyLoss())


SPIRALS = """
dataset points[file = "points.npz"] -> (x: [B, F=2], y: i32[B])
model Spirals(x: [B, F=2]) -> z: [B, K=2] {
  return x -> Dense[32] -> tanh -> Dense[32] -> tanh -> Dense[2]
}
train Spirals {
  data = points
  loss = cross_entropy[K](z, y)
  optimizer = sgd[lr = 0.01, momentum = 0.9, decay = 1e-4]
  batch = all
  steps = 1000
}
"""
NETS: dict[str, Callable[[], tuple[Step, Step]]] = {"digits": digits, "spirals": spirals}


def torch_step(net: Any, x: Callable[[], Any], y: Any, optimiser: Any, criterion: Any) -> Step:
    """One update in PyTorch eager."""

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = criterion(net(x()), y)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def burst(step: Step, seconds: float = 0.05) -> float:
    """Mean time of a step over a short burst, in seconds."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or not count:
        step()
        count += 1
    return passed / count


def compare(name: str, rounds: int) -> dict[str, float]:
    """Medians in milliseconds and the median, lowest and highest ratio of a round."""
    ours, theirs = NETS[name]()
    for step in (ours, theirs):
        burst(step, 0.2)
    pairs = [(burst(ours), burst(theirs)) for _ in range(rounds)]
    ratios = sorted(peer / our for our, peer in pairs)
    return {
        "zhdsl_ms": statistics.median(o for o, _ in pairs) * 1e3,
        "torch_ms": statistics.median(t for _, t in pairs) * 1e3,
        "ratio": statistics.median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    import numpy
    import torch

    import zhdsl

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    processor = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": torch.__version__,
        "zhdsl": zhdsl.__version__,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *NETS], help=f"of {', '.join(NETS)}; all by default")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each side; by default all cores")
    args = parser.parse_args()
    wanted = {k: v for k, v in os.environ.items() if k not in HALVING} | {"OPENBLAS_NUM_THREADS": str(args.threads)}
    if wanted != dict(os.environ):  # OpenBLAS reads these when it is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    try:
        import torch
    except ImportError:
        print("PyTorch is missing: python -m pip install torch==2.13.0", file=sys.stderr)
        return 1
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"machine": {**machine(), "threads": str(args.threads)}, "steps": {}}
    print(", ".join(f"{k} {v}" for k, v in found["machine"].items()))
    for name in args.names or NETS:
        row = found["steps"][name] = compare(name, args.rounds)
        print(
            f"{name:10} zhdsl {row['zhdsl_ms']:.3f} ms   PyTorch eager {row['torch_ms']:.3f} ms   "
            f"ratio {row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
