"""What the identity does for a deep net: the gradient of each of 56 layers, with and without it, before training.

The gradient of a weight is what comes down to its layer times what goes up to it. Each relu halves the variance of
both, so in the plain net it is as good as nothing everywhere; through a sum with the identity both pass unhindered.

    python examples/gradients_by_depth.py
"""

from pathlib import Path

import numpy as np

import zhdsl as zh
from zhdsl.data import load

SPEC = Path(__file__).resolve().parent.parent / "specs" / "depth" / "plain_or_residual.zh"


def norms(model, batch):
    """The norm of the gradient of each layer's weights, from the first to the last."""
    m = zh.load(SPEC, model=model, dtype="float64")
    m.prepare(image=batch["image"])
    _, gradients = m.value_and_grad(**batch)
    return [float(np.linalg.norm(g)) for path, g in gradients.items() if path.endswith(".W")]


def main() -> None:
    batch = {name: values[:256] for name, values in load("digits", {}, SPEC.parent).fields.items()}
    plain, skipping = norms("Plain", batch), norms("Skipping", batch)
    print("layer       plain   with the identity")
    for layer in (0, 1, 14, 28, 42, 54, 55):
        print(f"{layer + 1:5}  {plain[layer]:10.2e}  {skipping[layer]:10.2e}")


if __name__ == "__main__":
    main()
