"""Data: sets by name, the user's files, splits, batches. Knows nothing of the compiler.

    arrays = load("mnist_5k", {}, folder)        # or read_table("wine.csv", fields, folder)
    parts = split(arrays, valid_fraction, seed)  # {"train": Arrays, "valid": Arrays}
    for indices, fields in batches(parts["train"], 128, seed, epoch, start): ...

To add a data set: one file with one `@dataset("name")` function, imported here.
"""

from zhdsl.data import (
    cifar10,
    dates,
    digits,
    figures,
    idx,
    image_folder,
    moving,
    number_words,
    python_source,
    scenes,
    sequences,
    spirals,
    text,
)
from zhdsl.data.arrays import Arrays, class_counts, class_field, conform, describe, fingerprint
from zhdsl.data.epoch import batch_count, batches, order
from zhdsl.data.loader import prefetch
from zhdsl.data.registry import dataset, known, load
from zhdsl.data.splits import notices, split, split_indices
from zhdsl.data.table import read_table
from zhdsl.data.tokens import decode

# Modules that are imported because importing them registers their data sets.
BUILT_IN = (
    *(cifar10, dates, digits, figures, idx, image_folder, moving, number_words, python_source, scenes, sequences),
    *(spirals, text),
)

__all__ = [
    "Arrays",
    "batch_count",
    "batches",
    "class_counts",
    "class_field",
    "conform",
    "dataset",
    "decode",
    "describe",
    "fingerprint",
    "known",
    "load",
    "notices",
    "order",
    "prefetch",
    "read_table",
    "split",
    "split_indices",
]
