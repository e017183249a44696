"""The specs: all of them check, all their claims hold, they are short, and the counts are those of the literature."""

from __future__ import annotations

from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest

from zhdsl.data import known
from zhdsl.lang import ast
from zhdsl.lang.check import check
from zhdsl.lang.model import Model, Project
from zhdsl.lang.parser import parse
from zhdsl.source import Source

SPECS = Path(__file__).parent.parent.parent / "specs"
FILES = sorted(str(path.relative_to(SPECS)) for path in SPECS.rglob("*.zh"))
LINES = 40
DEEP = {
    "depth",
    "imagenet/resnet50.zh",
    "imagenet/densenet121.zh",
    "transformers/vit_b16.zh",
    "transformers/transformer.zh",
}


def marked(place: str) -> Any:
    """A spec, or a model in one, as a parameter; those of thousands of operations only run when asked for."""
    slow = any(place.startswith(deep) for deep in DEEP)
    return pytest.param(place, marks=pytest.mark.slow) if slow else place


# Counts that nobody here made: the papers' tables, torchvision, or closed forms of the papers' architectures.
LITERATURE = {
    "two_spirals.zh/TwoSpirals": 138,
    "convnets/lenet5.zh/LeNet5": 61_706,
    "depth/resnet.zh/ResNet20": 272_474,
    "depth/resnet.zh/ResNet56": 855_770,
    "depth/resnet.zh/ResNet110": 1_730_714,
    "depth/resnet_padded.zh/ResNet20": 269_722,
    "depth/resnet_padded.zh/ResNet110": 1_727_962,
    "depth/densenet40.zh/DenseNet40": 1_019_722,
    "imagenet/alexnet.zh/AlexNet": 61_100_840,
    "imagenet/vgg16.zh/VGG16": 138_357_544,
    "imagenet/resnet18.zh/ResNet18": 11_689_512,
    "imagenet/resnet50.zh/ResNet50": 25_557_032,
    "imagenet/densenet121.zh/DenseNet121": 7_978_856,
    "dense_prediction/unet.zh/UNet": 31_030_658,
    "transformers/transformer.zh/Transformer": 63_045_632,
    "transformers/gpt2.zh/GPT2": 124_439_808,
    "transformers/bert.zh/Bert": 109_482_240,
    "transformers/vit_b16.zh/ViT": 86_567_656,
}


@cache
def project(name: str) -> Project:
    path = SPECS / name
    return check(Source(name, path.read_text("utf-8")), path.parent)


def parameters(model: Model) -> int:
    return sum(prod(w.type.shape({}, w.order)) for w in model.params.values())


@pytest.mark.parametrize("name", [marked(name) for name in FILES])
def test_a_spec_checks_and_its_claims_hold(name: str) -> None:
    found = project(name)
    assert found.models or found.recipes
    wrong = [claim.span.text for claim in found.claims if claim.holds is False]
    assert not wrong


@pytest.mark.parametrize("name", FILES)
def test_a_spec_is_read_at_a_glance_and_says_where_it_comes_from(name: str) -> None:
    lines = (SPECS / name).read_text("utf-8").splitlines()
    assert len(lines) <= LINES
    assert lines[0].startswith("# ")
    assert max(map(len, lines)) <= 140


@pytest.mark.parametrize("place", [marked(place) for place in LITERATURE])
def test_a_count_of_parameters_is_that_of_the_literature(place: str) -> None:
    name, _, model = place.rpartition("/")
    assert parameters(project(name).models[model]) == LITERATURE[place]


@pytest.mark.parametrize("folder", sorted({str(Path(name).parent) for name in FILES} - {"imagenet"}))
def test_every_chapter_can_be_trained_without_files_from_elsewhere(folder: str) -> None:
    """At least one recipe of the chapter uses data that the package brings or makes."""
    needs_files = {"cifar10", "mnist", "fashion_mnist", "idx", "image_folder", "text", "text_pairs"}
    used = {data for name in FILES if str(Path(name).parent) == folder for data in data_sets(SPECS / name)}
    assert used & (set(known()) - needs_files)


def data_sets(path: Path) -> list[str]:
    """What the recipes of a spec are trained with."""
    items = parse(Source(path.name, path.read_text("utf-8"))).items
    entries = [entry for item in items if isinstance(item, ast.Train) for entry in item.entries]
    return [entry.value.span.text.partition("[")[0] for entry in entries if entry.key == ("data",)]
