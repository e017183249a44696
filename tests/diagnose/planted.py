"""Networks with a sickness planted into them, and healthy ones of the same kinds.

A line that ends in `# here` is to be named. Thresholds were chosen with these cases in sight; the others, on which
nothing was decided, are in `held_out.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zhdsl.diagnose import rules

HERE = "# here"


@dataclass(frozen=True)
class Case:
    """A spec, and what is wrong with it (`kind` empty: nothing)."""

    name: str
    kind: str
    text: str

    @property
    def lines(self) -> set[int]:
        return {i for i, line in enumerate(self.text.splitlines(), 1) if line.endswith(HERE)}


# ---------------------------------------------------------------- parts
DIGITS = ("image: [B, H=8, W=8]", "K=10", "merge[F = (H, W)](image)", "digits[]", "image")
MNIST = ("image: [B, C=1, H=28, W=28]", "K=10", "merge[F = (C, H, W)](image)", "mnist_5k[]", "image")
STANDARD = "image -> standardize"
ADAM = "adam[lr = 1e-3]"


def recipe(
    name: str, data: str, optimizer: str = ADAM, prepare: str = STANDARD, field: str = "image", batch: int = 64
) -> str:
    prepared = f"  prepare.{field} = {prepare}\n" if prepare else ""
    return (
        f"\ntrain {name} {{\n  data = {data}\n{prepared}  loss = cross_entropy[K](logits, label)\n"
        f"  optimizer = {optimizer}\n  batch = {batch}\n  epochs = 5\n}}\n"
    )


def mlp(
    layer: str, depth: int, data: tuple[str, ...] = DIGITS, width: int = 64, first: str = "", **more: object
) -> str:
    """`depth` times the same lines."""
    start = first or f"Dense[{width}, weight = he] -> relu"
    lines = "\n".join(f"    {line}" for line in layer.splitlines())
    return (
        f"model Net({data[0]}) -> logits: [B, {data[1]}] {{\n  h = {data[2]} -> {start}\n"
        f"  repeat {depth} {{\n{lines}\n  }}\n  return h -> Dense[10]\n}}\n" + recipe("Net", data[3], **more)  # type: ignore[arg-type]
    )


def written(layers: list[str], data: tuple[str, ...] = DIGITS, **more: object) -> str:
    """Layers one by one, each on its line."""
    lines = "\n".join(f"  h = h -> {layer}" for layer in layers)
    return (
        f"model Net({data[0]}) -> logits: [B, {data[1]}] {{\n  h = {data[2]}\n{lines}\n  return h -> Dense[10]\n}}\n"
        + recipe("Net", data[3], **more)  # type: ignore[arg-type]
    )


def convnet(block: str, depth: int, channels: int = 4, first: str = "", **more: object) -> str:
    lines = "\n".join(f"    {line}" for line in block.splitlines())
    start = first or f"Conv[{channels}, 3, 2] -> BatchNorm -> relu -> maxpool[2]"
    return (
        f"model Net({MNIST[0]}) -> logits: [B, K=10] {{\n  h = image -> {start}\n"
        f"  repeat {depth} {{\n{lines}\n  }}\n  return h -> global_pool -> Dense[10]\n}}\n"
        + recipe("Net", MNIST[3], **more)  # type: ignore[arg-type]
    )


def sequence(reader: str, steps: int = 50, blocks: str = "", optimizer: str = "adam[lr = 2e-3]", data: str = "") -> str:
    """The sum of two marked numbers."""
    return (
        f"{blocks}model Net(x: [B, T, F=2]) -> p: [B, F=1] {{\n  h = x -> {reader}\n  return h[T=-1] -> Dense[1]\n}}\n"
        f"\ntrain Net {{\n  data = {data or f'adding[T = {steps}, samples = 400]'}\n  loss = mse(p, y)\n"
        f"  optimizer = {optimizer}\n  clip = clip_norm[1.0]\n  batch = 32\n  epochs = 5\n}}\n"
    )


def simple(start: str, function: str = "tanh", mark: str = HERE, extra: str = "") -> str:
    """A recurrent block of one's own."""
    return (
        "block Simple[N: int](x: [B, T, D]) -> [B, T, D=N] {\n  param W: [D, N] = glorot\n"
        f"  param U: [N', N] = {start} {mark}\n  param b: [N] = zeros\n"
        "  return scan t over T from h = zeros[B, N] {\n"
        f"    h = {function}(x[t] @ W + h @ U + b){extra}\n    emit h\n  }}\n}}\n\n"
    )


def symbols(reader: str, steps: int, blocks: str = "", optimizer: str = "adam[lr = 2e-3]") -> str:
    """Which was the first symbol?"""
    return (
        f"{blocks}model Net(x: i32[B, T]) -> logits: [B, K=8] {{\n  h = x -> Embed[8, 16] -> {reader}\n"
        "  return h[T=-1] -> Dense[8]\n}\n\n"
        f"train Net {{\n  data = first_token[T = {steps}, V = 8, samples = 400]\n"
        "  loss = cross_entropy[K](logits, label)\n"
        f"  optimizer = {optimizer}\n  batch = 32\n  epochs = 5\n}}\n"
    )


def table(folder: Path) -> dict[str, str]:
    """Tables of numbers whose columns differ in scale, written beside the specs."""
    import numpy as np

    draw = np.random.default_rng(0)
    paths = {}
    for name, scales in (("income.csv", (1, 2, 30000)), ("year.csv", (0.5, 1, 400)), ("even.csv", (1, 1.5, 0.7))):
        x = draw.normal(size=(300, 3)) * scales
        label = (x / scales).sum(axis=1) > 0
        rows = ["x0,x1,x2,label", *(f"{a},{b},{c},{int(k)}" for (a, b, c), k in zip(x, label, strict=True))]
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
        paths[name] = name
    return paths


def tabular(file: str, mark: str, prepare: str = "") -> str:
    prepared = f"  prepare.x = {prepare}\n" if prepare else ""
    return (
        f'dataset rows[file = "{file}"] -> (x: [B, F=3], label: i32[B])\n\n'
        "model Net(x: [B, F=3]) -> logits: [B, K=2] { return x -> Dense[16] -> tanh -> Dense[2] }\n\n"
        f"train Net {{\n  data = rows{mark}\n{prepared}  loss = cross_entropy[K](logits, label)\n"
        f"  optimizer = {ADAM}\n  batch = 32\n  epochs = 5\n}}\n"
    )


def regression(optimizer: str, mark: str) -> str:
    return (
        "model Net(x: [B, F=2]) -> p: [B, F=1] { return x -> Dense[32] -> tanh -> Dense[1] -> sigmoid }\n\n"
        "train Net {\n  data = two_spirals[points = 97]\n  prepare.x = x -> standardize\n"
        f"  loss = binary_cross_entropy(p, y)\n  optimizer = {optimizer}{mark}\n  batch = all\n  epochs = 50\n}}\n"
    )


# ---------------------------------------------------------------- the sick
V, E, S, D, X, R = rules.VANISHING, rules.EXPLODING, rules.SATURATION, rules.DEATH, rules.INPUT, rules.RATE
at = f" {HERE}"


def sick() -> list[Case]:
    return [
        Case("sigmoid, 8 layers of 64", V, mlp(f"h = h -> Dense[64] -> sigmoid{at}", 8)),
        Case(
            "sigmoid, 12 layers of 32, lecun",
            V,
            mlp(f"h = h -> Dense[32, weight = lecun_normal] -> sigmoid{at}", 12, width=32),
        ),
        Case(
            "sigmoid on a line of its own", V, mlp(f"h = h -> Dense[48, weight = he]\nh = sigmoid(h){at}", 10, width=48)
        ),
        Case("sigmoid, 20 layers of 16, mnist", V, mlp(f"h = h -> Dense[16] -> sigmoid{at}", 20, MNIST, 16)),
        Case("sigmoid, written out, 128 wide", V, written([f"Dense[128, weight = glorot_normal] -> sigmoid{at}"] * 9)),
        Case(
            "sigmoid, sgd, orthogonal",
            V,
            mlp(f"h = h -> Dense[64, weight = orthogonal] -> sigmoid{at}", 7, optimizer="sgd[lr = 0.1]"),
        ),
        Case(
            "sigmoid convolutions",
            V,
            convnet(f"h = h -> Conv[8, 3] -> sigmoid{at}", 8, first="Conv[8, 3, 2] -> relu -> maxpool[2]"),
        ),
        Case(
            "sigmoid convolutions, 6 of 16 channels",
            V,
            convnet(f"h = h -> Conv[16, 3, weight = glorot] -> sigmoid{at}", 7, 16),
        ),
        Case("relu, weights of 0.01", V, mlp(f"h = h -> Dense[64, weight = normal_init[0.01]] -> relu{at}", 5)),
        Case(
            "relu, uniform weights of 0.03",
            V,
            mlp(f"h = h -> Dense[96, weight = uniform_init[low = -0.03, high = 0.03]] -> relu{at}", 8, width=96),
        ),
        Case("tanh, weights of 0.02", V, mlp(f"h = h -> Dense[64, weight = normal_init[0.02]] -> tanh{at}", 6, MNIST)),
        Case(
            "tanh, weights of 0.005, written out",
            V,
            written([f"Dense[32, weight = normal_init[0.005]] -> tanh{at}"] * 4),
        ),
        Case("orthogonal of gain 0.3", V, mlp(f"h = h -> Dense[64, weight = orthogonal[gain = 0.3]] -> tanh{at}", 10)),
        Case(
            "relu convolutions, weights of 0.01",
            V,
            convnet(f"h = h -> Conv[8, 3, weight = normal_init[0.01]] -> relu{at}", 6, 8),
        ),
        Case(
            "a layer of one's own, weights of 0.01",
            V,
            (
                "block Mine[N: int](x: [B, D]) -> [B, D=N] {\n"
                f"  param W: [D, N] = normal_init[0.01]{at}\n  return relu(x @ W)\n}}\n\n" + mlp("h = h -> Mine[64]", 5)
            ),
        ),
        Case(
            "plain batch-normalised net of 46 layers", E, convnet(f"h = h -> Conv[4, 3] -> BatchNorm -> relu{at}", 45)
        ),
        Case(
            "plain net of 52 layers by blocks",
            E,
            (
                "block Basic[N: int](x: [B, C, H, W]) -> [B, C=N, H, W] {\n"
                f"  x = x -> Conv[N, 3] -> BatchNorm -> relu{at}\n"
                f"  return x -> Conv[N, 3] -> BatchNorm -> relu{at}\n}}\n\n" + convnet("h = h -> Basic[4]", 26)
            ),
        ),
        Case(
            "batch-normalised perceptron of 60 layers",
            E,
            mlp(f"h = h -> Dense[32, weight = he] -> BatchNorm -> relu{at}", 55, width=32),
        ),
        Case("relu, weights of 0.6", E, mlp(f"h = h -> Dense[64, weight = normal_init[0.6]] -> relu{at}", 7)),
        Case(
            "relu, weights of 1, 48 wide",
            E,
            mlp(f"h = h -> Dense[48, weight = normal_init[1.0]] -> relu{at}", 5, MNIST, 48),
        ),
        Case(
            "leaky relu, orthogonal of gain 3",
            E,
            mlp(f"h = h -> Dense[64, weight = orthogonal[gain = 3.0]] -> leaky_relu{at}", 9),
        ),
        Case(
            "relu convolutions, weights of 0.5",
            E,
            convnet(f"h = h -> Conv[8, 3, weight = normal_init[0.5]] -> relu{at}", 8, 8),
        ),
        Case("tanh, weights of 1", S, mlp(f"h = h -> Dense[64, weight = normal_init[1.0]] -> tanh{at}", 3)),
        Case(
            "tanh, weights of 3, mnist",
            S,
            mlp(f"h = h -> Dense[32, weight = normal_init[3.0]] -> tanh{at}", 2, MNIST, 32),
        ),
        Case("sigmoid, weights of 2", S, mlp(f"h = h -> Dense[64, weight = normal_init[2.0]] -> sigmoid{at}", 2)),
        Case("tanh, a bias of 4", S, written([f"Dense[64, bias = constant[4]] -> tanh{at}"])),
        Case(
            "sigmoid, a bias of -7, below its line",
            S,
            mlp(f"h = h -> Dense[64, bias = constant[-7]]{at}\nh = sigmoid(h)", 1),
        ),
        Case("relu, a bias of -8", D, mlp(f"h = h -> Dense[64, weight = he, bias = constant[-8]] -> relu{at}", 1)),
        Case(
            "relu, a bias of -15 in the first layer",
            D,
            written([f"Dense[128, bias = constant[-15]] -> relu{at}", "Dense[64] -> relu"]),
        ),
        Case(
            "negative weights behind relu",
            D,
            mlp(f"h = h -> Dense[64, weight = uniform_init[low = -0.3, high = 0.0]] -> relu{at}", 1),
        ),
        Case(
            "negative weights of a convolution",
            D,
            convnet(f"h = h -> Conv[8, 3, weight = uniform_init[low = -0.2, high = -0.01]] -> relu{at}", 2, 8),
        ),
        Case(
            "convolution with a bias of -9", D, convnet(f"h = h -> Conv[8, 3, bias = constant[-9]] -> relu{at}", 1, 8)
        ),
        Case(
            "digits times ten",
            X,
            mlp("h = h -> Dense[64] -> tanh", 2, first="Dense[64] -> tanh", prepare=f"image * 10{at}"),
        ),
        Case(
            "mnist of 0 to 255", X, mlp("h = h -> Dense[64, weight = he] -> relu", 1, MNIST, prepare=f"image * 255{at}")
        ),
        Case(
            "raw digits",
            X,
            mlp("h = h -> Dense[32] -> sigmoid", 1, first="Dense[32] -> sigmoid", prepare="").replace(
                "data = digits[]", f"data = digits[]{at}"
            ),
        ),
        Case(
            "far from zero",
            X,
            mlp("h = h -> Dense[64, weight = he] -> relu", 2, prepare=f"(image -> standardize) + 20{at}"),
        ),
        Case("divided twice", X, mlp("h = h -> Dense[64, weight = he] -> relu", 1, MNIST, prepare=f"image / 255{at}")),
        Case(
            "mnist of 0 to 255, convolution",
            X,
            convnet(
                "h = h -> Conv[8, 3] -> relu",
                2,
                8,
                first="Conv[8, 3, 2] -> relu -> maxpool[2]",
                prepare=f"image * 255{at}",
            ),
        ),
        Case("one column of thousands", X, tabular("income.csv", at)),
        Case("one column of hundreds", X, tabular("year.csv", at)),
        Case("sgd, rate 5", R, mlp("h = h -> Dense[64, weight = he] -> relu", 2, optimizer=f"sgd[lr = 5.0]{at}")),
        Case(
            "sgd with momentum, rate 1",
            R,
            mlp("h = h -> Dense[64, weight = he] -> relu", 3, MNIST, optimizer=f"sgd[lr = 1.0, momentum = 0.9]{at}"),
        ),
        Case("adam, rate 1", R, mlp("h = h -> Dense[64] -> tanh", 2, optimizer=f"adam[lr = 1.0]{at}")),
        Case("rmsprop, rate 0.5", R, convnet("h = h -> Conv[8, 3] -> relu", 2, 8, optimizer=f"rmsprop[lr = 0.5]{at}")),
        Case("adam, rate 0.5, spirals", R, regression("adam[lr = 3.0]", at)),
        Case("lion, rate 0.3", R, mlp("h = h -> Dense[48, weight = he] -> relu", 2, optimizer=f"lion[lr = 0.3]{at}")),
        Case("adam, rate 0.5, lstm", R, symbols("LSTM[32, forget = 1]", 12, optimizer=f"adam[lr = 1.0]{at}")),
        Case("recurrent weights of 0.01", V, sequence("Simple[32]", 40, simple("normal_init[0.01]"))),
        Case("recurrent orthogonal of gain 0.6", V, symbols("Simple[48]", 60, simple("orthogonal[gain = 0.6]"))),
        Case("recurrent sigmoid", V, sequence("Simple[32]", 30, simple("orthogonal", "sigmoid"))),
        Case(
            "recurrent identity of gain 0.5, relu",
            V,
            sequence("Simple[64]", 50, simple("identity[gain = 0.5]", "relu")),
        ),
        Case(
            "recurrent orthogonal of gain 1.4, relu",
            E,
            sequence("Simple[64]", 50, simple("orthogonal[gain = 2.0]", "relu")),
        ),
        Case(
            "recurrent identity of gain 1.3, relu", E, symbols("Simple[32]", 40, simple("identity[gain = 1.3]", "relu"))
        ),
        Case("recurrent tanh, chaotic", E, sequence("Simple[128]", 80, simple("normal_init[0.25]"))),
        Case("linear recurrence of gain 1.2", E, sequence("Simple[32]", 60, simple("orthogonal[gain = 1.2]", ""))),
        Case("shut gates", V, sequence(f"LSTM[32, forget = -4]{at}", 50)),
        Case("shut gates, symbols", V, symbols(f"LSTM[24, forget = -3]{at}", 40)),
    ]


# ---------------------------------------------------------------- the healthy
def healthy() -> list[Case]:
    return [
        Case("sigmoid, 2 layers", "", mlp("h = h -> Dense[64] -> sigmoid", 2)),
        Case("tanh, 8 layers, glorot", "", mlp("h = h -> Dense[64] -> tanh", 8)),
        Case("relu, 10 layers, he", "", mlp("h = h -> Dense[64, weight = he] -> relu", 10)),
        Case("relu, 4 layers of 16", "", mlp("h = h -> Dense[16, weight = he] -> relu", 4, MNIST, 16)),
        Case("residual, 30 layers", "", mlp("h = h + 0.3 * (h -> Dense[64] -> tanh)", 30)),
        Case(
            "sigmoid with layer normalisation and skips",
            "",
            mlp("h = h + (h -> LayerNorm -> Dense[64] -> sigmoid)", 12),
        ),
        Case("batch-normalised convolutions, 12", "", convnet("h = h -> Conv[4, 3] -> BatchNorm -> relu", 12)),
        Case(
            "residual convolutions, 40",
            "",
            convnet("h = relu(h + (h -> Conv[4, 3] -> BatchNorm -> relu -> Conv[4, 3] -> BatchNorm))", 20),
        ),
        Case(
            "unscaled input behind batch normalisation",
            "",
            convnet("h = h -> Conv[8, 3] -> relu", 2, 8, prepare="image * 255"),
        ),
        Case("gelu, 6 layers", "", mlp("h = h -> Dense[64, weight = he] -> gelu", 6)),
        Case("selu, 8 layers, lecun", "", mlp("h = h -> Dense[64, weight = lecun_normal] -> selu", 8)),
        Case(
            "sgd, rate 0.05",
            "",
            mlp("h = h -> Dense[64, weight = he] -> relu", 2, optimizer="sgd[lr = 0.05, momentum = 0.9]"),
        ),
        Case("adam, rate 0.003", "", mlp("h = h -> Dense[64] -> tanh", 3, MNIST, optimizer="adam[lr = 3e-3]")),
        Case("lstm, 50 steps", "", sequence("LSTM[32, forget = 1]", 50)),
        Case("gru, 40 steps", "", symbols("GRU[32]", 40)),
        Case("orthogonal recurrence, 20 steps", "", sequence("Simple[32]", 20, simple("orthogonal", mark=""))),
        Case("even columns", "", tabular("even.csv", "")),
        Case("standardised columns", "", tabular("income.csv", "", "x -> standardize[F]")),
        Case("spirals", "", regression("adam[lr = 0.02]", "")),
        Case("highway, 10 layers", "", mlp("h = h -> Highway", 10)),
    ]


# of the repository itself: (file, recipe)
CURRICULUM = (
    ("digits.zh", "Digits"),
    ("two_spirals.zh", "TwoSpirals"),
    ("mnist_mlp.zh", "Perceptron"),
    ("depth/plain_or_residual.zh", "Skipping"),
    ("skips/residual_mlp.zh", "Skip"),
    ("convnets/digits_convnet.zh", ""),
    ("convnets/lenet5.zh", ""),
    ("supervised/xor.zh", ""),
    ("supervised/softmax_regression.zh", ""),
    ("sequences/adding.zh", ""),
    ("sequences/first_token.zh", "Lstm"),
    ("sequences/bidirectional.zh", ""),
    ("transformers/vit_digits.zh", ""),
)
