"""What must hold of every graph, before and after every pass.

`RULES` hold of graphs, `NODE_RULES` of each node of a graph and of the loop bodies in it, `BODY_RULES` of each body.
Every rule is a function that yields what is wrong, as text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from zhdsl.errors import CompilerError
from zhdsl.ir.body import Body, bodies
from zhdsl.ir.graph import INPUT_ROLES, OUTPUT_ROLES, Graph, Port
from zhdsl.ir.node import Node
from zhdsl.ir.op import REGISTRY
from zhdsl.ir.text import SOURCES, describe
from zhdsl.ir.types import DTYPES, TypeProblem

Wrong = Iterator[str]
FREE_SOURCES = ("const", "iota")  # sources that are no input
TUPLE = "tuple"  # the dtype of a loop's results together


def verify(graph: Graph, stage: str = "verify") -> None:
    """Raises `CompilerError`, which names the stage, the rule, the node and its place, at the first rule that fails.

    Args:
        graph: any graph.
        stage: what made it, for the message.
    """
    for rule in RULES:
        for wrong in rule(graph):
            raise CompilerError(f"{stage}: {graph.name}: {rule.__name__}: {wrong}")
    _verify_nodes(graph, graph, stage)


def _verify_nodes(region: Graph, whole: Graph, stage: str) -> None:
    """The nodes of a graph, or of a body in the form of one; `whole` knows the places."""
    for node in region.nodes:
        for body in bodies(node.op):
            for body_rule in BODY_RULES:
                for wrong in body_rule(body):
                    raise _broken(whole, stage, body_rule.__name__, node, wrong)
            _verify_nodes(as_graph(body), whole, stage)
        for rule in NODE_RULES:
            for wrong in rule(node):
                raise _broken(whole, stage, rule.__name__, node, wrong)


def _broken(graph: Graph, stage: str, rule: str, node: Node, wrong: str) -> CompilerError:
    places = sorted(graph.origins.get(node, ()), key=lambda o: o.key)
    place = f" from {places[0].span}" if places else ""
    return CompilerError(f"{stage}: {graph.name}: {rule}: {wrong} (in {describe(node)}{place})")


def as_graph(body: Body) -> Graph:
    """A body's outputs as a graph without inputs."""
    return Graph("body", (), tuple(Port("", node, node.type.labels, "result") for node in body.outputs))


# ---------------------------------------------------------------- graphs
def edges_are_acyclic(graph: Graph) -> Wrong:
    """No node needs itself."""
    import networkx

    if not networkx.is_directed_acyclic_graph(graph.nx):
        cycle = [edge[0] for edge in networkx.find_cycle(graph.nx)]
        yield "a cycle: " + " -> ".join(graph.nodes[i].op.name for i in (*cycle, cycle[0]))


def edges_are_operands(graph: Graph) -> Wrong:
    """The edges of the networkx graph carry the operands' slots, each once, in order."""
    position = {node: i for i, node in enumerate(graph.nodes)}
    for node, i in position.items():
        edges = sorted((slot, source) for source, _, slot in graph.nx.in_edges(i, keys=True))
        if edges != [(slot, position[x]) for slot, x in enumerate(node.operands)]:
            yield f"the edges into {describe(node)} are not its operands"


def inputs_are_sources(graph: Graph) -> Wrong:
    """An input is a source node, of the op that its role asks for."""
    for port in graph.inputs:
        if port.role not in INPUT_ROLES:
            yield f"input {port.name} has the role {port.role}"
        elif port.node.op.name != SOURCES[port.role]:
            yield f"input {port.name} of role {port.role} is {describe(port.node)}"


def names_are_unique(graph: Graph) -> Wrong:
    """Within inputs and within outputs, no name occurs twice in one role."""
    for what, ports in (("input", graph.inputs), ("output", graph.outputs)):
        for (role, name), times in Counter((p.role, p.name) for p in ports).items():
            if times > 1:
                yield f"{what} {role} {name} occurs {times} times"
    for node, times in Counter(p.node for p in graph.inputs).items():
        if times > 1:
            yield f"{times} inputs are {describe(node)}"


def sources_are_inputs(graph: Graph) -> Wrong:
    """Every source that is used is an input; constants are free."""
    given = {port.node for port in graph.inputs}
    yield from (f"{describe(node)} is used but no input" for node in _foreign(graph.nodes, given))


def outputs_have_roles(graph: Graph) -> Wrong:
    """An output is one tensor, in a role that outputs have."""
    for port in graph.outputs:
        if port.role not in OUTPUT_ROLES:
            yield f"output {port.name} has the role {port.role}"
        if port.node.type.dtype == TUPLE:
            yield f"output {port.name} is a loop, not one of its results"


def orders_are_permutations(graph: Graph) -> Wrong:
    """A port lists each axis of its node once."""
    for port in (*graph.inputs, *graph.outputs):
        if tuple(sorted(port.order)) != port.node.type.labels:
            yield f"{port.name} is in the order [{', '.join(port.order)}] but has the type {port.node.type}"


# ---------------------------------------------------------------- nodes
def op_is_registered(node: Node) -> Wrong:
    """The registry knows the op under its name."""
    if REGISTRY.get(node.op.name) is not type(node.op):
        yield f"{type(node.op).__name__} is not in the registry"


def arity_fits(node: Node) -> Wrong:
    """As many operands as the op takes."""
    if node.op.arity is not None and len(node.operands) != node.op.arity:
        yield f"{len(node.operands)} operands where {node.op.arity} are taken"


def type_is_inferred(node: Node) -> Wrong:
    """The type is what the op infers from its operands."""
    try:
        inferred = node.op.infer(*(x.type for x in node.operands))
    except (TypeProblem, ValueError) as problem:
        yield str(problem)
    else:
        if inferred != node.type:
            yield f"the type is {node.type}, inferred is {inferred}"


def dtype_is_known(node: Node) -> Wrong:
    """One of the dtypes; several results together only as a loop, and only projected."""
    if node.type.dtype == TUPLE:
        if node.op.family != "loop" or node.type.axes:
            yield "a tuple that is no loop"
    elif node.type.dtype not in DTYPES:
        yield f"{node.type.dtype} is not a dtype"
    if node.op.name != "project" and any(x.type.dtype == TUPLE for x in node.operands):
        yield "a loop is used as a tensor"


def sizes_are_counts(node: Node) -> Wrong:
    """Sizes that are numbers are whole and not negative."""
    for label, size in node.type.axes:
        if not size.symbols and (size.number is None or size.number < 0):
            yield f"axis {label} has the size {size}"


# ---------------------------------------------------------------- bodies
def body_is_closed(body: Body) -> Wrong:
    """Everything a step needs is one of its slots or a constant."""
    yield from (f"{describe(node)} is none of the body's slots" for node in _foreign(body.nodes, set(body.slots)))


def slots_fit(body: Body) -> Wrong:
    """The slots are of one key and distinct, carries first, then slices; every carry has a next value."""
    keys = {getattr(slot.op, "key", None) for slot in body.slots}
    if any(slot.op.name != "slot" for slot in body.slots) or len(keys) > 1 or len(set(body.slots)) < len(body.slots):
        yield "its slots are not distinct slots of one key"
    if not 0 <= body.carries <= body.carries + body.slices <= len(body.slots) or len(body.next) != body.carries:
        yield f"{body.carries} carries, {body.slices} slices, {len(body.slots)} slots and {len(body.next)} next"


def body_is_acyclic(body: Body) -> Wrong:
    """No node of a step needs itself."""
    yield from edges_are_acyclic(as_graph(body))


def _foreign(nodes: Sequence[Node], given: set[Node]) -> Iterator[Node]:
    return (n for n in nodes if n.op.family == "source" and n.op.name not in FREE_SOURCES and n not in given)


RULES: tuple[Callable[[Graph], Wrong], ...] = (
    edges_are_acyclic,
    edges_are_operands,
    inputs_are_sources,
    names_are_unique,
    sources_are_inputs,
    outputs_have_roles,
    orders_are_permutations,
)
NODE_RULES: tuple[Callable[[Node], Wrong], ...] = (
    op_is_registered,
    arity_fits,
    dtype_is_known,
    type_is_inferred,
    sizes_are_counts,
)
BODY_RULES: tuple[Callable[[Body], Wrong], ...] = (body_is_acyclic, slots_fit, body_is_closed)
