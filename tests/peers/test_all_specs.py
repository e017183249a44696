"""Which specs are compared with PyTorch: all that define a model."""

from __future__ import annotations

import re

import pytest

from tests.peers.specs import SPECS
from tests.peers.test_specs_pictures import CONVOLUTIONS, PERCEPTRONS, VISION
from tests.peers.test_specs_texts import GENERATORS, SEQUENCES, TRANSFORMERS, TRANSLATION

pytestmark = pytest.mark.torch
ROWS = (*PERCEPTRONS, *CONVOLUTIONS, *VISION, *SEQUENCES, *TRANSFORMERS, *TRANSLATION)
COMPARED = {row.file for row in ROWS}
GENERATING = {name.partition(":")[0] for name in GENERATORS}


def test_every_spec_that_defines_a_model_has_a_twin() -> None:
    texts = {str(path.relative_to(SPECS)): path.read_text("utf-8") for path in SPECS.rglob("*.zh")}
    defining = {name for name, text in texts.items() if re.search(r"(?m)^model ", text)}
    assert defining - COMPARED - GENERATING == set()
    assert not COMPARED - defining


def test_more_than_twenty_five_specs_are_compared_with_their_gradients() -> None:
    assert len(COMPARED) >= 40
    assert len({row.file for row in ROWS if row.loss is not None}) >= 30  # and as they are trained, with their losses
