"""Numbers that others have computed and published, some of them by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden.networks import HERE, gradients, session


# ---------------------------------------------------- M. Mazur, "A step by step backpropagation example" (2015)
def test_one_step_of_backprop_is_that_of_mazurs_example() -> None:
    m = session(HERE / "mazur.zh", "Mazur")
    x, t = [[0.05, 0.10]], [[0.01, 0.99]]
    m.params["dense.W"] = [[0.15, 0.25], [0.20, 0.30]]  # w1 and w2 lead to the first unit
    m.params["dense2.W"] = [[0.40, 0.50], [0.45, 0.55]]
    assert m.step(x=x, t=t) == pytest.approx(0.298371109, abs=5e-10)
    hidden, output = m.params["dense.W"].T.ravel(), m.params["dense2.W"].T.ravel()
    np.testing.assert_allclose(hidden, [0.149780716, 0.199561432, 0.249751144, 0.299502287], rtol=0, atol=5e-10)
    np.testing.assert_allclose(output, [0.358916480, 0.408666186, 0.511301270, 0.561370121], rtol=0, atol=5e-10)
    assert set(m.params["dense.b"]) == {0.35}
    assert set(m.params["dense2.b"]) == {0.60}
    assert m.value_and_grad(x=x, t=t)[0] == pytest.approx(0.291027774, abs=5e-10)


# ---------------------------------------------------------------- A. Karpathy, micrograd, README
MICROGRAD = """
fn M(a: [], b: []) -> g: [] {
  c = a + b
  d = a * b + b ^ 3
  c = c + c + 1
  c = c + 1 + c - a
  d = d + d * 2 + relu(b + a)
  d = d + 3 * d + relu(b - a)
  e = c - d
  f = e ^ 2
  g = f / 2.0
  return g + 10.0 / f
}
"""


def test_the_expression_of_micrograds_readme_has_its_value_and_its_gradients() -> None:
    m = session(MICROGRAD)
    assert f"{m(a=-4.0, b=2.0):.4f}" == "24.7041"
    slopes = gradients(m, ["a", "b"], {"a": -4.0, "b": 2.0})
    assert f"{slopes['a']:.4f}" == "138.8338"
    assert f"{slopes['b']:.4f}" == "645.5773"


# ---------------------------------------------------------------- CS231n, lecture 5: max pooling
def test_max_pooling_of_the_lecture_and_its_gradient_goes_to_the_largest_only() -> None:
    m = session("fn M(x: [B, C, H=4, W=4]) -> [B, C, H=2, W=2] { return maxpool[2](x) }")
    x = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], np.float64).reshape(1, 1, 4, 4)
    assert m(x)[0, 0].tolist() == [[6, 8], [3, 4]]
    g = gradients(m, ["x"], {"x": x}, {"result": [[[[10, 20], [30, 40]]]]})["x"][0, 0]
    assert g.tolist() == [[0, 0, 0, 0], [0, 10, 0, 20], [30, 0, 0, 0], [0, 0, 0, 40]]
