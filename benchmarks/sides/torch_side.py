"""PyTorch's side: eager, channels_last, torch.compile."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.sides import DECAY, MOMENTUM, RATE, Forward
from benchmarks.sides.torch_nets import NETS, carried
from benchmarks.workloads import Arrays, Start


def module_of(start: Start, dtype: torch.dtype = torch.float32) -> Any:
    """The net with the first weights of `start`; running statistics are 0 and 1 at first on all sides."""
    module = NETS[start.work.name](start.sizes)
    own = dict(module.named_parameters())
    found = carried(module, start.params)
    assert own.keys() == found.keys(), sorted(own.keys() ^ found.keys())
    with torch.no_grad():
        for name, array in found.items():
            own[name].copy_(torch.from_numpy(np.array(array)))
    return module.to(dtype)


def tensors_of(start: Start, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch as PyTorch takes it: labels in one row, all integers int64."""
    x, y = torch.from_numpy(start.x), torch.from_numpy(start.y)
    return x.to(torch.int64 if start.work.time else dtype), y.to(torch.int64).flatten()


class TorchStep:
    """See `Step`."""

    def __init__(self, start: Start, threads: int, mode: str):
        torch.set_num_threads(threads)
        self.module = module_of(start)
        self.x, self.y = tensors_of(start)
        if mode == "channels_last":
            self.module, self.x = _channels_last(self.module, self.x)
        self.forward = torch.compile(self.module) if mode == "compile" else self.module
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)

    def __call__(self) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.forward(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def momenta(self) -> Arrays:
        state = self.optimizer.state
        return {name: state[p]["momentum_buffer"].numpy() for name, p in self.module.named_parameters()}

    def carried(self, arrays: Arrays) -> Arrays:
        return carried(self.module, arrays)

    def rest(self) -> None:
        """One whole step, then without its gradients, which the next step would drop first."""
        self()
        self.optimizer.zero_grad(set_to_none=True)
        gc.collect()


def _channels_last(module: Any, x: torch.Tensor) -> tuple[Any, torch.Tensor]:
    return module.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)


def forward(start: Start, threads: int, mode: str) -> Forward:
    """See `Forward`."""
    torch.set_num_threads(threads)
    module = module_of(start).eval()
    x, _ = tensors_of(start)
    if mode == "channels_last":
        module, x = _channels_last(module, x)
    run = torch.compile(module) if mode == "compile" else module

    def infer() -> Any:
        with torch.inference_mode():
            return run(x).numpy()

    return infer
