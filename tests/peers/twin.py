"""One network twice: a text of the language and its PyTorch twin, with the same weights and inputs, in float64.

    results, gradients of parameters and inputs, new states    →    relative errors by name

The twin is a PyTorch module, whose weights `carry` takes from the text's in order, or a function `(w, *inputs)`, where
`w("dense.W")` is the weight whose path ends so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

import zhdsl as zh
from zhdsl.ir.graph import Graph
from zhdsl.runtime import pipeline
from zhdsl.runtime.arguments import arrays_of
from zhdsl.runtime.session import Session
from zhdsl.runtime.step import gradient_graph

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install zhdsl[torch]")
nn, F = torch.nn, torch.nn.functional
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

if TYPE_CHECKING:

    class Module:
        """What twins use of `nn.Module`, which is not known where PyTorch is not."""

        def __init__(self) -> None: ...
        def __call__(self, *args: Any, **named: Any) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...
        def train(self, mode: bool = True) -> Any: ...
        def register_parameter(self, name: str, param: Any) -> None: ...
else:
    Module = nn.Module

Array = npt.NDArray[Any]
Tensor = Any  # torch.Tensor, where PyTorch is there
DEVICE = "reference"  # the tests take all that there is, one after the other
Errors = dict[str, float]
NOISE = 1e-6  # a gradient that is 0 but for rounding is measured by the largest one, times this


# ---------------------------------------------------------------- the text
def session(text: Any, name: str | None = None, overrides: Mapping[str, Any] | None = None, seed: int = 0) -> Session:
    """A text as a model whose weights and states are nowhere the special values they start from."""
    m = zh.load(text, name, set=overrides, device=DEVICE, dtype="float64", seed=seed)
    rng = np.random.default_rng(seed)
    for path in m.params:
        m.params[path] = m.params[path] + 0.1 * rng.normal(size=m.params[path].shape)
    for path in m.spec.model.states:
        if ("state", path) in m.arrays:
            value = m.states[path]
            m.states[path] = value * rng.uniform(0.5, 1.5, value.shape) + 0.1 * rng.uniform(size=value.shape)
    return m


def block(signature: str, body: str, before: str = "") -> Session:
    """`block M(signature) { body }`; a body of one line is what it returns."""
    lines = body.strip().splitlines()
    lines = [f"return {lines[0]}"] if len(lines) == 1 else lines
    return session(f"{before}\nblock M({signature}) {{\n" + "\n".join(lines) + "\n}\n", "M")


# ---------------------------------------------------------------- the comparison
class Weights:
    """The weights of a session as PyTorch tensors that want gradients, and its states.

    `used` has the states that a twin has taken; training changes them in place.
    """

    def __init__(self, m: Session):
        self.params = {p: torch.tensor(a, requires_grad=a.dtype.kind == "f") for p, a in m.params.items()}
        held = {p: a for (role, p), a in m.arrays.items() if role == "state" and p in m.spec.model.states}
        self.states = {p: torch.tensor(a) for p, a in held.items()}
        self.used: set[str] = set()

    def __call__(self, path: str) -> Tensor:
        (found,) = (p for p in self.params if p == path or p.endswith("." + path))
        return self.params[found]


Twin = Callable[..., Any]


def compare(
    m: Session, twin: Twin, given: Sequence[Any], train: bool = False, floor: float = 0.0, seed: int = 1
) -> Errors:
    """Results, gradients and new states of a model on these arrays, against the twin's.

    Args:
        floor: differences are taken in parts of at least this.
        seed: of the weights of the results in the number that is differentiated.
    """
    model = replace(m.spec.model, train=m.spec.model.train if train else m.spec.model.infer)
    w, rng = Weights(m), np.random.default_rng(seed)
    inputs = [torch.tensor(a, requires_grad=np.asarray(a).dtype.kind == "f") for a in given]
    results = _listed(_callable(twin, w, train)(*inputs))
    cotangents = [rng.normal(size=tuple(r.shape)) for r in results]
    floats = [(r, torch.tensor(c)) for r, c in zip(results, cotangents, strict=True) if r.is_floating_point()]
    lone = len(floats) == 1 and not floats[0][0].dim()
    total = floats[0][0] if lone else sum((r * c).sum() for r, c in floats)
    ports = model.inputs
    leaves = dict(w.params) | {p.name: x for p, x in zip(ports, inputs, strict=True) if x.requires_grad}
    wanted = {("result", p.name): r for p, r in zip(model.outputs, results, strict=True)}
    wanted |= {("grad", name): g for name, g in zip(leaves, _gradients(total, leaves.values()), strict=True)}
    wanted |= {("state", p): w.states[p] for p in w.used} if train else {}
    arrays = {p.name: a for p, a in zip(ports, given, strict=True)}
    if not lone:
        arrays |= {f"d{p.name}": c for p, c in zip(model.outputs, cotangents, strict=True)}
    found = run(m, gradient_graph(model, list(leaves)), arrays)
    return errors(found, {key: x.detach().numpy() for key, x in wanted.items()}, floor)


def compare_loss(m: Session, twin: Twin, fields: Mapping[str, Any], train: bool = True) -> Errors:
    """Loss, gradients of all trained parameters and new states of a recipe on a batch, against the twin's loss.

    The twin takes the fields by name. Statistics of `prepare` are fitted to the batch. Without `train` it is the loss
    of validation, and only that.
    """
    m.prepare(**fields)
    recipe, w = m.recipe, Weights(m)
    tensors = {name: torch.tensor(a) for name, a in fields.items()}
    loss = _callable(twin, w, train)(**tensors)
    wanted = {("loss", "loss"): loss}
    if train:
        wanted |= {("grad", name): g for name, g in zip(w.params, _gradients(loss, w.params.values()), strict=True)}
        wanted |= {("state", p): w.states[p] for p in w.used}
    found = run(m, gradient_graph(recipe) if train else recipe.evaluate, fields)
    return errors(found, {key: x.detach().numpy() for key, x in wanted.items()})


def run(m: Session, graph: Graph, given: Mapping[str, Any]) -> dict[tuple[str, str], Array]:
    """All outputs of a graph on these arrays and the session's weights."""
    ports = [p for p in graph.of_role("data") if p.node in graph.nodes or p.name in given]
    arrays, sizes = arrays_of(ports, given, m.dtype)
    held = m.counters(graph, sizes) | m.held(graph, sizes)
    return dict(pipeline.compile_graph(graph, m.device, m.dtype).run(arrays | held))


def errors(
    found: Mapping[tuple[str, str], Array], wanted: Mapping[tuple[str, str], Array], floor: float = 0.0
) -> Errors:
    """Largest differences, each in parts of the largest value of its array."""
    largest = max((float(np.abs(a).max(initial=0)) for (role, _), a in wanted.items() if role == "grad"), default=0)
    result = {}
    for (role, name), array in wanted.items():
        least = max(floor, NOISE * largest if role == "grad" else 0.0)
        result[f"{role} {name}"] = relative(found[role, name], array, least)
    return result


def relative(found: Array, wanted: Array, floor: float = 0.0) -> float:
    """The largest difference in parts of the largest value wanted, or of `floor`; infinite where NaNs differ."""
    assert found.shape == wanted.shape, f"{found.shape} is not {wanted.shape}"
    if not found.size:
        return 0.0
    if not np.array_equal(np.isfinite(found), np.isfinite(wanted)):
        return np.inf
    finite = np.isfinite(wanted)
    if not np.array_equal(found[~finite], wanted[~finite], equal_nan=True):
        return np.inf
    scale = max(float(np.abs(wanted[finite]).max(initial=0)), floor)
    return float(np.abs(found[finite] * 1.0 - wanted[finite]).max(initial=0)) / (scale or 1.0)


def _listed(results: Any) -> list[Tensor]:
    return list(results) if isinstance(results, tuple | list) else [results]


def _gradients(total: Tensor, leaves: Any) -> list[Tensor]:
    leaves = list(leaves)
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


def _callable(twin: Twin, w: Weights, train: bool) -> Callable[..., Any]:
    """The twin as a function of the inputs alone."""
    from tests.peers.carry import carried

    if not isinstance(twin, nn.Module):
        return lambda *args, **named: twin(w, *args, **named)
    twin.train(train)
    tensors = carried(twin, w)
    return lambda *args, **named: torch.func.functional_call(twin, tensors, args, named)
