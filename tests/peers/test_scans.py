"""Loops of the language against loops in Python under PyTorch's tape: values and all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.peers.conftest import Agree
from tests.peers.twin import Tensor, block, compare, torch

pytestmark = pytest.mark.torch
RNG = np.random.default_rng(23)
X = RNG.normal(size=(3, 7, 4))
H, C = RNG.normal(size=(2, 3, 4))
U = 0.5 * RNG.normal(size=(4, 4))
SIGNATURE = "x: [B, T=7, D=4], h: [B, D=4], u: [D=4, D'=4]"


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("k", [1, 2, 3, 7, 9])
def test_truncation_detaches_the_state_every_k_steps(k: int, reverse: bool, agree: Agree) -> None:
    """Williams & Peng 1990: before step t with t % k = 0 no gradient passes, not even to what the loop starts from."""
    way = "reverse " if reverse else ""
    m = block(
        SIGNATURE,
        f"""return scan t over T {way}truncate {k} from h = h {{
          h = tanh(sum[D](h * u)[D' as D] + x[t])
          emit h
        }}""",
    )

    def twin(w: Any, x: Tensor, h: Tensor, u: Tensor) -> Tensor:
        steps = range(7)
        found = {}
        for t in reversed(steps) if reverse else steps:
            h = torch.tanh((h.detach() if t % k == 0 else h) @ u + x[:, t])
            found[t] = h
        return torch.stack([found[t] for t in steps], 1)

    agree(compare(m, twin, [X, H, U], floor=1e-3))


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
def test_two_carries_three_emits_and_last(reverse: bool, agree: Agree) -> None:
    m = block(
        f"{SIGNATURE}, c: [B, D=4]",
        f"""return scan t over T {"reverse " if reverse else ""}from h = h, c = c {{
          c = 0.5 * c + x[t] * h
          h = tanh(sum[D](h * u)[D' as D] + c)
          emit h, c * h, x[t] + c, last h, last c
        }}""",
    )

    def twin(w: Any, x: Tensor, h: Tensor, u: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        found: dict[int, tuple[Tensor, ...]] = {}
        for t in range(6, -1, -1) if reverse else range(7):
            c = 0.5 * c + x[:, t] * h
            h = torch.tanh(h @ u + c)
            found[t] = h, c * h, x[:, t] + c
        stacks = (torch.stack([found[t][i] for t in range(7)], 1) for i in range(3))
        return (*stacks, h, c)

    agree(compare(m, twin, [X, H, U, C]))


def test_a_loop_in_a_loop(agree: Agree) -> None:
    """The inner one begins where the outer one is and reads its slice; the outer one goes on from its end."""
    m = block(
        SIGNATURE,
        """return scan t over T from h = h {
          p, q = scan d over D from s = sum[D](h) {
            s = tanh(s + x[t][d])
            emit s, last s
          }
          h = tanh(sum[D](h * u)[D' as D] + x[t] * (sum[D](p) + q))
          emit h
        }""",
    )

    def twin(w: Any, x: Tensor, h: Tensor, u: Tensor) -> Tensor:
        found = []
        for t in range(7):
            s, total = h.sum(1), torch.zeros(len(x))
            for d in range(4):
                s = torch.tanh(s + x[:, t, d])
                total = total + s
            h = torch.tanh(h @ u + x[:, t] * (total + s)[:, None])
            found.append(h)
        return torch.stack(found, 1)

    agree(compare(m, twin, [X, H, U]))


def test_a_length_without_an_input_axis_generates(agree: Agree) -> None:
    m = block(
        "h: [B, D=4], u: [D=4, D'=4]",
        """return scan t over T=9 from h = h, y = 0.1 * h {
          h = tanh(sum[D](h * u)[D' as D] + y)
          y = y * h + 0.1
          emit y, last h
        }""",
    )

    def twin(w: Any, h: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        y, found = 0.1 * h, []
        for _ in range(9):
            h = torch.tanh(h @ u + y)
            y = y * h + 0.1
            found.append(y)
        return torch.stack(found), h

    agree(compare(m, twin, [H, U]))
