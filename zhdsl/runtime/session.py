"""A model in Python: NumPy in, NumPy out.

m = zh.load("spirals.zh")
m(x = points)                          # what the model says
m.value_and_grad(x = points, y = label)
m.step(x = points, y = label)          # one update by the recipe
m.params["dense.W"][...]               # arrays by path
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zhdsl.errors import CompilerError, TrainingError
from zhdsl.ir.graph import Graph, Port
from zhdsl.ir.node import Builder, apply
from zhdsl.lang.model import Recipe, Weight
from zhdsl.runtime import arguments, checkpoint, pipeline, state
from zhdsl.runtime.arguments import arrays_of, require_guards, taken, type_text, unknown
from zhdsl.runtime.checkpoint import Checkpoint
from zhdsl.runtime.spec import WEIGHTS, Spec
from zhdsl.runtime.step import gradient_graph, step_graph

if TYPE_CHECKING:
    from zhdsl.runtime.summary import Summary

Array: TypeAlias = npt.NDArray[Any]
Key: TypeAlias = tuple[str, str]


class Arrays(MutableMapping[str, Array]):
    """Parameters or states by path. Assigning checks shape and dtype and copies; nothing can be added or deleted."""

    def __init__(self, session: Session, role: str, ports: Mapping[str, Port]):
        self._session, self._role, self._ports = session, role, ports

    def __getitem__(self, path: str) -> Array:
        self._known(path)
        return self._session.arrays[self._role, path]

    def __setitem__(self, path: str, value: Any) -> None:
        port = self._known(path)
        array = arguments.as_array(port, value, self._session.dtype)
        arguments.sizes_of([port], [array.shape])
        self._session.arrays[self._role, path] = np.array(array, order="C")

    def __delitem__(self, path: str) -> None:
        raise TrainingError(f"{path} belongs to the model and cannot be deleted\nhelp: assign zeros to it")

    def __iter__(self) -> Iterator[str]:
        return (path for path in self._ports if (self._role, path) in self._session.arrays)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return "\n".join(map(type_text, self._ports.values())) or "none"

    def _known(self, path: str) -> Port:
        if path not in self._ports or (self._role, path) not in self._session.arrays:
            raise unknown("parameter" if self._role == "param" else "state", path, self._ports)
        return self._ports[path]


class Session:
    """A checked model with its arrays, compiled where it is first needed.

    Attributes:
        spec: the text and what was chosen from it.
        device, dtype, seed: as given; the seed decides first values and every random number.
        step_count, epoch: the counters that graphs see.
        arrays: all parameters and states by (role, path); `params` and `states` are the checked way to them.
    """

    def __init__(self, spec: Spec, device: str = "auto", dtype: str | None = None, seed: int | None = None):
        recipe = spec.recipe
        self.spec = spec
        self.device = device
        self.dtype = dtype or (recipe.precision if recipe else None) or "float32"
        self.seed = seed if seed is not None else recipe.seed if recipe else 0
        self.step_count = 0
        self.epoch = 0
        self._compiled: dict[str, pipeline.Executable] = {}
        pipeline.require(device, self.dtype)

    # ------------------------------------------------------------ what it is
    @property
    def name(self) -> str:
        return self.spec.model.name

    @property
    def recipe(self) -> Recipe:
        """How it is trained. Raises `TrainingError` where the text does not say."""
        if self.spec.recipe is None:
            raise TrainingError(f"{self.name} has no recipe\nhelp: write `train {self.name} {{ … }}`")
        return self.spec.recipe

    @property
    def inputs(self) -> dict[str, str]:
        """The types of the model's inputs by name, as text."""
        return _types(self.spec.model.inputs)

    @property
    def outputs(self) -> dict[str, str]:
        """The types of the model's results by name, as text."""
        return _types(self.spec.model.outputs)

    @property
    def param_count(self) -> int:
        """The number of parameters; no array is made for it."""
        return state.count(self.spec.model.params.values())

    @cached_property
    def params(self) -> Arrays:
        """Parameters by path."""
        return Arrays(self, "param", ports_of(self.spec.model.params, "param"))

    @cached_property
    def states(self) -> Arrays:
        """States of the model and fitted statistics by path; without those of the optimiser."""
        ports = ports_of(self.spec.model.states, "state")
        return Arrays(self, "state", ports | {p.name: p for p in fitted(self.spec.recipe)})

    @cached_property
    def arrays(self) -> dict[Key, Array]:
        """First values of everything but stream states."""
        groups = [("param", self.spec.model.params), ("state", self.spec.model.states)]
        groups += [("state", self.spec.recipe.slots)] if self.spec.recipe else []
        return {
            (role, path): array
            for role, weights in groups
            for path, array in state.initial(weights, self.seed, self.dtype).items()
        }

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(map(type_text, self.spec.model.inputs)), self.outputs
        results = ", ".join(f"{name}: {text}" for name, text in outputs.items())
        return f"<{self.name}({inputs}) -> {results}; {self.param_count:,} parameters>"

    def _repr_mimebundle_(self, **asked: object) -> dict[str, str]:
        """What a notebook shows."""
        from zhdsl.notebook.bundles import of_model

        return of_model(self)

    def graph(self, stage: str = "graph") -> Any:
        """The program as a networkx `MultiDiGraph`.

        Args:
            stage: `graph` (the model), `grad`, `step`, or `passes` (the step after all passes).

        Raises:
            TrainingError: no such stage, or no recipe for it.
        """
        return self.stage(stage).nx

    def stage(self, name: str) -> Graph:
        """The graph of a stage, see `graph`."""
        model = self.spec.model
        stages: dict[str, Callable[[], Graph]] = {
            "graph": lambda: model.infer,
            "grad": lambda: gradient_graph(self.spec.recipe or model),
            "step": lambda: step_graph(self.recipe),
            "passes": lambda: pipeline.optimized(step_graph(self.recipe) if self.spec.recipe else model.infer),
        }
        if name not in stages:
            raise unknown("stage", name, stages)
        return stages[name]()

    def summary(self) -> Summary:
        """Parameters with their shapes, FLOPs and bytes; printing it gives a table."""
        from zhdsl.runtime.summary import summarize

        return summarize(self.spec.model, self.dtype)

    # ------------------------------------------------------------ running
    def __call__(self, *args: Any, train: bool = False, **named: Any) -> Any:
        """The model's results for arrays or nested lists.

        Args:
            args, named: the inputs, in order or by name.
            train: run the program of training (dropout, batch statistics); new states are kept.

        Returns:
            The array, if there is one result; else a dict of arrays by name.
        """
        graph = self.spec.model.train if train else self.spec.model.infer
        found, _ = self._run("train" if train else "infer", graph, args, named)
        results = {name: array for (role, name), array in found.items() if role == "result"}
        if train:
            self._keep(found, "state")
        return next(iter(results.values())) if len(results) == 1 else results

    def value_and_grad(self, *args: Any, **named: Any) -> tuple[float, dict[str, Array]]:
        """The loss of the recipe on a batch, and its gradients by path; nothing is changed.

        Takes inputs and data fields in the order of the dataset or by name. A model without a recipe is differentiated
        itself, if it has a single number as its result.
        """
        source = self.spec.recipe or self.spec.model
        graph = self._graph("grad", lambda: gradient_graph(source))
        before = source.forward if isinstance(source, Recipe) else source.train
        if any(p not in before.inputs for p in graph.of_role("data")):
            raise TrainingError(f"{self.name} has more than one number as its result\nhelp: write a recipe with a loss")
        found, _ = self._run("grad", graph, args, named, finite=True)
        value = next(a for (role, _), a in found.items() if role in ("loss", "result"))
        return float(value), {name: a for (role, name), a in found.items() if role == "grad"}

    def step(self, *args: Any, **named: Any) -> float:
        """One update by the recipe on a batch. Returns the loss, that of the weights before.

        Raises:
            TrainingError: the loss is not finite; nothing has been changed then.
        """
        graph = self._graph("step", lambda: step_graph(self.recipe))
        found, given = self._run("step", graph, args, named, finite=True)
        loss = float(found["loss", "loss"])
        if not np.isfinite(loss):
            from zhdsl.runtime.non_finite import first_non_finite

            cause = first_non_finite(graph, given, self.dtype, graph.output("loss", "loss").node)
            raise TrainingError(f"step {self.step_count}: the loss is {loss}: {cause}")
        self._keep(found, "param", "state")
        self.step_count += 1
        return loss

    def prepare(self, **fields: Any) -> None:
        """Fits the statistics of the recipe's `prepare` to these data, which should be the whole training split.

        Fields that no statistic depends on may be left out.
        """
        if self.recipe.fit is not None:
            whole = self.recipe.fit
            graph = replace(whole, inputs=tuple(p for p in whole.inputs if p.node in whole.users))
            unused = {p.name for p in whole.inputs if p.node not in whole.users}
            given = {name: values for name, values in fields.items() if name not in unused}
            found, _ = self._run("fit", graph, (), given, finite=True)
            self._keep(found, "state")

    def _graph(self, name: str, make: Callable[[], Graph]) -> Graph:
        """A graph made once."""
        graphs: dict[str, Graph] = self.__dict__.setdefault("_graphs", {})
        return graphs[name] if name in graphs else graphs.setdefault(name, make())

    def executable(self, name: str, graph: Graph, dtype: str | None = None) -> pipeline.Executable:
        """The compiled graph, compiled once for each name; in another dtype than the session's if one is given."""
        if name not in self._compiled:
            self._compiled[name] = pipeline.compile_graph(graph, self.device, dtype or self.dtype)
        return self._compiled[name]

    def _run(
        self, name: str, graph: Graph, args: Sequence[Any], named: Mapping[str, Any], finite: bool = False
    ) -> tuple[dict[Key, Array], dict[Key, Array]]:
        """Outputs of a graph on the user's arrays, and all its inputs."""
        ports = graph.of_role("data")
        arrays, sizes = arrays_of(ports, taken(ports, args, named), self.dtype, finite)
        guards = self.spec.recipe.guards if self.spec.recipe and name != "infer" else self.spec.model.guards
        require_guards(guards, sizes)
        given = arrays | self.counters(graph, sizes) | self.held(graph, sizes)
        return self.executable(name, graph).run(given), given

    def counters(self, graph: Graph, sizes: Mapping[str, int]) -> dict[Key, Array]:
        """The counters that a graph takes."""
        values = {"seed": state.seed_word(self.seed), "step": self.step_count, "epoch": self.epoch}
        found: dict[Key, Array] = {}
        for port in graph.of_role("counter"):
            if port.name == "sample":
                (count,) = port.node.type.shape(sizes)
                found["counter", "sample"] = np.arange(count, dtype=np.int32)
            elif port.name in values:
                found["counter", port.name] = np.asarray(values[port.name], np.int32)
            else:
                raise CompilerError(f"{graph.name}: nobody counts {port.name}")
        return found

    def held(self, graph: Graph, sizes: Mapping[str, int]) -> dict[Key, Array]:
        """The parameters and states that a graph takes; stream states begin as zeros, anew for another batch size.

        Raises:
            TrainingError: statistics of `prepare` are asked for that have not been fitted.
        """
        for path, weight in self.spec.model.states.items():
            if weight.stream and ("state", path) in ((p.role, p.name) for p in graph.inputs):
                fresh = state.zeros(weight, sizes, self.dtype)
                if getattr(self.arrays.get(("state", path)), "shape", None) != fresh.shape:
                    self.arrays["state", path] = fresh
        ports = graph.of_role("param", "state")
        for port in ports:
            if (port.role, port.name) not in self.arrays:
                raise TrainingError(f"{port.name} has not been fitted\nhelp: call fit(), or prepare() with the data")
        return {(p.role, p.name): self.arrays[p.role, p.name] for p in ports}

    def fresh(self, graph: Graph, sizes: Mapping[str, int]) -> dict[Key, Array]:
        """As `held`, but stream states are zeros of their own: the session's stay as they are."""
        streams = {
            ("state", path): state.zeros(weight, sizes, self.dtype)
            for path, weight in self.spec.model.states.items()
            if weight.stream and path in {p.name for p in graph.of_role("state")}
        }
        kept = self.arrays
        self.arrays = {**kept, **streams}
        try:
            return self.held(graph, sizes)
        finally:
            self.arrays = kept

    def reset(self) -> None:
        """Forgets stream states: the next batch begins a new stream."""
        for key in self._streams:
            self.arrays.pop(key, None)

    def _keep(self, found: Mapping[Key, Array], *roles: str) -> None:
        self.arrays.update({key: array for key, array in found.items() if key[0] in roles})

    # ------------------------------------------------------------ files
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes weights, states and the spec into one file, whole or not at all.

        Raises:
            TrainingError: the name does not end in .safetensors.
            BackendError: it could not be written.
        """
        if Path(path).suffix != WEIGHTS:
            raise TrainingError(f"{path}: weights are written to files that end in {WEIGHTS}")
        arrays = {key: array for key, array in self.arrays.items() if key not in self._streams}
        checkpoint.write(path, Checkpoint(arrays, self.spec.record(self.dtype, self.seed)))

    def weights(self) -> dict[Key, Array]:
        """What a weights file holds: parameters, states and fitted statistics, without streams and the optimiser."""
        slots = self.spec.recipe.slots if self.spec.recipe else {}
        return {key: array for key, array in self.arrays.items() if key[1] not in slots and key not in self._streams}

    def restart(self) -> None:
        """A new optimiser and counters at 0; parameters and states stay."""
        slots = state.initial(self.spec.recipe.slots, self.seed, self.dtype) if self.spec.recipe else {}
        self.arrays.update({("state", path): array for path, array in slots.items()})
        self.step_count = self.epoch = 0
        self.reset()

    @property
    def _streams(self) -> frozenset[Key]:
        return frozenset(("state", path) for path, w in self.spec.model.states.items() if w.stream)

    def restore(self, found: Checkpoint, place: str, streams: bool = False) -> None:
        """Takes all arrays and counters of a checkpoint, or none.

        Args:
            found: what was read.
            place: where from, for errors.
            streams: whether stream states are taken too, to go on within a pass.

        Raises:
            TrainingError: its arrays are not those of this model; lists the first ten differences.
        """
        arrays = {key: array for key, array in found.arrays.items() if key not in self._streams}
        checkpoint.require_same(arrays, self._expected(arrays), place)
        self.arrays = {}
        self.restart()
        self.arrays.update(found.arrays if streams else arrays)
        self.step_count, self.epoch = found.record.step, found.record.epoch

    def _expected(self, found: Iterable[Key]) -> checkpoint.Expected:
        """Shapes and dtypes of all arrays; the optimiser's and fitted ones only if the file has some of their kind."""
        there, model, recipe = set(found), self.spec.model, self.spec.recipe
        steady = {path: w for path, w in model.states.items() if not w.stream}
        ports = [*ports_of(model.params, "param").values(), *ports_of(steady, "state").values()]
        for group in (fitted(recipe), tuple(ports_of(recipe.slots, "state").values()) if recipe else ()):
            ports += group if any(("state", p.name) in there for p in group) else ()
        return {
            (p.role, p.name): (p.node.type.shape({}, p.order), state.array_dtype(p.node.type, self.dtype))
            for p in ports
        }


def ports_of(weights: Mapping[str, Weight], role: str) -> dict[str, Port]:
    """Weights as ports, which is how arrays are checked."""
    with Builder():
        return {p: Port(p, apply(role, path=p, type=w.type), w.order, role) for p, w in weights.items()}


def fitted(recipe: Recipe | None) -> tuple[Port, ...]:
    """The statistics that `prepare` of a recipe fits."""
    return recipe.fit.results("state") if recipe and recipe.fit else ()


def _types(ports: Iterable[Port]) -> dict[str, str]:
    return {p.name: type_text(p).partition(": ")[2] for p in ports}
