"""Training, validation and test parts: seeded, stratified, disjoint and complete.

Data files are often sorted by class (`mnist_5k` is), so a cut without shuffling leaves whole classes out of training.
Here samples are shuffled within their class and then dealt out so that every part, and every beginning of a part,
has the classes in nearly the proportions of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import floor

import numpy as np

from zhdsl.data.arrays import Array, Arrays, class_counts, class_field
from zhdsl.data.draws import permutation
from zhdsl.data.faults import fault

DEFAULT = {"train": 0.7, "valid": 0.15, "test": 0.15}


def split(
    arrays: Arrays,
    fractions: Mapping[str, float] | float | None = None,
    seed: int = 0,
    stratify_by: str | None = None,
) -> dict[str, Arrays]:
    """Cuts a data set into parts.

    Args:
        arrays: the whole. Its ready splits, if any, are kept; only what is still lacking is cut from its `train`.
        fractions: name -> fraction of the samples, adding up to 1; one number f is short for
            `{"train": 1 - f, "valid": f}`; `None` gives the ready splits, or 0.7 / 0.15 / 0.15 where there are none.
        seed: the parts are a function of the data's size, its classes and this.
        stratify_by: a field with one value per sample; `None` finds the class field, `""` shuffles plainly.

    Returns:
        name -> part, in the order of `fractions`. Streams (`arrays.streams`) are cut in order, at whole batches.

    Raises:
        TrainingError: fractions that do not add up, too few samples for a part, or no such field.
    """
    indices = split_indices(arrays, fractions, seed, stratify_by)
    return {name: arrays.take(at) for name, at in indices.items()}


def split_indices(
    arrays: Arrays,
    fractions: Mapping[str, float] | float | None = None,
    seed: int = 0,
    stratify_by: str | None = None,
) -> dict[str, Array]:
    """Like `split`, but gives the indices: name -> int64 [n]."""
    ready = dict(arrays.splits or {})
    if fractions is None and ready:
        return ready
    wanted = _checked(DEFAULT if fractions is None else fractions)
    pool = np.asarray(ready.get("train", np.arange(arrays.size)))
    fixed = {name: at for name, at in ready.items() if name != "train"}
    cut = {name: f for name, f in wanted.items() if name not in fixed}
    if not cut:
        raise fault("split", "all parts are ready splits of the data, none is left to cut", "ask for `train`")
    total, unit = sum(cut.values()), max(1, arrays.streams)
    sizes = [n * unit for n in _sizes(len(pool) // unit, {name: f / total for name, f in cut.items()})]
    dealt = pool if arrays.streams else _dealt(arrays, pool, seed, stratify_by)
    ends = np.cumsum(sizes)
    parts = {name: dealt[end - n : end] for name, n, end in zip(cut, sizes, ends, strict=True)}
    return {name: {**fixed, **parts}[name] for name in (*wanted, *(k for k in fixed if k not in wanted))}


def _checked(fractions: Mapping[str, float] | float) -> dict[str, float]:
    if isinstance(fractions, int | float):
        fractions = {"train": 1 - fractions, "valid": fractions}
    good = all(f > 0 for f in fractions.values()) and abs(sum(fractions.values()) - 1) < 1e-9
    if not good:
        listed = ", ".join(f"{name}: {f:g}" for name, f in fractions.items())
        raise fault("split", f"the fractions ({listed}) are not positive with sum 1", "write for example valid = 0.15")
    return dict(fractions)


def _sizes(count: int, fractions: Mapping[str, float]) -> list[int]:
    """Whole numbers in these proportions with sum `count`: rounded down, the rest to the largest remainders."""
    exact = [count * f for f in fractions.values()]
    sizes = [floor(x + 1e-9) for x in exact]
    for i in sorted(range(len(exact)), key=lambda i: (sizes[i] - exact[i], i))[: count - sum(sizes)]:
        sizes[i] += 1
    if min(sizes) < 1:
        raise fault("split", f"{count} samples are too few for {', '.join(fractions)}", "use more samples")
    return sizes


def _dealt(arrays: Arrays, pool: Array, seed: int, stratify_by: str | None) -> Array:
    """`pool` in an order of which every beginning has all classes in proportion.

    The k-th of the n samples of a class stands at (k + 1/2) / n on a line from 0 to 1; all classes are merged there.
    """
    shuffled = pool[permutation(len(pool), seed, "split")]
    by = class_field(arrays) if stratify_by is None else stratify_by or None
    if by is None:
        return shuffled
    if by not in arrays.fields or arrays.fields[by].size != arrays.size:
        raise fault("split", f"`{by}` is not a field with one value per sample", "stratify by the field of the class")
    values = arrays.fields[by].reshape(-1)[shuffled]
    _, classes, counts = np.unique(values, return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    rank = np.empty(len(pool), dtype=np.int64)
    rank[by_class] = np.arange(len(pool)) - np.repeat(np.cumsum(counts) - counts, counts)
    return shuffled[np.argsort((rank + 0.5) / counts[classes], kind="stable")]


def notices(parts: Mapping[str, Arrays]) -> list[str]:
    """What a user should know before trusting a test: equal samples in two parts, classes that training never sees."""
    rows = {name: {_sample_key(part, i) for i in range(part.size)} for name, part in parts.items()}
    lines = []
    for a, b in combinations(parts, 2):
        common = len(rows[a] & rows[b])
        if common:
            lines.append(f"{common} different samples of `{b}` are in `{a}` too: results on `{b}` flatter the model")
    seen = class_counts(parts["train"]) if "train" in parts else {}
    for name, part in parts.items():
        unseen = sorted(class_counts(part).keys() - seen.keys()) if seen else []
        if unseen:
            lines.append(f"`{name}` has classes that `train` lacks: {', '.join(unseen)}")
    return lines


def _sample_key(arrays: Arrays, index: int) -> int:
    return hash(tuple(values[index].tobytes() for values in arrays.fields.values()))
