"""The specs on pictures, and the perceptrons, against PyTorch: small, but with all their layers."""

from __future__ import annotations

import pytest

from tests.peers import pictures as p
from tests.peers.conftest import Agree
from tests.peers.specs import Row, classes, compared
from tests.peers.twin import F, nn

pytestmark = pytest.mark.torch
DIGITS = {"sizes": {"B": 5}, "below": {"label": 10}}
CIFAR = DIGITS | {"sizes": {"B": 3}}
IMAGENET = CIFAR | {"below": {"label": 1000}}
LESS = {"H=32, W=32": "H=8, W=8"}
LESS_DATA = LESS | {'cifar10[split = "all"]': 'image_folder[file = "pictures", height = 8, width = 8]'}
SMALL = {"H=224, W=224": "H=32, W=32", "height = 224, width = 224": "height = 32, width = 32"}
MIDDLE = {"H=224, W=224": "H=64, W=64", "height = 224, width = 224": "height = 64, width = 64"}


def scenes(name: str) -> dict[str, str]:
    """Scenes of 16 pixels' width."""
    return {"H=64, W=64": "H=16, W=16", f"digit_{name}[": f"digit_{name}[size = 16, "}


def mse(name: str):  # type: ignore[no-untyped-def]
    return lambda result, **fields: F.mse_loss(result, fields[name])


PERCEPTRONS = [
    Row("activations/activations.zh", "Sigmoid", lambda: p.dense(*[64] * 11, 10, act=nn.Sigmoid), classes(), **DIGITS),
    Row("activations/activations.zh", "Relu", lambda: p.dense(*[64] * 11, 10), classes(), **DIGITS),
    Row("activations/activations.zh", "Tanh", lambda: p.dense(*[64] * 11, 10, act=nn.Tanh), sizes={"B": 5}),
    Row("digits.zh", "Digits", lambda: p.dense(64, 128, 10), classes(), **DIGITS),
    Row("mnist_mlp.zh", "Perceptron", lambda: p.dense(784, 256, 10), classes(), **DIGITS),
    Row("supervised/linear_regression.zh", "Hubble", lambda: nn.Linear(1, 1), mse("velocity"), sizes={"B": 9}),
    Row("supervised/logistic_regression.zh", "Odd", lambda: p.dense(64, 1), lambda z, label, **_:
        F.binary_cross_entropy_with_logits(z[:, 0], label % 2.0), **DIGITS),
    Row("supervised/softmax_regression.zh", "Softmax", lambda: p.dense(64, 10), classes(), **DIGITS),
    Row("supervised/xor.zh", "Xor", lambda: nn.Sequential(p.dense(2, 4, 1, act=nn.Tanh), nn.Sigmoid()),
        lambda result, y, **_: F.binary_cross_entropy(result, y), sizes={"B": 4}, below={"y": 2}),
    Row("two_spirals.zh", "TwoSpirals", p.Spirals,
        lambda result, y, **_: F.binary_cross_entropy(result, y), sizes={"B": 9}, below={"y": 2}),
    Row("depth/highway.zh", "HighwayNet", lambda: nn.Sequential(
        p.dense(784, 71), nn.ReLU(), p.tower(lambda: p.Highway(71), 71, 50)), classes(), **DIGITS),
    Row("skips/residual_mlp.zh", "Plain", lambda: p.tower(lambda: p.dense(64, 64, 64, act=nn.Tanh)[:3]), sizes={"B": 5}),
    Row("skips/residual_mlp.zh", "Skip", lambda: p.tower(
        lambda: p.Residual(nn.Sequential(nn.Linear(64, 64), nn.Tanh()))), classes(), **DIGITS),
    Row("skips/residual_mlp.zh", "Gated", lambda: p.tower(lambda: p.Highway(64)), sizes={"B": 5}),
]  # fmt: skip
CONVOLUTIONS = [
    Row("convnets/lenet5.zh", "LeNet5", p.lenet, classes(), sizes={"B": 3}, below={"label": 10}),
    Row("convnets/digits_convnet.zh", "ConvNet", p.digits_convnet, classes(smooth=0.05), **CIFAR),
    Row("vision/mobilenet.zh", "Mobile", p.mobile, classes(), **DIGITS),
    Row("imagenet/alexnet.zh", "AlexNet", lambda: p.alexnet((4, 6, 8, 5), 16), classes(), edits=MIDDLE | {
        "[64, 11": "[4, 11", "[192, 5": "[6, 5", "[384, 3": "[8, 3", "[256, 3": "[5, 3", "4096": "16"}, **IMAGENET),
    Row("imagenet/vgg16.zh", "VGG16", lambda: p.vgg(((3, 2), (4, 2), (5, 3), (6, 3), (6, 3)), 16), classes(), edits=SMALL | {
        "Stage[64": "Stage[3", "Stage[128": "Stage[4", "Stage[256": "Stage[5", "Stage[512": "Stage[6", "4096": "16"}, **IMAGENET),
    Row("depth/resnet.zh", "ResNet20", lambda: p.resnet(3), classes(), edits=LESS_DATA, **CIFAR),
    Row("depth/plain56.zh", "Plain56", lambda: p.resnet(9, "none"), classes(), edits=LESS_DATA, **CIFAR),
    Row("depth/resnet_padded.zh", "ResNet20", lambda: p.resnet(3, "A"), edits=LESS, sizes={"B": 3}),
    Row("imagenet/resnet18.zh", "ResNet18", lambda: p.imagenet_resnet(4, (2, 2, 2, 2), False), classes(),
        edits=SMALL | {"Conv[64, 7": "Conv[4, 7", "64 * 2 ^ s": "4 * 2 ^ s"}, **IMAGENET),
    Row("imagenet/resnet50.zh", "ResNet50", lambda: p.imagenet_resnet(2, (3, 4, 6, 3), True), classes(smooth=0.1),
        edits=SMALL | {"Conv[64, 7": "Conv[2, 7", "64 * 2 ^ s": "2 * 2 ^ s"}, **IMAGENET),
    Row("depth/densenet40.zh", "DenseNet40", lambda: p.densenet([p.Conv(3, 16, 3)], 16, 4, (5, 5, 5), 0, False, 10), classes(),
        edits=LESS_DATA | {"G = 12": "G = 4", "repeat 12": "repeat 5"}, **CIFAR),
    Row("imagenet/densenet121.zh", "DenseNet121", lambda: p.densenet(
        [p.centred(3, 8, 7, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 8, 4, (2, 4, 4, 2), 16, True, 1000),
        edits={"H=224, W=224": "H=32, W=32", "G = 32": "G = 4", "(6, 12, 24, 16)": "(2, 4, 4, 2)"}, sizes={"B": 3}),
]  # fmt: skip
DENSE_PREDICTION = [
    Row("dense_prediction/unet.zh", "UNet", lambda: p.unet(4, 2), edits={
        "H=572, W=572": "H=44, W=48", "H=388, W=388": "H=4, W=8", "Level[64, 4]": "Level[4, 2]"}, sizes={"B": 2}),
    Row("dense_prediction/digit_scenes.zh", "Scenes", p.scenes, classes(), edits=scenes("scenes"),
        sizes={"B": 2}, below={"label": 11, "box": 1, "digit": 11}),
    Row("dense_prediction/depth.zh", "Depth", p.Depth,
        lambda near, depth, **_: F.huber_loss(near, depth, delta=0.2), edits=scenes("depth"),
        sizes={"B": 2}, below={"depth": 1}),
]  # fmt: skip
VISION = [
    Row("vision/detection.zh", "Detect", lambda: p.Detect(1), lambda result, box, digit, **_: 10 * F.mse_loss(
        result[0], box[:, 0]) + F.cross_entropy(result[1], digit[:, 0].long()), edits=scenes("scenes"),
        sizes={"B": 3}, below={"label": 11, "box": 1, "digit": 11}),
    Row("vision/questions.zh", "Count", p.Count, classes("answer"), edits=scenes("questions"),
        sizes={"B": 3}, below={"question": 10, "answer": 4}),
    Row("vision/captions.zh", "Caption", p.Caption, classes("next", 2, skip=0), edits=scenes("captions"),
        sizes={"B": 3}, below={"tgt": 13, "next": 13}),
]  # fmt: skip


@pytest.mark.parametrize("row", PERCEPTRONS + CONVOLUTIONS + DENSE_PREDICTION + VISION, ids=str)
def test_a_spec_is_its_twin(row: Row, agree: Agree) -> None:
    agree(compared(row))
