"""Operations are counted by hand for small graphs, symbols and loops included."""

from __future__ import annotations

import pytest

import zhdsl.ops  # noqa: F401  (fills the registry)
from zhdsl.ir.body import Body, new_slots
from zhdsl.ir.cost import flops, flops_of
from zhdsl.ir.node import Builder, Node, apply, topological
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type


def value(name: str, **axes: int | str) -> Node:
    type_ = Type("float", tuple((label, Size.of(size)) for label, size in axes.items()))
    return apply("input", port=name, type=type_)


def test_a_product_counts_two_for_each_point_of_the_union() -> None:
    with Builder():
        x, w = value("x", B="B", D=3), value("w", D=3, N=5)
        assert flops_of(apply("contract", x, w, labels=("D",))) == Size.of("B") * 30


def test_elementwise_counts_the_elements_of_the_result() -> None:
    with Builder():
        x, b = value("x", B="B", D=3), value("b", D=3)
        assert flops_of(x + b) == Size.of("B") * 3
        assert flops_of(apply("tanh", b)) == 3
        assert flops_of(apply("stop", b)) == 0


def test_a_reduction_counts_the_elements_of_its_operand() -> None:
    with Builder():
        x = value("x", B="B", D=3)
        assert flops_of(apply("sum", x, labels=("D",))) == Size.of("B") * 3


def test_moving_is_free() -> None:
    with Builder():
        x, i = value("x", B="B", D=3), apply("input", port="i", type=Type("i32", (("B", Size.of("B")),)))
        moved = [
            apply("relabel", x, names=(("D", "E"),)),
            apply("flip", x, label="D"),
            apply("gather", x, i, labels=("D",)),
        ]
        assert [flops_of(node) for node in (x, *moved)] == [0, 0, 0, 0]


def test_a_loop_counts_its_body_once_for_every_step() -> None:
    with Builder():
        first, x = value("h", D=3), value("x", T="T", D=3)
        h, now = new_slots([first.type, Type("float", (("D", Size.of(3)),))])
        body = Body(1, 1, (h, now), (apply("tanh", h + now),), ())
        scan = apply("scan", first, x, label="T", size=Size.of("T"), reverse=False, truncate=0, body=body)
        last = apply("project", scan, index=scan.op.final(0), type=first.type)
        assert flops_of(scan) == Size.of("T") * 6
        assert flops(topological([last])) == Size.of("T") * 6


@pytest.mark.parametrize(("batch", "total"), [(1, 36), (4, 144)])
def test_a_graph_costs_the_sum_of_its_nodes(batch: int, total: int) -> None:
    with Builder():
        x, w = value("x", B="B", D=3), value("w", D=3, N=5)
        y = apply("contract", x, w, labels=("D",))
        nodes = topological([apply("sum", apply("tanh", x), labels=("D",)), y])
        assert flops(nodes).evaluate({"B": batch}) == total
