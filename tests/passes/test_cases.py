"""Each case says what a pass makes of a graph; that the value stays is computed beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.passes.case_files import FOLDER, SIZES, Case, case_files, drawn, print_cases, read_cases
from zhdsl import passes
from zhdsl.ir.graph import Graph
from zhdsl.ir.node import Node
from zhdsl.ir.read import read_graph
from zhdsl.ir.text import print_graph
from zhdsl.ir.verify import verify
from zhdsl.ops.evaluate import evaluate
from zhdsl.passes.erase_stops import RULES as ERASE
from zhdsl.passes.fold_constants import RULES as FOLD
from zhdsl.passes.rewriting import Rule, Rules, rewrite
from zhdsl.passes.simplify_algebra import RULES as SIMPLIFY
from zhdsl.passes.simplify_loops import RULES as LOOPS
from zhdsl.passes.stabilize_numerics import LIKELIHOODS, STABLE
from zhdsl.passes.turn_folds import RULES as TURN

ALL = [(file, case) for file in case_files() for case in read_cases(file)]
each_case = pytest.mark.parametrize(("file", "case"), ALL, ids=[f"{file}: {case.title}" for file, case in ALL])


def the_pass(file: str) -> Callable[[Graph], Graph]:
    """The pass that the folder is named after."""
    found: Callable[[Graph], Graph] = getattr(passes, file.split("/", maxsplit=1)[0])
    return found


def test_every_pass_has_cases() -> None:
    folders = {file.split("/", maxsplit=1)[0] for file in case_files()}
    assert {transform.__name__ for transform in (*passes.DIRECT, *passes.LAST)} <= folders


@pytest.mark.parametrize("file", case_files())
def test_the_pass_makes_what_the_case_says(file: str, golden: Callable[[str, str], None]) -> None:
    cases = [case.passed(the_pass(file)) for case in read_cases(file)]
    golden(f"{FOLDER.name}/{file}", print_cases(cases))


@each_case
def test_a_second_time_nothing_happens(file: str, case: Case) -> None:
    graph = read_graph(case.after)
    assert print_graph(the_pass(file)(graph)) == case.after


@each_case
def test_before_and_after_are_sound(file: str, case: Case) -> None:
    verify(read_graph(case.before))
    verify(read_graph(case.after))


@each_case
def test_the_value_stays(file: str, case: Case) -> None:
    before, after = read_graph(case.before), read_graph(case.after)
    values = drawn(before)
    moved = {new.node: values[old.node] for old, new in zip(before.inputs, after.inputs, strict=True)}
    pairs = zip(evaluate(before, values, SIZES), evaluate(after, moved, SIZES), strict=True)
    for port, (wanted, got) in zip(before.outputs, pairs, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12, err_msg=port.name)


TABLES: dict[str, tuple[Rules, ...]] = {
    "erase_stops": (ERASE,),
    "fold_constants": (FOLD,),
    "simplify_algebra": (SIMPLIFY,),
    "simplify_loops": (LOOPS,),
    "stabilize_numerics": (LIKELIHOODS, STABLE),
    "turn_folds": (TURN,),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_rule_has_a_case(name: str) -> None:
    """The rules of `fold_constants` that `simplify_algebra` applies too have their cases there."""
    known = {rule for table in TABLES[name] for rule in rule_names(table)}
    elsewhere = set(rule_names(FOLD)) if name == "simplify_algebra" else set()
    fired: set[str] = set()
    for rules in TABLES[name]:
        watched = {op: tuple(watching(rule, fired) for rule in own) for op, own in rules.items()}
        for file in case_files():
            if file.startswith(f"{name}/"):
                for case in read_cases(file):
                    rewrite(read_graph(case.before), watched)
    assert known - elsewhere - fired == set()


def rule_names(rules: Rules) -> Iterator[str]:
    return (rule.__name__ for own in rules.values() for rule in own)


def watching(rule: Rule, fired: set[str]) -> Rule:
    """The rule, which notes its name when it has an answer."""

    def watched(node: Node) -> Node | None:
        answer = rule(node)
        if answer is not None and answer is not node:
            fired.add(rule.__name__)
        return answer

    watched.__name__ = rule.__name__
    return watched
