"""A derivative as on the blackboard: formulas in index notation, layer by layer, as LaTeX or as text.

    h = a @ W + b            h_bn = Σ_f a_bf W_fn + b_n
    dW = sum[B](dh * a)      δW_fn = Σ_b δh_bn a_bf

The printed derivative (`zh grad`) is the source: what is written here is that program, line by line, in another
notation. A named axis becomes an index, δ of a value is the derivative of the loss by it, a loop a recurrence in t.

    blocks.py      the lines of the program by the lines of the spec that they belong to
    axes.py        the axes of every expression
    indexed.py     expressions in index notation
    dialects.py    how a fraction, a sum, a name is written in LaTeX and in text
    page.py        the whole
"""

from zhdsl.lang.blackboard.page import latex, text

__all__ = ["latex", "text"]
