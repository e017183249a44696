"""The NumPy backend beside PyTorch eager on the heaviest steps of the curriculum: a convolutional, a recurrent net.

    python benchmarks/curriculum_speed.py [resnet20] [lstm] [--rounds 9] [--threads N] [--json FILE]

resnet20   272,474 parameters, a batch of 128 pictures of 3 x 32 x 32
lstm       a language model of characters: V = 64, D = 128, H = 256, T = 128, a batch of 32

Both sides: forward, cross-entropy, gradients, SGD with momentum 0.9 and decay 1e-4 on everything, in float32. A round
is one step of each side in turn. The ratio is ours / PyTorch's, round by round: how many times slower NumPy is. The
weights are the same before the first step, and its losses must agree to 1e-4, or there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from steps import HALVING, Step, machine, torch_step

RECIPE = """
  optimizer = sgd[lr = 0.01, momentum = 0.9, decay = 1e-4, spare = []]
  batch = 128
  steps = 1000
}
"""
RESNET = """
dataset pictures[file = "pictures.npz"] -> (image: [B, C=3, H=32, W=32], label: i32[B])
block Basic[N: int, stride = 1](x: [B, C, H, W]) -> [B, C=N, H=H/stride, W=W/stride] {
  main = x -> Conv[N, 3, stride, pad = 1] -> BatchNorm -> relu -> Conv[N, 3] -> BatchNorm
  skip = x if C == N and stride == 1 else x -> Conv[N, 1, stride, pad = 0] -> BatchNorm
  return relu(main + skip)
}
model Net(image: [B, C=3, H=32, W=32]) -> logits: [B, K=10] {
  x = image -> Conv[16, 3] -> BatchNorm -> relu
  repeat 3 as s {
    repeat 3 as i { x = x -> Basic[16 * 2 ^ s, stride = 2 if s > 0 and i == 0 else 1] }
  }
  return x -> global_pool -> Dense[10]
}
train Net {
  data = pictures
  loss = cross_entropy[K](logits, label)
"""
LSTM = """
dataset letters[file = "letters.npz"] -> (x: i32[B, T], next: i32[B, T])
model Net(x: i32[B, T]) -> logits: [B, T, V=64] { return x -> Embed[64, 128] -> LSTM[256] -> Dense[64] }
train Net {
  data = letters
  loss = cross_entropy[V](logits, next)
"""


# ---------------------------------------------------------------- the twins
def conv_net() -> tuple[Any, list[Any]]:
    """ResNet-20 of He et al. 2015, section 4.2, option B, and its weights in the order in which they are used."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Basic(nn.Module):
        def __init__(self, i: int, o: int, stride: int):
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
            self.conv2, self.norm2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
            changes = stride != 1 or i != o
            project = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
            self.skip = project if changes else nn.Identity()

        def forward(self, x: Any) -> Any:
            h = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
            return functional.relu(h + self.skip(x))

    layers: list[Any] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    i = 16
    for s in range(3):
        for k in range(3):
            o = 16 * 2**s
            layers.append(Basic(i, o, 2 if s and not k else 1))
            i = o
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return net.to(dtype=torch.float32), list(net.parameters())


def char_lstm() -> tuple[Any, list[Any]]:
    """Embedding, LSTM, a prediction at every position; PyTorch's second bias is 0 and learns as the first does."""
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.lstm, self.say = (
                nn.Embedding(64, 128),
                nn.LSTM(128, 256, batch_first=True),
                nn.Linear(256, 64),
            )

        def forward(self, x: Any) -> Any:
            return self.say(self.lstm(self.embed(x))[0]).flatten(0, 1)

    net = Net()
    return net, list(net.parameters())


GATES = [1, 0, 3, 2]  # ours are forget, input, output, candidate; PyTorch's input, forget, candidate, output


def theirs(path: str, w: Any) -> Any:
    """A weight of ours in PyTorch's form."""
    last = path.rpartition(".")[2]
    if path.startswith("dense."):
        return w.T
    if last in ("W", "U") and w.ndim == 3:
        return w[:, GATES].transpose(1, 2, 0).reshape(-1, len(w))
    return w[GATES].reshape(-1) if w.ndim == 2 and last == "b" else w


def carry(params: Mapping[str, Any], weights: list[Any]) -> None:
    """Write our weights into PyTorch's. The LSTM's second bias, which we do not have, becomes 0."""
    import torch

    ours = [torch.tensor(theirs(path, w).copy()) for path, w in params.items()]
    if len(weights) == len(ours) + 1:
        ours.insert(4, torch.zeros_like(ours[3]))
    for mine, their in zip(ours, weights, strict=True):
        their.data.copy_(mine)


# ---------------------------------------------------------------- both sides
def resnet20() -> tuple[Step, Step]:
    import numpy as np

    rng = np.random.default_rng(0)
    image, label = rng.random((128, 3, 32, 32), np.float32), rng.integers(0, 10, 128).astype(np.int32)
    return both(RESNET, conv_net(), {"image": image, "label": label}, "image", "label")


def lstm() -> tuple[Step, Step]:
    import numpy as np

    x, after = np.random.default_rng(0).integers(0, 64, (2, 32, 128)).astype(np.int32)
    return both(LSTM, char_lstm(), {"x": x, "next": after}, "x", "next")


def both(text: str, twin: tuple[Any, list[Any]], batch: dict[str, Any], x: str, y: str) -> tuple[Step, Step]:
    """The same step twice, from the same weights."""
    import torch
    from torch import nn

    import zhdsl as zh

    m = zh.load(text + RECIPE, device="numpy")
    net, weights = twin
    carry(m.params, weights)
    given, label = torch.tensor(batch[x]), torch.tensor(batch[y]).long().flatten()
    given = given if given.is_floating_point() else given.long()
    sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    return (lambda: m.step(**batch)), torch_step(net, lambda: given, label, sgd, nn.CrossEntropyLoss())


NETS: dict[str, Callable[[], tuple[Step, Step]]] = {"resnet20": resnet20, "lstm": lstm}


def timed(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def compare(name: str, rounds: int) -> dict[str, float]:
    """Medians in milliseconds and the median, lowest and highest ratio of a round."""
    ours, peer = NETS[name]()
    first = ours(), peer()
    if abs(first[0] - first[1]) > 1e-4:
        sys.exit(f"{name}: the losses of the first step differ, {first[0]} and {first[1]}")
    for step in (ours, peer):
        step()
    pairs = [(timed(ours), timed(peer)) for _ in range(rounds)]
    ratios = sorted(o / p for o, p in pairs)
    return {
        "loss": first[0],
        "zhdsl_ms": statistics.median(o for o, _ in pairs) * 1e3,
        "torch_ms": statistics.median(p for _, p in pairs) * 1e3,
        "ratio": statistics.median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *NETS], help=f"of {', '.join(NETS)}; all by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each side; by default all cores")
    args = parser.parse_args()
    wanted = {k: v for k, v in os.environ.items() if k not in HALVING} | {"OPENBLAS_NUM_THREADS": str(args.threads)}
    if wanted != dict(os.environ):  # OpenBLAS reads these when it is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    import torch

    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"machine": {**machine(), "threads": str(args.threads)}, "steps": {}}
    print(", ".join(f"{k} {v}" for k, v in found["machine"].items()))
    for name in args.names or NETS:
        row = found["steps"][name] = compare(name, args.rounds)
        times = f"zhdsl {row['zhdsl_ms']:.1f} ms   PyTorch eager {row['torch_ms']:.1f} ms"
        spread = f"{row['lowest']:.2f} to {row['highest']:.2f}"
        print(f"{name:10} {times}   {row['ratio']:.2f} times slower ({spread})", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
