"""A graph printed as a program of the language, which reads like a textbook and means the same to the last bit.

    graph Spirals.grad { … }          fn Spirals_grad(x: [B, F=2], y: i32[B], W: [F=2, N=3]) -> (loss: [], …) {
                                        # forward
                                        h = tanh(x @ W)                        # spirals.zh:3
                                        …

The arguments are the graph's inputs: data, parameters (`dense.W` is `dense_W`), and the states and counters that are
used. The results are all outputs: gradients `d_dense_W`, new states `new_norm_mu`. Values that are used twice have
names, the user's where there is one; comments tell the line of the user's text.

    program.py    signature, comments, text         scalars.py, moves.py    one rule for each op
    writer.py     what gets a name and a line       loops.py                scans
    formulas.py   softmax, sigmoid, … found again   labels.py               axes renamed so that relabels vanish
"""

from __future__ import annotations

from zhdsl.lang.decompile.formulas import DIFFERENTIABLE, roll, unroll
from zhdsl.lang.decompile.program import module, program, text

__all__ = ["DIFFERENTIABLE", "module", "program", "roll", "text", "unroll"]
