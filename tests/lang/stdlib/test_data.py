"""data.zh: what `prepare` and `augment` do to pictures, and that the declared data sets are those that are made."""

from __future__ import annotations

from inspect import Parameter, signature
from pathlib import Path

import numpy as np
import pytest

from tests.lang.stdlib.library import Array, session, value
from zhdsl import data
from zhdsl.data import registry
from zhdsl.ir.sizes import Size
from zhdsl.lang import ast
from zhdsl.lang.parser import parse
from zhdsl.runtime.spec import opened
from zhdsl.source import Source

RNG = np.random.default_rng(19)
IMAGE = "image: [B, C=2, H=6, W=5]"
X = RNG.uniform(1, 2, (200, 2, 6, 5))


def test_standardize_gives_mean_0_and_deviation_1_for_each_index_of_its_axes() -> None:
    for axes, over in (("", (0, 1, 2, 3)), ("[C]", (0, 2, 3)), ("[(H, W)]", (0, 1))):
        y = value(IMAGE, f"image -> standardize{axes}", X)
        np.testing.assert_allclose(y, (X - X.mean(over, keepdims=True)) / X.std(over, keepdims=True), rtol=1e-9)


def test_standardize_leaves_what_never_changes_at_0() -> None:
    x = X.copy()
    x[:, 0] = 3
    y = value(IMAGE, "image -> standardize[C]", x)
    assert (y[:, 0] == 0).all()
    np.testing.assert_allclose(y[:, 1].std(), 1)


# ---------------------------------------------------------------- augmentation
def moved(image: Array, top: int, left: int) -> Array:
    """The crop of the padded image that begins at (top, left)."""
    big = np.pad(image, [(0, 0), (2, 2), (2, 2)])
    return big[:, top : top + 6, left : left + 5]


def test_pad_crop_takes_one_crop_for_each_picture_and_all_of_them_in_time() -> None:
    y = value(IMAGE, "image -> pad_crop[2]", X, train=True)
    assert y.shape == X.shape
    places = set()
    for before, after in zip(X, y, strict=True):
        found = [(i, j) for i in range(5) for j in range(5) if (moved(before, i, j) == after).all()]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 25


def test_random_flip_mirrors_about_half_of_the_pictures() -> None:
    y = value(IMAGE, "image -> random_flip[W]", X, train=True)
    same = (y == X).all((1, 2, 3))
    mirrored = (y == X[..., ::-1]).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130
    assert (value(IMAGE, "image -> random_flip[W, p = 0]", X, train=True) == X).all()


def test_shift_moves_and_brings_in_zeros() -> None:
    y = value(IMAGE, "image -> shift[W, 2]", X, train=True)
    by = [next(k for k in range(-2, 3) if (_shifted(a, k) == b).all()) for a, b in zip(X, y, strict=True)]
    assert set(by) == {-2, -1, 0, 1, 2}


def _shifted(image: Array, k: int) -> Array:
    """out[w] = in[w + k], 0 outside."""
    big = np.pad(image, [(0, 0), (0, 0), (2, 2)])
    return big[..., 2 + k : 2 + k + 5]


def test_cutout_blanks_a_square_in_every_channel() -> None:
    y = value(IMAGE, "image -> cutout[3]", X, train=True)
    blank = y == 0
    assert (blank[:, 0] == blank[:, 1]).all()
    assert (y[~blank] == X[~blank]).all()
    rows, columns = blank[:, 0].any(2).sum(1), blank[:, 0].any(1).sum(1)
    assert (blank[:, 0].sum((1, 2)) == rows * columns).all()
    assert (rows.min(), rows.max(), columns.max()) == (2, 3, 3)  # the centre is in the picture, so two rows at least


def test_noise_and_brightness_change_numbers_as_they_say() -> None:
    y = value(IMAGE, "image -> noise[0.5]", X, train=True) - X
    assert abs(y.std() - 0.5) < 0.02
    factor = value(IMAGE, "image -> brightness[0.2]", X, train=True) / X
    assert np.ptp(factor, axis=(1, 2, 3)).max() < 1e-12
    assert 0.8 <= factor.min() < 0.82
    assert 1.18 < factor.max() <= 1.2


def test_augmentation_draws_anew_at_each_step() -> None:
    m = session(IMAGE, "image -> pad_crop[2]")
    first = m(X, train=True)
    m.step_count = 1
    assert (m(X, train=True) != first).any()


# ---------------------------------------------------------------- declarations
STDLIB = Path(data.__file__).parent.parent / "lang" / "stdlib" / "data.zh"
ITEMS = parse(Source("data.zh", STDLIB.read_text("utf-8"))).items
DECLARED = {item.name: item for item in ITEMS if isinstance(item, ast.Dataset)}
FILES = {"cifar10", "mnist", "fashion_mnist", "idx", "image_folder", "text", "text_pairs"}  # read from the user's files
KINDS = {"float32": "float", "int32": "i32", "bool": "bool"}


def test_every_registered_data_set_is_declared_and_the_other_way_round() -> None:
    ours = {name for name, provider in registry._PROVIDERS.items() if provider.__module__.startswith("zhdsl.")}
    assert set(DECLARED) == ours  # other tests register some of their own


@pytest.mark.parametrize("name", DECLARED)
def test_statics_and_their_defaults_are_those_of_the_provider(name: str) -> None:
    parameters = dict(signature(registry._PROVIDERS[name]).parameters)
    parameters.pop("folder", None)
    declared = {s.name: getattr(s.default, "value", None) for s in DECLARED[name].statics}
    assert declared == {k: None if p.default is Parameter.empty else p.default for k, p in parameters.items()}


@pytest.mark.parametrize("name", sorted(set(DECLARED) - FILES))
def test_fields_have_the_declared_types_and_sizes(name: str) -> None:
    made = data.load(name, {}, Path())
    assert list(made.fields) == [r.name for r in DECLARED[name].results]
    fields = DECLARED[name].results
    signature_ = ", ".join(f"{r.name}: {r.type.span.text}" for r in fields)
    statics = {s.name: getattr(s.default, "value", None) for s in DECLARED[name].statics}
    consts = "".join(f"const {k} = {v}\n" for k, v in statics.items() if isinstance(v, int))
    spec, _ = opened(f"{consts}block M({signature_}) {{\n  return {fields[0].name}\n}}\n", "M")
    for port in spec.model.inputs:
        array = made.fields[port.name]
        assert KINDS[array.dtype.name] == port.node.type.dtype
        sizes = [port.node.type.sizes[label] for label in port.order]
        assert sizes[0] == Size.of("B")
        assert all(n.number in (None, m) for n, m in zip(sizes[1:], array.shape[1:], strict=True))
