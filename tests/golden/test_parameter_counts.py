"""Exact numbers of trainable parameters that papers and other libraries have published."""

from __future__ import annotations

import re
import tracemalloc
from functools import lru_cache

import pytest

from tests.golden.networks import SPECS, session
from zhdsl.lang.check import check
from zhdsl.lang.model import Project
from zhdsl.runtime import state
from zhdsl.source import Source

COUNTS = [
    ("two_spirals.zh", "TwoSpirals", 138),  # Lang & Witbrock 1988: 15 + 40 + 65 + 18
    ("convnets/lenet5.zh", "LeNet5", 61_706),  # 156 + 2,416 + 48,120 + 10,164 + 850
    ("depth/resnet.zh", "ResNet20", 272_474),  # He et al. 2015, table 6: 0.27M, 0.85M, 1.7M
    ("depth/resnet.zh", "ResNet56", 855_770),
    ("depth/resnet.zh", "ResNet110", 1_730_714),
    ("depth/resnet_padded.zh", "ResNet20", 269_722),
    ("depth/resnet_padded.zh", "ResNet110", 1_727_962),
    ("imagenet/resnet18.zh", "ResNet18", 11_689_512),  # torchvision, as all in this folder
    ("imagenet/resnet50.zh", "ResNet50", 25_557_032),
    ("depth/densenet40.zh", "DenseNet40", 1_019_722),  # Huang et al. 2016: 1.0M
    ("imagenet/densenet121.zh", "DenseNet121", 7_978_856),
    ("dense_prediction/unet.zh", "UNet", 31_030_658),  # Ronneberger et al. 2015, closed form
    ("imagenet/vgg16.zh", "VGG16", 138_357_544),
    ("imagenet/alexnet.zh", "AlexNet", 61_100_840),
    ("transformers/transformer.zh", "Transformer", 63_045_632),  # Vaswani et al. 2017: 65M with "about" 37,000 words
    ("transformers/bert.zh", "Bert", 109_482_240),  # Devlin et al. 2018, base, with the pooler
    ("transformers/gpt2.zh", "GPT2", 124_439_808),  # Radford et al. 2019, the smallest
    ("transformers/vit_b16.zh", "ViT", 86_567_656),  # torchvision
]


@lru_cache
def project(path: str) -> Project:
    """A spec without its recipe: counting needs the models only."""
    text = re.sub(r"(?ms)^(train \w+ \{.*?^\}|check [^\n]*)\n", "", (SPECS / path).read_text(encoding="utf-8"))
    return check(Source(path, text))


@pytest.mark.parametrize(("path", "name", "count"), COUNTS, ids=[f"{p}:{n}" for p, n, _ in COUNTS])
def test_a_network_has_the_published_number_of_parameters(path: str, name: str, count: int) -> None:
    assert state.count(project(path).models[name].params.values()) == count


def test_the_transformer_with_biases_in_its_projections_has_the_other_published_count() -> None:
    text = (SPECS / "transformers/transformer.zh").read_text(encoding="utf-8")
    blocks = """
block Encode(x: [B, T, D], keep: bool[B, T]) -> [B, T, D] {
  repeat N { x = EncoderLayer[H, F, P, bias = zeros](x, keep) }
  return x
}
block Decode(y: [B, T, D], m: [B, S, D], keep: bool[B, T], keep_m: bool[B, S]) -> [B, T, D] {
  repeat N { y = DecoderLayer[H, F, P, bias = zeros](y, m, keep, keep_m) }
  return y
}
"""
    model = text.partition("train")[0].replace("Encoder[N, H, F, P]", "Encode").replace("Decoder[N, H, F, P]", "Decode")
    assert session(model + blocks, "Transformer").param_count == 63_082_496


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("x -> Dense[16] -> relu -> Dense[16] -> relu -> Dense[1]", 337),  # micrograd's demo
        ("x -> Dense[2] -> sigmoid -> Dense[2] -> sigmoid", 12),  # Mazur
    ],
)
def test_a_small_perceptron_has_the_published_number_of_parameters(body: str, count: int) -> None:
    assert session(f"block M(x: [B, D=2]) {{ return {body} }}").param_count == count


def test_an_lstm_of_128_units_has_131_584_parameters_with_one_bias_for_each_gate() -> None:
    assert session("block M(x: [B, T, D=128]) { return x -> LSTM[128] }").param_count == 131_584


def test_counting_makes_no_weights() -> None:
    tracemalloc.start()
    try:
        found = project.__wrapped__("imagenet/vgg16.zh").models["VGG16"]
        assert state.count(found.params.values()) == 138_357_544
        assert tracemalloc.get_traced_memory()[1] < 50e6  # the weights would take 553 MB
    finally:
        tracemalloc.stop()
