"""The same things as the command line does, in Python: load a spec, train it, look at its gradients, save it.

python examples/python_api.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import zhdsl as zh

SPEC = """
model Spirals(x: [B, F=2]) -> p: [B, F=1] {
  h = x
  repeat 3 { h = concat[F](h, h -> Dense[5] -> tanh) }
  return h -> Dense[1] -> sigmoid
}

train Spirals {
  data = two_spirals[points = 97]
  prepare.x = x -> standardize
  loss = binary_cross_entropy(p, y)
  optimizer = adam[lr = 0.03]
  batch = all
  epochs = 200
  metric = (acc = binary_accuracy(p, y))
}
"""


def main() -> None:
    m = zh.load(SPEC, seed=1)
    print(m)
    with TemporaryDirectory() as folder:
        m.fit(folder=Path(folder) / "run")
        print("probability of the first spiral at the origin:", float(m.predict(x=[[0.0, 0.0]])[0, 0]))
        value, gradients = m.value_and_grad(x=[[1.0, 2.0]], y=[[1.0]])
        print(f"loss of one point {value:.4f}; gradients of", ", ".join(gradients))
        m.save(Path(folder) / "spirals.safetensors")
        again = zh.load(Path(folder) / "spirals.safetensors")
        print("the same after loading:", bool((again(x=[[1.0, 2.0]]) == m(x=[[1.0, 2.0]])).all()))
    step = m.graph("step")
    print(f"one training step is a graph of {step.number_of_nodes()} nodes and {step.number_of_edges()} edges")


if __name__ == "__main__":
    main()
