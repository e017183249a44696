"""How gradients flow, measured: a plain net of 56 layers against a residual one, a simple recurrence against an LSTM.

Left: the norm of the derivative of the loss by the result of every layer, over that at the last convolution, at the
first weights on a batch of MNIST (both nets batch-normalised, 4, 8 and 16 channels wide). Right: the norm of the
derivative of the last state by the state some steps before, on a batch of first_token. Lines are geometric means over
seeds, bands go from the least to the greatest. Takes about a minute.

    python examples/gradient_flow.py [FILE.svg] [SEEDS]
"""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import zhdsl as zh
from zhdsl.diagnose import diagnose
from zhdsl.diagnose.rules import by_depth

NETS = """
block Basic[N: int, skip: bool, stride = 1](x: [B, C, H, W]) -> [B, C=N, H=ceil(H/stride), W=ceil(W/stride)] {
  y = x -> Conv[N, 3, stride] -> BatchNorm -> relu -> Conv[N, 3] -> BatchNorm
  if skip {
    y = y + (x if C == N and stride == 1 else x -> Conv[N, 1, stride] -> BatchNorm)
  }
  return relu(y)
}

block Net[n: int, skip: bool](image: [B, C, H, W]) -> [B, K=10] {
  x = image -> Conv[4, 3] -> BatchNorm -> relu
  repeat 3 as s {
    repeat n as i {
      x = x -> Basic[4 * 2 ^ s, skip, stride = 2 if s > 0 and i == 0 else 1]
    }
  }
  return x -> global_pool -> Dense[10]
}

const N = 9

model Plain(image: [B, C=1, H=28, W=28]) -> logits: [B, K=10] { return image -> Net[N, false] }
model ResNet(image: [B, C=1, H=28, W=28]) -> logits: [B, K=10] { return image -> Net[N, true] }
RECIPES
"""
DIGITS = """
train NAME {
  data          = mnist_5k[]
  prepare.image = image -> standardize
  loss          = cross_entropy[K](logits, label)
  optimizer     = sgd[lr = 0.1]
  batch         = 16
  epochs        = 1
}
"""
LOOPS = """
const T = 100

model Rnn(x: i32[B, T]) -> logits: [B, V=8] {
  h = x -> Embed[8, 16] -> RNN[32]
  return h[T=-1] -> Dense[8]
}
model Lstm(x: i32[B, T]) -> logits: [B, V=8] {
  h = x -> Embed[8, 16] -> LSTM[32, forget = 2]
  return h[T=-1] -> Dense[8]
}
RECIPES
"""
TOKENS = """
train NAME {
  data      = first_token[T = T, V = 8]
  loss      = cross_entropy[V](logits, label)
  optimizer = adam[lr = 1e-3]
  batch     = 32
  epochs    = 1
}
"""
Curves = list[list[float]]


def text(models: str, recipe: str, *names: str) -> str:
    """The spec of some models, with the same recipe for each."""
    return models.replace("RECIPES", "".join(recipe.replace("NAME", name) for name in names))


def by_layer(name: str, seed: int, n: int) -> list[float]:
    """Norms of gradients at the layers, over that at the last convolution."""
    spec = text(NETS, DIGITS, "Plain", "ResNet")
    measured = diagnose(zh.load(spec, name, set={"N": n}, dtype="float64", seed=seed), descend=False).measured
    assert measured is not None
    norms = [layer.gradient or 0.0 for layer in by_depth(measured).values()][:-1]
    return [norm / norms[-1] for norm in norms]


def by_step(name: str, seed: int) -> list[float]:
    """What is left of the gradient 0, 1, 2, … steps before the last."""
    spec = text(LOOPS, TOKENS, "Rnn", "Lstm")
    (loop,) = diagnose(zh.load(spec, name, dtype="float64", seed=seed), descend=False).recurrences
    return list(loop.curve)


# ---------------------------------------------------------------- the picture
WIDE, HIGH, GAP = 420, 300, 40
LEFT, TOP, RIGHT, BOTTOM = 54, 46, 14, 44
BAD, GOOD, INK = "#e0603c", "#2f8fd0", "#7d8590"  # to be read on white and on black


def picture(panels: Sequence[tuple[str, str, Sequence[tuple[str, str, Curves]]]]) -> str:
    """An SVG of panels: title, label of the horizontal axis, lines (name, colour, curves)."""
    wide = len(panels) * (WIDE + GAP) - GAP
    body = "".join(f'<g transform="translate({i * (WIDE + GAP)} 0)">{panel(*p)}</g>' for i, p in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {HIGH}" width="{wide}" height="{HIGH}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}" role="img" '
        f'aria-label="measured gradients by layer and by step">{body}</svg>\n'
    )


def panel(title: str, along: str, lines: Sequence[tuple[str, str, Curves]]) -> str:
    """One panel with a logarithmic axis, a decade a line."""
    values = [v for _, _, curves in lines for curve in curves for v in curve]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    longest = max(len(curve) for _, _, curves in lines for curve in curves)

    def across(i: float) -> float:
        return LEFT + i / (longest - 1) * (WIDE - LEFT - RIGHT)

    def up(value: float) -> float:
        return HIGH - BOTTOM - (math.log10(value) - low) / (high - low) * (HIGH - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{title}</text>']
    for power in range(low, high + 1):
        y, every = up(10.0**power), max(1, (high - low) // 6)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{INK}" '
            f'stroke-opacity="{0.55 if power == 0 else 0.18}"/>'
        )
        if (power - low) % every == 0 or power == 0:
            raised = f'<tspan dy="-4" font-size="9">{str(power).replace("-", "−")}</tspan>'
            label = f"10{raised}" if power else "1"
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    first = 0 if along.startswith("steps") else 1  # layers are counted from 1
    ticks = [i for i in range(longest) if (i + first) % (20 if longest > 60 else 10) == 0 or i == 0]
    parts += [
        f'<text x="{across(i):.1f}" y="{HIGH - BOTTOM + 18}" text-anchor="middle">{i + first}</text>' for i in ticks
    ]
    parts.append(f'<text x="{(LEFT + WIDE - RIGHT) / 2}" y="{HIGH - 6}" text-anchor="middle">{along}</text>')
    parts += [drawn(number, *line, across, up) for number, line in enumerate(lines)]
    return "".join(parts)


def drawn(
    number: int,
    name: str,
    colour: str,
    curves: Curves,
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> str:
    """A line with its band and its name above the panel."""
    columns = list(zip(*curves, strict=True))
    means = [math.exp(sum(map(math.log, column)) / len(column)) for column in columns]
    upper = [f"{across(i):.1f},{up(max(column)):.1f}" for i, column in enumerate(columns)]
    lower = [f"{across(i):.1f},{up(min(column)):.1f}" for i, column in enumerate(columns)]
    line = " ".join(f"{across(i):.1f},{up(mean):.1f}" for i, mean in enumerate(means))
    x = LEFT + number * 170
    return (
        f'<polygon points="{" ".join([*upper, *lower[::-1]])}" fill="{colour}" fill-opacity=".22"/>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'
        f'<line x1="{x}" x2="{x + 18}" y1="{TOP - 12}" y2="{TOP - 12}" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{x + 24}" y="{TOP - 8}" fill="{colour}" font-weight="600">{name}</text>'
    )


def main(file: str = "gradient_flow.svg", seeds: int = 3, n: int = 9) -> None:
    depth = 6 * n + 2
    layers = {name: [by_layer(name, seed, n) for seed in range(seeds)] for name in ("Plain", "ResNet")}
    steps = {name: [by_step(name, seed) for seed in range(seeds)] for name in ("Rnn", "Lstm")}
    for name, curves in layers.items():
        ratios = ", ".join(f"{curve[0]:.3g}" for curve in curves)
        print(f"{name}-{depth}: the gradient at the first layer is {ratios} times that at the last")
    for name, curves in steps.items():
        print(f"{name}: {', '.join(f'{curve[-1]:.2g}' for curve in curves)} is left after {len(curves[0]) - 1} steps")
    nets = [(f"plain-{depth}", BAD, layers["Plain"]), (f"ResNet-{depth}", GOOD, layers["ResNet"])]
    loops = [("simple RNN", BAD, steps["Rnn"]), ("LSTM", GOOD, steps["Lstm"])]
    panels = [
        ("Gradient at each layer, relative to the last", "layer", nets),
        ("Gradient at each step, relative to the last", "steps back", loops),
    ]
    Path(file).write_text(picture(panels), encoding="utf-8")
    print(f"drawn in {file}")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
