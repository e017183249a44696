"""More of both kinds, on which no threshold was decided: other depths, widths, functions, first weights, data."""

from __future__ import annotations

from tests.diagnose.planted import (
    ADAM,
    MNIST,
    STANDARD,
    Case,
    D,
    E,
    R,
    S,
    V,
    X,
    at,
    convnet,
    mlp,
    recipe,
    sequence,
    simple,
    symbols,
    written,
)


def attention(layer: str, depth: int, optimizer: str, prepare: str = STANDARD) -> str:
    """Rows of a digit as words."""
    lines = "\n".join(f"    {line}" for line in layer.splitlines())
    return (
        "model Net(image: [B, T=8, D=8]) -> logits: [B, K=10] {\n  h = image -> Dense[32] -> positions\n"
        f"  repeat {depth} {{\n{lines}\n  }}\n  return mean[T](h) -> Dense[10]\n}}\n"
        + recipe("Net", "digits[]", optimizer, prepare)
    )


def rows(reader: str, blocks: str = "", optimizer: str = ADAM, prepare: str = STANDARD) -> str:
    """Rows of a digit, one after the other."""
    return (
        f"{blocks}model Net(image: [B, C=1, H=28, W=28]) -> logits: [B, K=10] {{\n"
        f"  x: [B, T, D] = merge[T = (C, H)](image)\n  h = x -> {reader}\n  return h[T=-1] -> Dense[10]\n}}\n"
        + recipe("Net", "mnist_5k[]", optimizer, prepare)
    )


def sick() -> list[Case]:
    """Other depths, widths, functions, first weights, data and optimisers, and other kinds of networks."""
    own = "block Unit[N: int](x: [B, D]) -> [B, D=N] {\n  z = x -> Dense[N]LINE\n  return BEND\n}\n\n"
    softly = own.replace("LINE", "").replace("return BEND", f"return sigmoid(2 * z){at}")
    weak = own.replace("Dense[N]LINE", f"Dense[N, weight = lecun_uniform]{at}").replace("BEND", "0.2 * tanh(z)")
    return [
        Case(
            "sigmoid, 9 layers of 24, he uniform",
            V,
            mlp(f"h = h -> Dense[24, weight = he_uniform] -> sigmoid{at}", 9, width=24),
        ),
        Case("sigmoid twice as steep, in a block", V, softly + mlp("h = h -> Unit[40]", 16, width=40)),
        Case(
            "sigmoid, two kinds of layers",
            V,
            mlp(f"h = h -> Dense[80] -> sigmoid{at}\nh = h -> Dense[40] -> sigmoid{at}", 5, MNIST),
        ),
        Case("tanh scaled down", V, weak + mlp("h = h -> Unit[48]", 9, width=48)),
        Case("gelu, weights of 0.02", V, mlp(f"h = h -> Dense[64, weight = normal_init[0.02]] -> gelu{at}", 6)),
        Case(
            "selu, truncated weights of 0.01",
            V,
            mlp(f"h = h -> Dense[100, weight = truncated_normal[0.01]] -> selu{at}", 5, width=100),
        ),
        Case(
            "separable convolutions, small",
            V,
            convnet(f"h = h -> Conv[12, 5, weight = normal_init[0.005]] -> silu{at}", 5, 12),
        ),
        Case(
            "linear layers, orthogonal of gain 0.5",
            V,
            mlp(f"h = h -> Dense[32, weight = orthogonal[gain = 0.5]]{at}", 14, width=32),
        ),
        Case(
            "batch-normalised perceptron of 70 layers",
            E,
            mlp(f"h = h -> Dense[24] -> BatchNorm -> relu{at}", 70, width=24),
        ),
        Case(
            "batch-normalised leaky net of 64", E, mlp(f"h = h -> Dense[20] -> BatchNorm -> relu6{at}", 64, MNIST, 20)
        ),
        Case("elu, orthogonal of gain 4", E, mlp(f"h = h -> Dense[64, weight = orthogonal[gain = 4.0]] -> elu{at}", 8)),
        Case("gelu, weights of 0.8", E, mlp(f"h = h -> Dense[32, weight = normal_init[0.8]] -> gelu{at}", 8, width=32)),
        Case(
            "convolutions of 5, uniform weights",
            E,
            convnet(f"h = h -> Conv[6, 5, weight = uniform_init[low = -1.0, high = 1.0]] -> relu{at}", 6, 6),
        ),
        Case(
            "tanh, uniform weights of 2",
            S,
            mlp(f"h = h -> Dense[40, weight = uniform_init[low = -2.0, high = 2.0]] -> tanh{at}", 4, MNIST, 40),
        ),
        Case(
            "sigmoid, orthogonal of gain 20",
            S,
            mlp(f"h = h -> Dense[64, weight = orthogonal[gain = 20.0]] -> sigmoid{at}", 2),
        ),
        Case(
            "tanh of a convolution, weights of 2",
            S,
            convnet(f"h = h -> Conv[8, 3, weight = normal_init[2.0]] -> tanh{at}", 2, 8),
        ),
        Case(
            "relu6, a bias of -12",
            D,
            written(["Dense[64] -> relu", f"Dense[32, bias = constant[-12]] -> relu{at}"], MNIST),
        ),
        Case(
            "all weights below zero, 256 wide", D, mlp(f"h = h -> Dense[256, weight = constant[-0.1]] -> relu{at}", 1)
        ),
        Case("digits of 0 to 1600", X, rows("GRU[24]", prepare=f"image * 1600{at}")),
        Case(
            "standardised, then shifted by -8",
            X,
            attention("h = h + (h -> LayerNorm -> FeedForward[64])", 2, ADAM, f"(image -> standardize) - 8{at}"),
        ),
        Case("digits in thousandths", X, mlp("h = h -> Dense[32] -> tanh", 2, width=32, prepare=f"image / 1000{at}")),
        Case(
            "adam, rate 0.5, attention",
            R,
            attention("h = h + (h -> SelfAttention[4])\nh = h + (h -> FeedForward[64])", 2, f"adam[lr = 0.5]{at}"),
        ),
        Case("sgd, rate 20, gru", R, rows("GRU[32]", optimizer=f"sgd[lr = 20.0, momentum = 0.9]{at}")),
        Case(
            "adamw, rate 2, convolutions",
            R,
            convnet("h = h -> Conv[8, 3] -> relu", 2, 8, optimizer=f"adamw[lr = 2.0]{at}"),
        ),
        Case(
            "nesterov, rate 3",
            R,
            mlp(
                "h = h -> Dense[64, weight = he] -> relu",
                2,
                optimizer=f"sgd[lr = 3.0, momentum = 0.9, nesterov = true]{at}",
            ),
        ),
        Case(
            "recurrent uniform weights of 0.05", V, rows("Simple[40]", simple("uniform_init[low = -0.05, high = 0.05]"))
        ),
        Case(
            "recurrent orthogonal of gain 0.7, 48 steps", V, symbols("Simple[24]", 48, simple("orthogonal[gain = 0.7]"))
        ),
        Case("recurrent relu, orthogonal of gain 1.8", E, rows("Simple[64]", simple("orthogonal[gain = 2.4]", "relu"))),
        Case(
            "recurrent leaky relu, identity of gain 1.25",
            E,
            sequence("Simple[48]", 60, simple("identity[gain = 1.25]", "leaky_relu")),
        ),
        Case("shut gates, two layers", V, sequence(f"Stack[LSTM[24, forget = -5], 2]{at}", 40)),
    ]


def healthy() -> list[Case]:
    return [
        Case("attention, three layers", "", attention("h = h -> EncoderLayer[4, 64, P = 0.0]", 3, ADAM)),
        Case("softsign, 5 layers", "", mlp("h = h -> Dense[64] -> softsign", 5)),
        Case("elu, 12 layers", "", mlp("h = h -> Dense[40, weight = he] -> elu", 12, MNIST, 40)),
        Case("gru on rows", "", rows("GRU[32]")),
        Case("bidirectional lstm on rows", "", rows("Bidirectional[LSTM[16, forget = 1]]")),
        Case(
            "batch-normalised perceptron of 15 layers", "", mlp("h = h -> Dense[32] -> BatchNorm -> relu", 15, width=32)
        ),
        Case(
            "residual perceptron of 40 layers",
            "",
            mlp("h = h + (h -> LayerNorm -> Dense[32, weight = he] -> relu -> Dense[32])", 20, width=32),
        ),
        Case(
            "squeeze and excite",
            "",
            convnet("h = h + (h -> Conv[8, 3] -> BatchNorm -> relu -> SqueezeExcite[ratio = 4])", 4, 8),
        ),
        Case("dropout", "", mlp("h = h -> Dense[96, weight = he] -> relu -> dropout[0.4]", 3, MNIST, 96)),
        Case("rmsprop, rate 0.001", "", convnet("h = h -> Conv[8, 3] -> relu", 3, 8, optimizer="rmsprop[lr = 1e-3]")),
    ]
