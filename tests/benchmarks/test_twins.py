"""The nets of the benchmarks equal their peers at reduced size: gradients in float64, two steps of SGD, inference."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.workloads import WORKLOADS, Start, pinned, start_of

torch = pytest.importorskip("torch")

from benchmarks import sides  # noqa: E402
from benchmarks.sides.ours import session  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(params=WORKLOADS)
def start(request: pytest.FixtureRequest) -> Start:
    work = WORKLOADS[request.param]
    return start_of(work.name, work.small, batch=6, time=work.time and 5)


def test_loss_and_gradients_are_pytorchs_in_float64(start: Start) -> None:
    from benchmarks.sides.torch_nets import carried
    from benchmarks.sides.torch_side import module_of, tensors_of

    module = module_of(start, torch.float64)
    x, y = tensors_of(start, torch.float64)
    loss = torch.nn.functional.cross_entropy(module(x), y)
    loss.backward()
    value, grads = session(start, "numpy", "float64").value_and_grad(**start.batch)
    theirs = {name: p.grad.numpy() for name, p in module.named_parameters()}
    assert value == pytest.approx(loss.item(), rel=1e-12)
    assert sides.largest_error(carried(module, grads), theirs)[0] < 1e-9


@pytest.mark.parametrize("key", ["eager", "channels_last", "jax"])
def test_two_steps_of_a_peer_are_zhdsls(start: Start, key: str) -> None:
    kind = next(k for k in sides.PEERS if k.key == key)
    if not sides.installed(kind.package) or not kind.has(start.work.name, "training"):
        pytest.skip(f"{kind.label} does not run {start.work.name} here")
    start = pinned(start)  # a mask that flips would say nothing about the nets
    ours, theirs = sides.zhdsl_on("numpy").training(start, 1), kind.training(start, 1)
    for _ in range(2):
        assert theirs() == pytest.approx(ours(), rel=1e-5)
    assert sides.largest_error(theirs.momenta(), theirs.carried(ours.momenta()))[0] < 1e-4


@pytest.mark.parametrize("key", ["eager", "channels_last", "jax", "onnx"])
def test_inference_of_a_peer_is_zhdsls(start: Start, key: str) -> None:
    kind = next(k for k in sides.PEERS if k.key == key)
    if not sides.installed(kind.package) or not kind.has(start.work.name, "inference"):
        pytest.skip(f"{kind.label} does not run {start.work.name} here")
    ours, theirs = sides.zhdsl_on("numpy").inference(start, 1)(), kind.inference(start, 1)()
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet20"])
def test_masks_of_a_pinned_net_are_decided(name: str) -> None:
    from benchmarks.accuracy import DECIDED, accuracy

    small = {**WORKLOADS[name].small, "S": 16} if name != "mlp" else WORKLOADS[name].small
    found = accuracy(start_of(name, small, batch=6), "numpy", 1)
    assert found.margin > DECIDED
    assert found.theirs < 1e-2
