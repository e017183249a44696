"""Scenes have the nodes and edges of their graphs, no more and no less, in the groups that the text makes."""

from __future__ import annotations

import pytest

from tests.viz.scenes import LSTM, RESNET152, SKIP, graph_of, scene_of
from zhdsl.ir.node import Node
from zhdsl.schedule import schedule
from zhdsl.viz import scene_of_program
from zhdsl.viz.fold import MOST, everything, opened, seen_as, visible
from zhdsl.viz.layers import Cell, levels
from zhdsl.viz.scene import ROOT

FILES = ("two_spirals.zh", "depth/resnet.zh ResNet20", "translation/bahdanau.zh Teach", "sequences/adding.zh")
STAGES = ("graph", "grad", "step", "passes")
LONG = ("depth/resnet.zh ResNet20", "translation/bahdanau.zh Teach")
CASES = [
    pytest.param(file, stage, marks=[pytest.mark.slow] if file in LONG and stage != "graph" else [])
    for file in FILES
    for stage in STAGES
]


def counts(nodes: tuple[Node, ...]) -> tuple[int, int]:
    """Nodes, with those of loops, and operands."""
    bodies = [counts(node.op.body.nodes) for node in nodes if node.op.name == "scan"]
    operands = sum(len(node.operands) for node in nodes)
    return len(nodes) + sum(n for n, _ in bodies), operands + sum(e for _, e in bodies)


def of_bodies(nodes: tuple[Node, ...]) -> int:
    """Edges of a scene beyond operands: the results of a loop's body, and what goes on to its next round; but for slots
    that are not used, whose operands lead to the loop itself."""
    count = 0
    for node in nodes:
        if node.op.name == "scan":
            body, used = node.op.body, set(node.op.body.nodes)
            count += len(body.outputs) + of_bodies(body.nodes)
            count += sum(old in used and new is not old for new, old in zip(body.next, body.slots, strict=False))
    return count


@pytest.mark.parametrize(("text", "stage"), CASES)
def test_a_scene_has_the_nodes_and_edges_of_its_graph(text: str, stage: str) -> None:
    graph, scene = graph_of(text, stage), scene_of(text, stage)
    nodes, operands = counts(graph.nodes)
    assert len(scene.items) == nodes
    assert len(scene.edges) == operands + of_bodies(graph.nodes)
    if nodes == len(graph.nodes):  # no loops
        assert len(scene.edges) == graph.nx.number_of_edges()


@pytest.mark.parametrize(("text", "stage"), CASES)
def test_every_edge_is_in_the_levels_that_it_passes(text: str, stage: str) -> None:
    scene = scene_of(text, stage)
    drawn = {e for level in levels(scene).values() for wire in level.wires for e in wire.edges}
    other = {i for i, e in enumerate(scene.edges) if scene.items[e.source].value is not None or scene.is_across(e)}
    assert drawn | other == set(range(len(scene.edges)))
    assert not drawn & other


@pytest.mark.parametrize(("text", "stage"), CASES)
def test_every_item_and_group_has_one_place_in_the_rows(text: str, stage: str) -> None:
    scene = scene_of(text, stage)
    cells = [c for level in levels(scene).values() for row in level.rows for c in row if c.kind in ("item", "group")]
    items = [c for i, item in enumerate(scene.items) if item.value is None for c in [Cell("item", i)]]
    assert sorted(cells) == sorted([*items, *(Cell("group", g) for g in range(len(scene.groups)))])


@pytest.mark.parametrize(("text", "stage"), CASES)
def test_rows_lead_from_operands_to_results(text: str, stage: str) -> None:
    for level in levels(scene_of(text, stage)).values():
        row_of = {cell: i for i, row in enumerate(level.rows) for cell in row}
        for wire in level.wires:
            rows = [row_of[cell] for cell in wire.path]
            if not wire.back:
                assert rows == list(range(rows[0], rows[-1] + 1))


def test_resnet_152_is_folded_to_25_boxes() -> None:
    scene = scene_of(RESNET152)
    assert len(scene.items) > 2500
    assert len(visible(scene, opened(scene))) <= 25 == MOST


def test_the_transformer_is_folded_to_30_boxes() -> None:
    scene = scene_of("transformers/transformer.zh")
    seen = visible(scene, opened(scene, 30))
    labels = {scene.groups[g].label for kind, g in seen if kind == "group"}
    assert len(seen) <= 30
    assert "repeat × 6" in labels


def test_blocks_of_a_repeat_are_numbered_and_their_parameters_add_up() -> None:
    scene = scene_of(RESNET152)
    stages = [g for g in scene.groups if g.label.endswith(("i × 3", "i × 8", "i × 36"))]
    assert sorted(g.label for g in stages) == ["s = 0 · i × 3", "s = 1 · i × 8", "s = 2 · i × 36", "s = 3 · i × 3"]
    assert sum(item.params for item in scene.items) == 60_192_808  # He et al. 2015, as counted from torchvision's


def test_a_group_that_is_opened_shows_what_it_holds() -> None:
    scene = scene_of(SKIP)
    dense = next(i for i, g in enumerate(scene.groups) if g.label == "Dense")
    folded, unfolded = visible(scene, frozenset()), visible(scene, frozenset([dense]))
    assert ("group", dense) in folded
    assert ("group", dense) not in unfolded
    assert len(unfolded) == len(folded) - 1 + len(scene.items_of[dense])
    item = scene.items_of[dense][0]
    assert seen_as(scene, item, frozenset()) == ("group", dense)
    assert seen_as(scene, item, everything(scene)) == ("item", item)


def test_a_skip_connection_is_known_as_one() -> None:
    scene = scene_of(SKIP)
    skips = [w for w in levels(scene)[ROOT].wires if w.skip]
    assert [(scene.items[w.path[0].number].label, scene.items[w.path[-1].number].label) for w in skips] == [
        ("x", "add")
    ]
    assert all(cell.kind == "pass" for cell in skips[0].path[1:-1])
    assert len(skips[0].path) > 3


def test_a_network_without_skips_has_none() -> None:
    plain = "model Plain(x: [B, D=4]) -> [B, D=4] { return x -> Dense[4] -> tanh -> Dense[4] -> softmax[D] }"
    assert not [w for level in levels(scene_of(plain)).values() for w in level.wires if w.skip]


def test_every_block_of_resnet_20_has_its_skip() -> None:
    scene = scene_of("depth/resnet.zh ResNet20")
    blocks = {g for g, level in levels(scene).items() if any(w.skip for w in level.wires)}
    with_identity = {i for i, g in enumerate(scene.groups) if g.label.endswith("Basic")}
    assert len(with_identity) == 9
    assert len(blocks & with_identity) == 7  # two change the shape and have a convolution on either way


def test_a_loop_is_a_group_with_its_body() -> None:
    scene = scene_of(LSTM)
    loop = next(i for i, g in enumerate(scene.groups) if g.kind == "scan")
    inside = [item for item in scene.items if loop in scene.around(item.group)]
    assert {"slot", "scan", "tanh"} <= {item.op for item in inside}
    assert sum(e.back for e in scene.edges) == 2  # h and c


def test_the_backward_pass_is_beside_the_forward_pass_and_knows_its_values() -> None:
    scene = scene_of("two_spirals.zh", "grad")
    assert [scene.groups[g].label for g in scene.phases] == ["forward", "backward"]
    across = [e for e in scene.edges if scene.is_across(e)]
    assert across
    saved = {e.source for e in across if scene.items[e.source].phase == "forward"}
    assert all(scene.items[i].saved == scene.items[i].bytes for i in saved if scene.items[i].op not in SOURCES)
    forward = {g.key for g in scene.groups if scene.groups[g.parent].label == "forward" and g.parent != ROOT}
    backward = {g.key for g in scene.groups if scene.groups[g.parent].label == "backward" and g.parent != ROOT}
    assert forward & backward


SOURCES = ("param", "state", "input", "const", "iota")


@pytest.mark.parametrize("text", [f for f in FILES if f not in LONG])
def test_fused_boxes_are_the_kernels_of_the_program(text: str) -> None:
    program = schedule(graph_of(text, "passes"))
    scene = scene_of_program(program)
    steps = [item for item in scene.items if item.op != "input"]
    assert len(steps) == sum(len(k.steps) for k in (*program.once, *program.all_kernels))
    kernels = [g for g in scene.groups if g.kind == "kernel"]
    assert len(kernels) == len(program.once) + len(program.all_kernels)
    assert {g.note for g in kernels} == {str(k) for k in (*program.once, *program.all_kernels)}


def test_fused_edges_are_the_reads_of_the_program() -> None:
    program = schedule(graph_of("two_spirals.zh", "passes"))
    scene = scene_of_program(program)
    steps = [step for kernel in (*program.once, *program.all_kernels) for step in kernel.steps]
    first = len(scene.items) - len(steps)
    assert len({(e.target, e.slot) for e in scene.edges}) == sum(len(step.inputs) for step in steps)
    for edge in scene.edges:
        read = steps[edge.target - first].inputs[edge.slot].buffer
        written = steps[edge.source - first].output.buffer if edge.source >= first else None
        assert read == written or (written is None and read.endswith("/" + scene.items[edge.source].name))
