"""PyTorch twins of the specs on pictures, and of the perceptrons."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tests.peers.layers import GRU, Bahdanau, GRUCell
from tests.peers.twin import F, Module, Tensor, nn, torch


class Conv(Module):
    """Zeros around so that n pixels become ceil(n / stride), the odd one behind; PyTorch has this for stride 1 only."""

    def __init__(self, i: int, o: int, k: int, stride: int = 1, bias: bool = False, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, bias=bias, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        (k, _), (s, _) = self.conv.kernel_size, self.conv.stride
        around: list[int] = []
        for n in reversed(x.shape[2:]):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            around += [total // 2, total - total // 2]
        return self.conv(F.pad(x, around))


class Mean(Module):
    """Over space."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def unit(i: int, o: int, k: int = 3, stride: int = 1) -> list[Any]:
    """Convolution, normalisation, relu."""
    return [Conv(i, o, k, stride), nn.BatchNorm2d(o), nn.ReLU()]


def dense(*sizes: int, act: Callable[[], Any] = nn.ReLU) -> Any:
    """Linear layers with activations between them, on flattened input."""
    layers: list[Any] = [nn.Flatten()]
    for i, o in pairwise(sizes):
        layers += [nn.Linear(i, o), act()]
    return nn.Sequential(*layers[:-1])


# ---------------------------------------------------------------- perceptrons
class Residual(Module):
    def __init__(self, layer: Any):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class Highway(Module):
    def __init__(self, n: int):
        super().__init__()
        self.gate, self.layer = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        t = torch.sigmoid(self.gate(x))
        return t * torch.relu(self.layer(x)) + (1 - t) * x


class Spirals(Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(n, 5) for n in (2, 7, 12))
        self.last = nn.Linear(17, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = torch.cat([x, torch.tanh(layer(x))], 1)
        return torch.sigmoid(self.last(x))


class Side(Module):
    """Nets side by side on the same pictures, a result each."""

    def __init__(self, *nets: Any):
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(net(x) for net in self.nets)


class Sized(Module):
    """A perceptron, and the sum of the squares of its weights without the biases."""

    def __init__(self, *sizes: int):
        super().__init__()
        self.net = dense(*sizes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        squares = [(layer.weight**2).sum() for layer in self.net if isinstance(layer, nn.Linear)]
        return self.net(x), torch.stack(squares).sum()


def tower(make: Callable[[], Any], n: int = 64, times: int = 30) -> Any:
    return nn.Sequential(nn.Flatten(), *(make() for _ in range(times)), nn.Linear(n, 10))


# ---------------------------------------------------------------- chains of convolutions
def lenet() -> Any:
    features = [Conv(1, 6, 5, bias=True), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, *dense(400, 120, 84, 10))


def digits_convnet() -> Any:
    steps = [*unit(1, 16), *unit(16, 16), nn.MaxPool2d(2), *unit(16, 32), *unit(32, 32), nn.MaxPool2d(2)]
    return nn.Sequential(*steps, *dense(32 * 49, 10))


def alexnet(c: tuple[int, ...], hidden: int) -> Any:
    features = [nn.Conv2d(3, c[0], 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    features += [nn.Conv2d(c[0], c[1], 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for i, o in ((1, 2), (2, 3), (3, 3)):
        features += [nn.Conv2d(c[i], c[o], 3, padding=1), nn.ReLU()]
    return nn.Sequential(*features, nn.MaxPool2d(3, 2), *dense(c[3], hidden, hidden, 1000))


def vgg(stages: tuple[tuple[int, int], ...], hidden: int) -> Any:
    layers: list[Any] = []
    i = 3
    for o, times in stages:
        for _ in range(times):
            layers += [nn.Conv2d(i, o, 3, padding=1), nn.ReLU()]
            i = o
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *dense(i, hidden, hidden, 1000))


# ---------------------------------------------------------------- residual networks
class Block(Module):
    """relu(main + skip); the skip is the identity where it can be, else as `option` says."""

    def __init__(self, main: list[Any], i: int, o: int, stride: int, option: str = "B"):
        super().__init__()
        self.main, self.stride, self.more, self.option = nn.Sequential(*main), stride, o - i, option
        changes = option == "B" and (stride > 1 or i != o)
        self.skip = (
            nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o)) if changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        main = self.main(x)
        if self.option == "none":
            return torch.relu(main)
        if self.option == "A":
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return torch.relu(main + self.skip(x))


def basic(i: int, o: int, stride: int, option: str = "B", conv: Callable[..., Any] = Conv) -> Any:
    main = [conv(i, o, 3, stride), nn.BatchNorm2d(o), nn.ReLU(), conv(o, o, 3), nn.BatchNorm2d(o)]
    return Block(main, i, o, stride, option)


def centred(i: int, o: int, k: int, stride: int = 1) -> Any:
    """As in torchvision: the same zeros on both sides."""
    return nn.Conv2d(i, o, k, stride, k // 2, bias=False)


def bottleneck(i: int, n: int, stride: int) -> Any:
    main: list[Any] = []
    for a, b, k, s in ((i, n, 1, 1), (n, n, 3, stride), (n, 4 * n, 1, 1)):
        main += [centred(a, b, k, s), nn.BatchNorm2d(b), nn.ReLU()]
    return Block(main[:-1], i, 4 * n, stride)


def pairs(times: int, skip: bool) -> Any:
    """Two convolutions at a time on 8 channels, relu before each, with or without the identity around them."""
    layers: list[Any] = [nn.Unflatten(1, (1, 8)), Conv(1, 8, 3)]
    for _ in range(times):
        pair = nn.Sequential(nn.ReLU(), Conv(8, 8, 3), nn.ReLU(), Conv(8, 8, 3))
        layers.append(Residual(pair) if skip else pair)
    return nn.Sequential(*layers, nn.ReLU(), Mean(), nn.Linear(8, 10))


def resnet(n: int, option: str = "B", channels: int = 3) -> Any:
    """6 n + 2 layers for CIFAR-10."""
    layers, i = unit(channels, 16), 16
    for s in range(3):
        for k in range(n):
            layers.append(basic(i, 16 * 2**s, 2 if s and not k else 1, option))
            i = 16 * 2**s
    return nn.Sequential(*layers, Mean(), nn.Linear(64, 10))


def imagenet_resnet(width: int, counts: tuple[int, ...], deep: bool) -> Any:
    layers: list[Any] = [centred(3, width, 7, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    i = width
    for s, count in enumerate(counts):
        for k in range(count):
            n, stride = width * 2**s, 2 if s and not k else 1
            layers.append(bottleneck(i, n, stride) if deep else basic(i, n, stride, conv=centred))
            i = 4 * n if deep else n
    return nn.Sequential(*layers, Mean(), nn.Linear(i, 1000))


# ---------------------------------------------------------------- dense networks
class Grow(Module):
    """x and what a layer makes of it, side by side."""

    def __init__(self, *layer: Any):
        super().__init__()
        self.layer = nn.Sequential(*layer)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layer(x)], 1)


def before(i: int, o: int, k: int) -> list[Any]:
    """Normalisation, relu, convolution."""
    return [nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, o, k, padding=k // 2, bias=False)]


def densenet(
    stem: list[Any], i: int, growth: int, counts: tuple[int, ...], narrow: int, halve: bool, classes: int
) -> Any:
    """`narrow`: channels of a 1 x 1 convolution in front of each layer's, or 0; `halve` the channels between blocks."""
    layers = stem
    for s, count in enumerate(counts):
        if s:
            o = i // 2 if halve else i
            layers += [*before(i, o, 1), nn.AvgPool2d(2)]
            i = o
        for _ in range(count):
            layers.append(
                Grow(*before(i, narrow, 1), *before(narrow, growth, 3)) if narrow else Grow(*before(i, growth, 3))
            )
            i += growth
    return nn.Sequential(*layers, nn.BatchNorm2d(i), nn.ReLU(), Mean(), nn.Linear(i, classes))


# ---------------------------------------------------------------- a number for each pixel
class UNet(Module):
    """What is on the way down is cropped to what comes up; `make(i, o)` makes the convolutions of both ways."""

    def __init__(self, i: int, n: int, depth: int, make: Callable[[int, int], tuple[Any, Any]]):
        super().__init__()
        self.down, self.depth = make(i, n)[0], depth
        if depth:
            self.below = UNet(n, 2 * n, depth - 1, make)
            self.back = nn.ConvTranspose2d(2 * n, n, 2, 2)
            self.up = make(2 * n, n)[1]

    def forward(self, x: Tensor) -> Tensor:
        a = self.down(x)
        if not self.depth:
            return a
        b = self.back(self.below(F.max_pool2d(a, 2)))
        top, left = ((m - n) // 2 for m, n in zip(a.shape[2:], b.shape[2:], strict=True))
        return self.up(torch.cat([a[:, :, top : top + b.shape[2], left : left + b.shape[3]], b], 1))


def unet(n: int, depth: int) -> Any:
    def make(i: int, o: int) -> tuple[Any, Any]:
        double = nn.Sequential(nn.Conv2d(i, o, 3), nn.ReLU(), nn.Conv2d(o, o, 3), nn.ReLU())
        return double, double

    return nn.Sequential(UNet(1, n, depth, make), nn.Conv2d(n, 2, 1))


def scenes() -> Any:
    def make(i: int, o: int) -> tuple[Any, Any]:
        return nn.Sequential(*unit(i, o), *unit(o, o)), nn.Sequential(*unit(i, o))

    return nn.Sequential(UNet(1, 16, 2, make), nn.Conv2d(16, 11, 1))


class Depth(Module):
    def __init__(self) -> None:
        super().__init__()
        larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.a, self.b = nn.Sequential(*unit(1, 8)), nn.Sequential(*unit(8, 16, stride=2))
        self.c = nn.Sequential(*unit(16, 32, stride=2), *unit(32, 32), larger)
        self.d = nn.Sequential(*unit(48, 16), larger)
        self.e = nn.Sequential(*unit(24, 8), Conv(8, 1, 3, bias=True), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(a)
        d = self.d(torch.cat([b, self.c(b)], 1))
        return self.e(torch.cat([a, d], 1))[:, 0]


# ---------------------------------------------------------------- small digits, scenes
class Light(Module):
    """Depthwise, 1 x 1, squeeze and excite."""

    def __init__(self, i: int, o: int, stride: int):
        super().__init__()
        deep = [Conv(i, i, 3, stride, groups=i), nn.BatchNorm2d(i), nn.ReLU()]
        self.body, self.same = nn.Sequential(*deep, *unit(i, o, 1)), i == o and stride == 1
        self.down, self.up = nn.Linear(o, o // 8), nn.Linear(o // 8, o)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        y = y * torch.sigmoid(self.up(torch.relu(self.down(y.mean((2, 3))))))[:, :, None, None]
        return x + y if self.same else y


def mobile() -> Any:
    light = [Light(i, o, s) for i, o, s in ((16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))]
    return nn.Sequential(*unit(1, 16), *light, Mean(), nn.Linear(64, 10))


class Detect(Module):
    """Places [B, 4, G, G] and classes [B, 11, G, G] of the cells of a grid."""

    def __init__(self) -> None:
        super().__init__()
        layers = [
            *unit(1, 16, stride=2),
            *unit(16, 32, stride=2),
            *unit(32, 64, stride=2),
            *unit(64, 64),
            *unit(64, 64),
        ]
        self.body = nn.Sequential(*layers, nn.Conv2d(64, 15, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.body(x)
        place, g = torch.sigmoid(y[:, :4]), y.shape[-1]
        row, column = torch.meshgrid(torch.arange(g), torch.arange(g), indexing="ij")
        centre = (place[:, :2] + torch.stack([row, column])) / g
        return torch.cat([centre, place[:, 2:]], 1), y[:, 4:]


class Pose(Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(*unit(1, 8), *unit(8, 24, stride=2))
        self.b = nn.Sequential(*unit(24, 48, stride=2), *unit(48, 48), *unit(48, 48), nn.Upsample(scale_factor=2))
        self.c = nn.Sequential(*unit(72, 24), nn.Conv2d(24, 11, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        heat = self.c(torch.cat([a, self.b(a)], 1)).flatten(2).softmax(2).unflatten(2, (16, 16))
        at = (torch.arange(16) + 0.5) / 16
        return torch.stack([heat.sum(3) @ at, heat.sum(2) @ at], 2)


class Activity(Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(Conv(1, 16, 3, 2, bias=True), nn.ReLU(), *dense(1024, 64), nn.ReLU())
        self.gru, self.say = GRU(64), nn.Linear(64, 5)

    def forward(self, video: Tensor) -> Tensor:
        seen = self.look(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        return self.say(self.gru(seen))


class Count(Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[Any] = []
        for i, o in ((1, 16), (16, 32), (32, 64)):
            layers += [*unit(i, o, stride=2), *unit(o, o)]
        self.body, self.ask = nn.Sequential(*layers), nn.Embedding(10, 64)
        self.say = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        f, q = self.body(image), self.ask(question)
        fit = torch.sigmoid(torch.einsum("bchw,bc->bhw", f, q))
        return self.say(torch.cat([torch.einsum("bchw,bhw->bc", f, fit), q], 1))


class Caption(Module):
    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Sequential(*unit(1, 16, stride=2), *unit(16, 32, stride=2), *unit(32, 64, stride=2))
        self.look, self.word, self.cell, self.say = Bahdanau(), nn.Embedding(13, 64), GRUCell(), nn.Linear(64, 13)

    def forward(self, image: Tensor, tgt: Tensor) -> Tensor:
        m = self.see(image).flatten(2).transpose(1, 2)
        s, found = m.new_zeros(len(m), 64), []
        for word in self.word(tgt).unbind(1):
            s = self.cell(torch.cat([word, self.look(s, m)[0]], 1), s)
            found.append(self.say(s))
        return torch.stack(found, 1)
