"""The backend that needs nothing but NumPy: the reference for the others, and what runs where there is no compiler.

memory.py       one array per buffer, views as strided arrays
calls.py        what a kernel becomes: a list of (function, arguments), made once per sizes
elementwise.py  reduce.py  contract.py  movement.py  index.py  random.py      one rule per family
functions.py    erf in single precision    labelled.py    any op by its own meaning
kernels.py      kernels in pieces, loops
backend.py      NumpyBackend, and what it compiles a program to
"""

from zhdsl.backends.numpy.backend import NumpyBackend, NumpyExecutable
from zhdsl.schedule.program import Program


def compile(program: Program, dtype: str = "f32") -> NumpyExecutable:
    """A program ready to run with NumPy. See `Backend.compile`."""
    return NumpyBackend().compile(program, dtype)


__all__ = ["NumpyBackend", "NumpyExecutable", "compile"]
