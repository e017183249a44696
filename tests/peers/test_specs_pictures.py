"""The specs on pictures, and the perceptrons, against PyTorch: small, but with all their layers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.peers import pictures as p
from tests.peers.conftest import Agree
from tests.peers.specs import Loss, Row, classes, compared, row
from tests.peers.twin import F, Tensor, nn, torch

pytestmark = pytest.mark.torch
FEW = {"H=32, W=32": "H=8, W=8"}
FEW_DATA = FEW | {r"cifar10\[[^]]*\]": 'image_folder[file = "pictures", height = 8, width = 8]'}


def pictures(pixels: int) -> dict[str, str]:
    """Pictures of another size in place of 224 pixels."""
    sizes = {"H=224, W=224": "H={0}, W={0}", "height = 224, width = 224": "height = {0}, width = {0}"}
    return {old: new.format(pixels) for old, new in sizes.items()}


def scenes(size: int) -> dict[str, str]:
    """Scenes of 16 pixels' width in place of the spec's."""
    return {f"H={size}, W={size}": "H=16, W=16", f"size = {size}": "size = 16"}


UNPREPARED = {r"(?m)^ *prepare\b.*\n": ""}


def mse(name: str) -> Loss:
    return lambda result, **fields: F.mse_loss(result, fields[name])


def two_classes(result: Tensor, y: Tensor, **_: Tensor) -> Tensor:
    return F.binary_cross_entropy(result, y)


def odd(z: Tensor, label: Tensor, **_: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z[:, 0], label % 2.0)


def near(result: Tensor, depth: Tensor, **_: Tensor) -> Tensor:
    return F.huber_loss(result, depth, delta=0.2)


def squares(y: Tensor, label: Tensor, **_: Tensor) -> Tensor:
    return ((y - F.one_hot(label.long(), 10)) ** 2).sum(1).mean()


def regularised(result: Any, label: Tensor, **_: Tensor) -> Tensor:
    return F.cross_entropy(result[0], label.long()) + 0.003 / 2 * result[1]


def decayed(result: Any, label: Tensor, **_: Tensor) -> Tensor:
    return F.cross_entropy(result[0], label.long())


def six(result: Any, label: Tensor, **_: Tensor) -> Tensor:
    return torch.stack([F.cross_entropy(logits, label.long()) for logits in result]).sum()


def ink_twice(logits: Tensor, label: Tensor, **_: Tensor) -> Tensor:
    label = label.long()
    return F.cross_entropy(logits, label) + F.cross_entropy(logits, torch.where(label > 0, label, -100))


def cells(result: Any, box: Tensor, digit: Tensor, **_: Tensor) -> Tensor:
    """Each digit is put to the cell of its centre, one after the other; the largest wins."""
    place, logits = result
    b, k = (i.flatten() for i in torch.meshgrid(*map(torch.arange, digit.shape), indexing="ij"))
    row, column = (box[b, k, :2] * logits.shape[-1]).long().T
    wanted = torch.zeros(logits[:, 0].shape, dtype=torch.long)
    for i in range(len(b)):
        at = b[i], row[i], column[i]
        wanted[at] = max(wanted[at], digit[b[i], k[i]])
    far = ((place[b, :, row, column] - box[b, k]) ** 2).sum(1)
    there = digit[b, k] > 0
    return 8 * F.cross_entropy(logits, wanted) + 5 * far[there].sum() / there.sum().clamp(min=1)


def activations() -> Any:
    kinds = (nn.Sigmoid, nn.Tanh, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU)
    return p.Side(*(p.dense(*[64] * 11, 10, act=act) for act in kinds))


def highway() -> Any:
    return nn.Sequential(p.dense(784, 71), nn.ReLU(), p.tower(lambda: p.Highway(71), 71, 8))


def skip() -> Any:
    return p.tower(lambda: p.Residual(nn.Sequential(nn.Linear(64, 64), nn.Tanh())), times=8)


def plain() -> Any:
    return p.tower(lambda: p.dense(64, 64, 64, act=nn.Tanh)[:3], times=8)


def densenet121() -> Any:
    stem = [p.centred(3, 8, 7, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return p.densenet(stem, 8, 4, (2, 4, 4, 2), 16, True, 1000)


PERCEPTRONS = [
    row("activations/activations.zh", "Six", activations, six, B=5),
    row("digits.zh", "Digits", lambda: p.dense(64, 128, 10), classes(), B=5),
    row("mnist_mlp.zh", "Perceptron", lambda: p.dense(784, 256, 10), classes(), B=5),
    row("supervised/linear_regression.zh", "Hubble", lambda: nn.Linear(1, 1), mse("velocity"), B=9),
    row("supervised/logistic_regression.zh", "Odd", lambda: p.dense(64, 1), odd, B=5),
    row("supervised/softmax_regression.zh", "Softmax", lambda: p.dense(64, 10), classes(), B=5),
    row("supervised/input_normalisation.zh", "raw", lambda: p.dense(64, 10), squares, edits=UNPREPARED, B=5),
    row("supervised/weight_decay.zh", "regularised", lambda: p.Sized(64, 200, 10), regularised, B=5),
    row("supervised/weight_decay.zh", "decayed", lambda: p.Sized(64, 200, 10), decayed, B=5),
    row("supervised/xor.zh", "Xor", lambda: nn.Sequential(p.dense(2, 4, 1, act=nn.Tanh), nn.Sigmoid()), two_classes,
        below={"y": 2}, B=4),
    row("two_spirals.zh", "TwoSpirals", p.Spirals, two_classes, below={"y": 2}, B=9),
    row("depth/highway.zh", "HighwayNet", highway, classes(), edits={"repeat 50": "repeat 8"}, B=5),
    row("depth/plain_or_residual.zh", "Plain", lambda: p.pairs(4, False), classes(),
        edits={"repeat 27": "repeat 4"}, B=3),
    row("depth/plain_or_residual.zh", "Skipping", lambda: p.pairs(4, True), classes(),
        edits={"repeat 27": "repeat 4"}, B=3),
    row("skips/residual_mlp.zh", "Plain", plain, edits={"repeat 30": "repeat 8"}, B=5),
    row("skips/residual_mlp.zh", "Skip", skip, classes(), edits={"repeat 30": "repeat 8"}, B=5),
    row("skips/residual_mlp.zh", "Gated", lambda: p.tower(lambda: p.Highway(64), times=8),
        edits={"repeat 30": "repeat 8"}, B=5),
]  # fmt: skip
ALEX = {r"\[64, 11": "[4, 11", r"\[192, 5": "[6, 5", r"\[384, 3": "[8, 3", r"\[256, 3": "[5, 3", "4096": "16"}
VGG = {
    r"Stage\[64": "Stage[3",
    r"Stage\[128": "Stage[4",
    r"Stage\[256": "Stage[5",
    r"Stage\[512": "Stage[6",
    "4096": "16",
}
MANY = {"label": 1000}
CONVOLUTIONS = [
    row("convnets/lenet5.zh", "LeNet5", p.lenet, classes(), B=3),
    row("convnets/digits_convnet.zh", "ConvNet", p.digits_convnet, classes(smooth=0.05), B=3),
    row("vision/mobilenet.zh", "Mobile", p.mobile, classes(), B=5),
    row("imagenet/alexnet.zh", "AlexNet", lambda: p.alexnet((4, 6, 8, 5), 16), classes(),
        edits=pictures(64) | ALEX, below=MANY, B=3),
    row("imagenet/vgg16.zh", "VGG16", lambda: p.vgg(((3, 2), (4, 2), (5, 3), (6, 3), (6, 3)), 16), classes(),
        edits=pictures(32) | VGG, below=MANY, B=3),
    row("depth/resnet.zh", "ResNet20", lambda: p.resnet(2), classes(),
        edits=FEW_DATA | {r"ResNet\[\d+\]": "ResNet[2]"}, B=3),
    row("depth/resnet20_digits.zh", "ResNet20", lambda: p.resnet(1, channels=1), classes(),
        edits={"repeat 3 as i": "repeat 1 as i"}, B=2),
    row("depth/plain56.zh", "Plain56", lambda: p.resnet(2, "none"), classes(),
        edits=FEW_DATA | {r"Plain\[\d\]": "Plain[2]"}, B=3),
    row("depth/resnet_padded.zh", "ResNet20", lambda: p.resnet(2, "A"),
        edits=FEW | {r"ResNet\[\d+\]": "ResNet[2]"}, B=3),
    row("imagenet/resnet18.zh", "ResNet18", lambda: p.imagenet_resnet(4, (2, 2, 2, 2), False), classes(),
        edits=pictures(32) | {r"Conv\[64, 7": "Conv[4, 7", r"64 \* 2 \^ s": "4 * 2 ^ s"}, below=MANY, B=3),
    row("imagenet/resnet50.zh", "ResNet50", lambda: p.imagenet_resnet(2, (2, 3, 1, 2), True), classes(smooth=0.1),
        edits=pictures(32) | {r"Conv\[64, 7": "Conv[2, 7", r"64 \* 2 \^ s": "2 * 2 ^ s", "3, 4, 6, 3": "2, 3, 1, 2"},
        below=MANY, B=3),
    row("depth/densenet40.zh", "DenseNet40", lambda: p.densenet([p.Conv(3, 16, 3)], 16, 4, (3, 3, 3), 0, False, 10),
        classes(), edits=FEW_DATA | {"repeat 12": "repeat 3"}, consts={"G": 4}, B=3),
    row("imagenet/densenet121.zh", "DenseNet121", densenet121,
        edits={"H=224, W=224": "H=32, W=32", "6, 12, 24, 16": "2, 4, 4, 2"}, consts={"G": 4}, B=3),
]  # fmt: skip
UNET = {"H=572, W=572": "H=44, W=48", "H=388, W=388": "H=4, W=8", r"Level\[64, 4\]": "Level[4, 2]"}
VISION = [
    row("dense_prediction/unet.zh", "UNet", lambda: p.unet(4, 2), edits=UNET, B=2),
    row("dense_prediction/digit_scenes.zh", "Scenes", p.scenes, ink_twice, edits=scenes(40),
        below={"label": 11, "digit": 11}, B=2),
    row("dense_prediction/depth.zh", "Depth", p.Depth, near, edits=scenes(40), below={"depth": 1}, B=2),
    row("vision/detection.zh", "Detect", p.Detect, cells,
        edits={"H=64, W=64": "H=16, W=16", r"samples = \d+, digits": "size = 16, digits"}, consts={"G": 2},
        below={"label": 11, "box": 1, "digit": 11}, B=3),
    row("vision/keypoints.zh", "Pose", p.Pose, lambda place, points, **_: F.l1_loss(place, points),
        below={"points": 1}, B=2),
    row("vision/activity.zh", "Activity", p.Activity, classes(axis=2), consts={"T": 3}, below={"label": 5}, B=2),
    row("vision/questions.zh", "Count", p.Count, classes("answer"), edits=scenes(40),
        below={"question": 10, "answer": 3}, B=3),
    row("vision/captions.zh", "Caption", p.Caption, classes("next", 2, skip=0), edits=scenes(40),
        below={"tgt": 13, "next": 13}, B=3),
]  # fmt: skip


@pytest.mark.parametrize("row", PERCEPTRONS + CONVOLUTIONS + VISION, ids=str)
def test_a_spec_is_its_twin(row: Row, agree: Agree) -> None:
    agree(compared(row))
