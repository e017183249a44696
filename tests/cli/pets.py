"""A small data set in a CSV file, with classes that are text, and a spec that learns it in a moment."""

from __future__ import annotations

from pathlib import Path

NAMES = ("=cat", "@owl", "dog")  # in the order of their numbers; two look like formulas
SPEC = """\
const N = 4

dataset pets[file = "pets.csv"] -> (x: [B, F=2], kind: i32[B])

model Pets(x: [B, F=2]) -> logits: [B, K=3] {
  return x -> Dense[N] -> tanh -> Dense[3]
}

train Pets {
  data      = pets
  prepare.x = x -> standardize
  loss      = cross_entropy[K](logits, kind)
  optimizer = adam[lr = 0.1]
  batch     = 16
  epochs    = 4
  metric    = (acc = accuracy[K](logits, kind))
}
"""


def write_pets(folder: Path) -> None:
    """Writes `pets.zh`, and `pets.csv` with 60 rows of three classes that lie apart."""
    rows = [f"{k + 0.01 * (i % 7)},{-k + 0.01 * (i % 5)},{NAMES[k]}" for i in range(60) for k in (i % 3,)]
    (folder / "pets.csv").write_text("\n".join(["x0,x1,kind", *rows]) + "\n")
    (folder / "pets.zh").write_text(SPEC)
