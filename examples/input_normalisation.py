"""Why inputs are standardised: the Hessian of a linear model on raw and on standardised pixels, and one rate for both.

For least squares the Hessian is the same everywhere, so a column of it is an exact difference of two gradients. Its
largest eigenvalue bounds the rate (steps above 2 / largest diverge), its smallest one is the slowest direction.

    python examples/input_normalisation.py
"""

from pathlib import Path

import numpy as np

import zhdsl as zh
from zhdsl.data import load

SPEC = Path(__file__).resolve().parent.parent / "specs" / "supervised" / "input_normalisation.zh"
NONE = 1e-9  # eigenvalues below this share of the largest are those of pixels that never change


def hessian(m, fields):
    """[65, 65]: of the loss in the 64 weights and the bias of the first plane, by gradients at 0 and a step away."""

    def gradient(at):
        m.params["dense.W"] = np.pad(at[:64, None], ((0, 0), (0, 9)))
        m.params["dense.b"] = np.pad(at[64:], (0, 9))
        _, g = m.value_and_grad(**fields)
        return np.append(g["dense.W"][:, 0], g["dense.b"][0])

    start = gradient(np.zeros(65))
    return np.stack([gradient(step) - start for step in np.eye(65)])


def main() -> None:
    fields = load("digits", {}, SPEC.parent).fields
    print("input          largest  smallest  condition   2/largest   loss after 20 steps with rate 0.08")
    for name in ("raw", "standardised"):
        m = zh.load(SPEC, model=name, dtype="float64")
        result = m.fit(reporters=[])
        values = np.linalg.eigvalsh(hessian(m, fields))
        values = values[values > NONE * values.max()]
        low, high = values.min(), values.max()
        print(f"{name:13} {high:8.2f}  {low:8.2g}  {high / low:9.4g}  {2 / high:10.4f}  {result.metrics['loss']:10.4f}")


if __name__ == "__main__":
    main()
