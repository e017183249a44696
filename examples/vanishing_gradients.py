"""Why gradients vanish or explode: the linear recurrence h_t = W h_{t-1}, and the gate of an LSTM beside it.

The gradient that reaches the start scales with the largest singular value to the power of the steps; in an LSTM it is
the product of the forget gates, which the net can keep near one.

    python examples/vanishing_gradients.py
"""

import numpy as np

import zhdsl as zh

SPEC = """
fn linear(h: [N], W: [N', N]) -> [] {
  y = scan t over T = {steps} from s = h {
    s = s @ W
    emit last s
  }
  return norm(y)
}

fn gated(c: [N], f: [N]) -> [] {
  y = scan t over T = {steps} from s = c {
    s = f * s
    emit last s
  }
  return norm(y)
}
"""


def main() -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    start = np.ones(4) / 2
    print("steps   W of norm 0.8   W of norm 1.2   forget gate 0.99")
    for steps in (1, 10, 50, 100):
        text = SPEC.replace("{steps}", str(steps))
        linear = zh.load(text, model="linear", dtype="float64")
        gated = zh.load(text, model="gated", dtype="float64")
        norms = [np.linalg.norm(linear.value_and_grad(h=start, W=s * rotation)[1]["h"]) for s in (0.8, 1.2)]
        norms.append(np.linalg.norm(gated.value_and_grad(c=start, f=np.full(4, 0.99))[1]["c"]))
        print(f"{steps:5}", *(f"{n:15.3e}" for n in norms))


if __name__ == "__main__":
    main()
