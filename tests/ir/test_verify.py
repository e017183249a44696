"""Every rule of the verifier finds its breach, and says what and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

import zhdsl.ops  # noqa: F401 - fills the registry
from tests.passes.random_graphs import random_example
from zhdsl.errors import CompilerError
from zhdsl.ir.body import Body
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Builder, Node, Origin, apply
from zhdsl.ir.op import Op
from zhdsl.ir.read import read_graph
from zhdsl.ir.sizes import Size
from zhdsl.ir.types import Type
from zhdsl.ir.verify import BODY_RULES, NODE_RULES, RULES, verify
from zhdsl.ops.elementwise import Add, Tanh
from zhdsl.ops.loop import Scan
from zhdsl.ops.source import Input
from zhdsl.source import Source, Span

TEXT = """graph g {
  input data x: [B, T] as %0
  %1 = scan[label=T, size=T, reverse=false, truncate=0, body={
    carry %0: [B]
    slice %1: [B]
    %2 = mul(%0, %1): [B]
    next %2
  }](%2, %0)
  %3 = project[1](%1): [B]
  %4 = tanh(%3): [B]
  output result y[B] = %4
}
"""


def graph() -> Graph:
    return read_graph(TEXT.replace("  %1 = scan", "  %2 = expand[B](0.0)\n  %1 = scan"))


def with_output(g: Graph, node: Node, **changes: object) -> Graph:
    port = replace(g.outputs[0], node=node, order=node.type.labels)
    return replace(g, outputs=(replace(port, **changes),))  # type: ignore[arg-type]


def y(g: Graph) -> Node:
    return g.outputs[0].node


def with_body(change: Callable[[Body], Body]) -> Graph:
    """The graph with another body in its loop."""
    g = graph()
    scan = y(g).operands[0].operands[0]
    assert isinstance(scan.op, Scan)
    loop = Node(replace(scan.op, body=change(scan.op.body)), scan.operands, scan.type)
    return with_output(g, Node(y(g).op, (Node(y(g).operands[0].op, (loop,), y(g).type),), y(g).type))


# ---------------------------------------------------------------- breaches
def cyclic() -> Graph:
    g = graph()
    y(g).operands[0].operands = (y(g),)
    return g


def mutated() -> Graph:
    """Operands that change after the edges were made."""
    g = graph()
    edges = g.nx
    assert edges.number_of_nodes()
    y(g).operands = (g.inputs[0].node,)
    return g


def input_of_a_role_that_is_none() -> Graph:
    g = graph()
    return replace(g, inputs=(replace(g.inputs[0], role="secret"),))


def param_given_as_data() -> Graph:
    g = graph()
    return replace(g, inputs=(replace(g.inputs[0], role="param"),))


def input_that_is_computed() -> Graph:
    g = graph()
    return replace(g, inputs=(*g.inputs, Port("y", y(g), ("B",), "data")))


def two_inputs_of_one_name() -> Graph:
    g = graph()
    other = Node(Input("z", Type("float")), (), Type("float"))
    return replace(g, inputs=(*g.inputs, Port("x", other, (), "data")))


def two_outputs_of_one_name() -> Graph:
    g = graph()
    return replace(g, outputs=(*g.outputs, *g.outputs))


def one_node_as_two_inputs() -> Graph:
    g = graph()
    return replace(g, inputs=(*g.inputs, replace(g.inputs[0], name="z")))


def source_without_a_port() -> Graph:
    return replace(graph(), inputs=())


def output_of_a_role_that_is_none() -> Graph:
    g = graph()
    return with_output(g, y(g), role="data")


def loop_as_an_output() -> Graph:
    g = graph()
    return with_output(g, y(g).operands[0].operands[0])


def order_that_lacks_an_axis() -> Graph:
    g = graph()
    return replace(g, inputs=(replace(g.inputs[0], order=("T",)),))


def order_with_an_axis_too_many() -> Graph:
    g = graph()
    return replace(g, outputs=(replace(g.outputs[0], order=("B", "T")),))


@dataclass(frozen=True)
class Unknown(Op):
    name: ClassVar[str] = "tanh"
    family: ClassVar[str] = "elementwise"

    def infer(self, *types: Type) -> Type:
        return types[0]


def op_under_a_name_of_another() -> Graph:
    g = graph()
    return with_output(g, Node(Unknown(), y(g).operands, y(g).type))


def operand_too_few() -> Graph:
    g = graph()
    return with_output(g, Node(Add(), y(g).operands, y(g).type))


def type_that_was_not_inferred() -> Graph:
    g = graph()
    return with_output(g, Node(Tanh(), y(g).operands, Type("float")))


def operands_that_do_not_fit() -> Graph:
    g = graph()
    with Builder():
        truth = apply("const", value=True, dtype="bool")
    return with_output(g, Node(Add(), (y(g), truth), y(g).type))


def dtype_that_is_none() -> Graph:
    wrong = Type("f8", (("B", Size.of("B")),))
    source = Node(Input("x", wrong), (), wrong)
    return Graph("g", (Port("x", source, ("B",), "data"),), (Port("y", source, ("B",), "result"),))


def loop_as_a_tensor() -> Graph:
    g = graph()
    loop = y(g).operands[0].operands[0]
    return with_output(g, Node(Tanh(), (loop,), Type("tuple")), role="result")


def size_below_zero() -> Graph:
    wrong = Type("float", (("B", Size.of(-1)),))
    source = Node(Input("x", wrong), (), wrong)
    return Graph("g", (Port("x", source, ("B",), "data"),), (Port("y", source, ("B",), "result"),))


def size_that_is_not_whole() -> Graph:
    wrong = Type("float", (("B", Size.of(1) / 2),))
    source = Node(Input("x", wrong), (), wrong)
    return Graph("g", (Port("x", source, ("B",), "data"),), (Port("y", source, ("B",), "result"),))


def body_that_reaches_outside() -> Graph:
    def change(body: Body) -> Body:
        outside = Node(Input("x", body.slots[0].type), (), body.slots[0].type)
        return body.with_outputs((Node(Add(), (body.slots[0], outside), outside.type),))

    return with_body(change)


def slot_that_is_there_twice() -> Graph:
    return with_body(lambda body: replace(body, slots=(body.slots[0], body.slots[0])))


def slots_of_two_bodies() -> Graph:
    def change(body: Body) -> Body:
        with Builder():
            other = apply("slot", key=-1, index=1, type=body.slots[1].type)
            outputs = (apply("mul", body.slots[0], other),)
        return Body(1, 1, (body.slots[0], other), outputs, ())

    return with_body(change)


def carry_without_a_next_value() -> Graph:
    return with_body(lambda body: replace(body, carries=2, slices=0))


def cycle_in_a_body() -> Graph:
    def change(body: Body) -> Body:
        body.next[0].operands = (body.next[0], body.slots[1])
        return body

    return with_body(change)


def wrong_node_in_a_body() -> Graph:
    return with_body(lambda body: body.with_outputs([Node(Tanh(), body.next[0].operands, body.next[0].type)]))


BREACHES: dict[Callable[[], Graph], str] = {
    cyclic: "edges_are_acyclic: a cycle: ",
    mutated: "edges_are_operands: the edges into tanh",
    input_of_a_role_that_is_none: "inputs_are_sources: input x has the role secret",
    param_given_as_data: "inputs_are_sources: input x of role param is input[x](): [B, T]",
    input_that_is_computed: "inputs_are_sources: input y of role data is tanh([B]): [B]",
    two_inputs_of_one_name: "names_are_unique: input data x occurs 2 times",
    two_outputs_of_one_name: "names_are_unique: output result y occurs 2 times",
    one_node_as_two_inputs: "names_are_unique: 2 inputs are input[x](): [B, T]",
    source_without_a_port: "sources_are_inputs: input[x](): [B, T] is used but no input",
    output_of_a_role_that_is_none: "outputs_have_roles: output y has the role data",
    loop_as_an_output: "outputs_have_roles: output y is a loop, not one of its results",
    order_that_lacks_an_axis: "orders_are_permutations: x is in the order [T] but has the type [B, T]",
    order_with_an_axis_too_many: "orders_are_permutations: y is in the order [B, T] but has the type [B]",
    op_under_a_name_of_another: "op_is_registered: Unknown is not in the registry (in tanh([B]): [B])",
    operand_too_few: "arity_fits: 1 operands where 2 are taken (in add([B]): [B])",
    type_that_was_not_inferred: "type_is_inferred: the type is [], inferred is [B]",
    operands_that_do_not_fit: "type_is_inferred: add of different dtypes: bool, float",
    dtype_that_is_none: "dtype_is_known: f8 is not a dtype",
    loop_as_a_tensor: "outputs_have_roles: output y is a loop",
    size_below_zero: "sizes_are_counts: axis B has the size -1",
    size_that_is_not_whole: "sizes_are_counts: axis B has the size 1/2",
    body_that_reaches_outside: "body_is_closed: input[x](): [B] is none of the body's slots (in scan[label=T, size=T, ",
    slot_that_is_there_twice: "slots_fit: its slots are not distinct slots of one key",
    slots_of_two_bodies: "slots_fit: its slots are not distinct slots of one key",
    carry_without_a_next_value: "slots_fit: 2 carries, 0 slices, 2 slots and 1 next",
    cycle_in_a_body: "body_is_acyclic: a cycle: mul -> mul",
    wrong_node_in_a_body: "arity_fits: 2 operands where 1 are taken (in tanh([B], [B]): [B])",
}


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.__name__)
def test_a_breach_is_found_and_named(breach: Callable[[], Graph]) -> None:
    with pytest.raises(CompilerError) as caught:
        verify(breach(), "some pass")
    assert f": {BREACHES[breach]}" in str(caught.value)
    assert str(caught.value).startswith("some pass: ")


def test_every_rule_has_a_breach() -> None:
    rules = {rule.__name__ for table in (RULES, NODE_RULES, BODY_RULES) for rule in table}
    assert rules == {message.split(":")[0] for message in BREACHES.values()}


def test_a_loop_that_is_computed_with_is_found_below_the_outputs() -> None:
    g = graph()
    loop = y(g).operands[0].operands[0]
    wrong = Node(Add(), (loop, loop), Type("tuple"))
    with pytest.raises(CompilerError, match="dtype_is_known: a tuple that is no loop"):
        verify(with_output(g, Node(Tanh(), (wrong,), Type("float"))))


def test_the_place_in_the_users_text_is_named() -> None:
    g = type_that_was_not_inferred()
    span = Span(Source("net.zh", "y = tanh(x)"), 4, 11)
    g = replace(g, origins={y(g): frozenset([Origin(span)])})
    with pytest.raises(CompilerError, match=r"in tanh\(\[B\]\): \[\] from net.zh:1:5"):
        verify(g)


def test_sound_graphs_pass() -> None:
    verify(graph())
    for seed in range(40):
        verify(random_example(seed).graph)
