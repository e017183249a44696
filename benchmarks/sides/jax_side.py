"""JAX's side: one jitted function from weights, momenta, states and a batch to the next ones, with donated buffers."""

from __future__ import annotations

import gc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.sides import DECAY, MOMENTUM, RATE, Forward
from benchmarks.sides.jax_nets import carried, net_of
from benchmarks.workloads import Arrays, Start


def _x(start: Start) -> Any:
    """The inputs, channels last."""
    return jnp.asarray(start.x.transpose(0, 2, 3, 1) if start.x.ndim == 4 else start.x)


class JaxStep:
    """See `Step`."""

    def __init__(self, start: Start):
        self.start = start
        params = jax.tree.map(jnp.array, carried(start, start.params))
        states = {path: jnp.array(array) for path, array in start.states.items()}
        self.state = [params, jax.tree.map(jnp.zeros_like, params), states]
        self.x, self.y = _x(start), jnp.asarray(start.y.ravel())
        net = net_of(start)

        def loss(p: Any, s: Any, x: Any, y: Any) -> Any:
            logits, new = net(p, s, x, True)
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean(), new

        def update(p: Any, m: Any, s: Any, x: Any, y: Any) -> Any:
            (value, s), g = jax.value_and_grad(loss, has_aux=True)(p, s, x, y)
            m = jax.tree.map(lambda m, g, p: MOMENTUM * m + g + DECAY * p, m, g, p)
            return jax.tree.map(lambda p, m: p - RATE * m, p, m), m, s, value

        self.update = jax.jit(update, donate_argnums=(0, 1, 2))

    def __call__(self) -> float:
        *self.state, value = self.update(*self.state, self.x, self.y)
        jax.block_until_ready(self.state)
        return float(value)

    def momenta(self) -> Arrays:
        return {path: np.array(array) for path, array in self.state[1].items()}

    def carried(self, arrays: Arrays) -> Arrays:
        return carried(self.start, arrays)

    def rest(self) -> None:
        self()
        gc.collect()


def forward(start: Start) -> Forward:
    """See `Forward`."""
    net = net_of(start)
    params = jax.tree.map(jnp.array, carried(start, start.params))
    states = {path: jnp.array(array) for path, array in start.states.items()}
    run, x = jax.jit(lambda p, s, x: net(p, s, x, False)[0]), _x(start)
    return lambda: np.asarray(run(params, states, x))
