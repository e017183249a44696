"""What each primitive means: one class is one op, one file is one family. Importing this package fills the registry.

    families.py     what the ops of a family share: rules for types, what `numpy` is given
    source.py       inputs, parameters, states, slots, constants, counting
    elementwise.py  scalar functions over the union of labels           special.py  erf, which NumPy lacks
    logic.py        comparisons, connectives, where: elementwise too
    reduce.py       sum, max, argmax                                    contract.py sums of products
    movement.py     relabel, expand, drop, split, merge, slice, pad, concat, flip
    window.py       window and its adjoint, fold: convolution and pooling for any number of axes
    index.py        gather, its adjoint scatter, topk                   random.py   counter-based uniform numbers
    loop.py         scan, project, and values with an adjoint of their own
    evaluate.py     the reference meaning of a graph, in NumPy          document.py the page of all ops

Everything else (the gradient check, the textual form, backends, the reference page) follows from the registry. The set
is closed under differentiation: every `vjp` builds nodes of ops in it.
"""

from zhdsl.ops import contract, elementwise, index, logic, loop, movement, random, reduce, source, window

__all__ = ["contract", "elementwise", "index", "logic", "loop", "movement", "random", "reduce", "source", "window"]
