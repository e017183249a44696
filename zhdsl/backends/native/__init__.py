"""The backend that prints C: one function per kernel, compiled by the machine's own compiler, called through a table.

kernels.py                     a kernel as a C function     frame.py     buffers, views and loops in C
nest.py  scalars.py            elementwise steps            ctext.py     sizes, numbers, dtypes
reductions.py  moves.py        sums, gathers, folds         zh.h  vmath.h  threefry.h    what kernels call
contractions.py  product*.py   products and convolutions
toolchain.py  cache.py  library.py     the compiler and what it has compiled
run.py  runtime.c              a table of calls, and the threads that walk through it
backend.py                     NativeBackend, and what it compiles a program to
"""

from zhdsl.backends.native.backend import NativeBackend, NativeExecutable, compile, prepare

__all__ = ["NativeBackend", "NativeExecutable", "compile", "prepare"]
