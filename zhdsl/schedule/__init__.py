"""Graph → Program: layouts, kernels, memory. `schedule(graph)` is the way in; schedule.py tells the stages.

program.py    what a program is, and its text          views.py     affine index maps into buffers
layout.py     the order of axes, for the whole graph   tape.py      steps as they are written
rules.py      a place for every value: products.py (contractions), windows.py, loops.py
forward.py    values computed where they are needed    fuse.py      elementwise steps as one kernel
taps.py       windows in pieces                        waiting.py   which steps could be done now
memory.py     lifetimes, sharing, the arena            pieces.py    how large scratch may be
verify.py     what must hold of every program
"""

from zhdsl.schedule.schedule import schedule

__all__ = ["schedule"]
