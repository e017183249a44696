"""Exact match of greedy decoding by the length of the source, and where attention looked, of runs on the same data.

    zh train specs/translation/seq2seq.zh && zh train specs/translation/attention.zh
    python benchmarks/translations.py runs/Translate-1 runs/Translate-2

Every run is measured on its test part. A model that gives `alpha` besides `ids` shows it for one sample: a row for each
letter written, a column for each letter read, weights in tenths.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy.typing as npt

import zhdsl as zh
from zhdsl.data import Arrays
from zhdsl.data.tokens import decode
from zhdsl.train.parts import parts_of

Array = npt.NDArray[Any]
STEP = 6  # letters that are put into one line of the table


def test_part(model: Any) -> Arrays:
    """What the run decided nothing on."""
    return parts_of(model.recipe, model.spec.folder, model.seed, model.dtype).final[1]


def right(ids: Array, wanted: Array) -> Array:
    """bool [B]: which samples are right up to their end."""
    good: Array = ((ids == wanted) | (wanted == 0)).all(axis=1)
    return good


def by_length(part: Arrays, found: Array) -> dict[tuple[int, int], tuple[int, float]]:
    """(shortest, longest source) -> (samples, share of them that are right)."""
    length = (part.fields["src"] != 0).sum(1)
    groups = {low: (length >= low) & (length < low + STEP) for low in range(1, length.max() + 1, STEP)}
    return {(n, n + STEP - 1): (int(g.sum()), float(found[g].mean())) for n, g in groups.items() if g.any()}


def alignment(part: Arrays, ids: Array, alpha: Array, row: int) -> str:
    """The weights of one sample, a line for each letter that was written."""
    names = part.names["src"]
    source = decode(part.fields["src"][row], names)
    lines = [f"{'':5}{source.replace(' ', '_')}"]
    for id_, weights in zip(ids[row], alpha[row], strict=True):
        shown = "".join("." if w < 0.05 else str(min(int(10 * w + 0.5), 9)) for w in weights[: len(source)])
        lines.append(f"  {names[id_] if names[id_] != '</s>' else '$'}  {shown}")
        if names[id_] == "</s>":
            break
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folders of runs of translation/*.zh or transformers/number_words.zh")
    parser.add_argument("--sample", type=int, default=0, help="of the test part, whose alignment is shown")
    options = parser.parse_args()
    for run in options.runs:
        model = zh.load(Path(run) / "best.safetensors")
        part = test_part(model)
        found = model.predict(src=part.fields["src"], tgt=part.fields["tgt"])
        good = right(found["ids"], part.fields["next"])
        print(f"{run}: {model.spec.root}, {int(good.sum())} of {part.size} right, {good.mean():.4f}")
        for (low, high), (count, share) in by_length(part, good).items():
            print(f"  {low:2} to {high:2} letters  {count:4} samples  {share:.3f}")
        if "alpha" in found:
            print(alignment(part, found["ids"], found["alpha"], options.sample))


if __name__ == "__main__":
    main()
