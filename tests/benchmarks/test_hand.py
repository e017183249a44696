"""The steps by hand compute what their texts say, on one thread and on two."""

from __future__ import annotations

import pytest

from benchmarks import sides
from benchmarks.native import CannotCompile
from benchmarks.workloads import pinned, start_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", sides.HAND.nets)
def test_two_steps_by_hand_are_those_of_the_text(name: str, threads: int) -> None:
    start = start_of(name) if name == "resnet20" else pinned(start_of(name))
    try:
        hand = sides.HAND.training(start, threads)
    except CannotCompile as error:
        pytest.skip(str(error))
    ours = sides.zhdsl_on("numpy").training(start, 1)
    for _ in range(2):
        assert hand() == pytest.approx(ours(), rel=1e-4)
    assert sides.largest_error(hand.momenta(), hand.carried(ours.momenta()))[0] < start.work.noise


def test_more_threads_than_two_are_refused() -> None:
    with pytest.raises(CannotCompile, match="1 or 2 threads, not 3"):
        sides.HAND.training(start_of("mlp"), 3)
