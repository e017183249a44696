"""The page of all ops."""

from __future__ import annotations

import inspect

from zhdsl.ir.op import FAMILIES, REGISTRY
from zhdsl.ops.document import document


def test_every_op_is_on_the_page_once_with_its_docstring() -> None:
    page = document()
    lines = page.splitlines()
    for name, cls in REGISTRY.items():
        assert lines.count(f"### {name}") == 1
        assert (inspect.getdoc(cls) or "") in page


def test_ops_stand_under_their_family() -> None:
    family, found = "", {}
    for line in document().splitlines():
        if line.startswith("## "):
            family = line.removeprefix("## ").lower()
        if line.startswith("### "):
            found[line.removeprefix("### ")] = family
    assert found == {name: cls.family for name, cls in REGISTRY.items()}
    assert tuple(dict.fromkeys(found.values())) == FAMILIES


def test_kernels_and_fields_are_shown() -> None:
    page = document()
    assert "Kernel: `tanh({x})`" in page
    assert "Kernel: `({acc} + {x})`" in page
    assert "Fields: `label: str, start: Size, size: Size`" in page


def test_the_page_is_the_same_every_time() -> None:
    assert document() == document()
