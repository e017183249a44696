"""The derivative of a model as a program that can be read: values and gradients in one graph, and its text.

    recipe  →  formulas found  →  gradients  →  short forms  →  formulas written out, axes renamed  →  text

It computes what the training step computes, in another order where that reads better: `softmax` and its like are
differentiated as one formula, constants stay where they arise, axes have the names under which they are used. One thing
is taken for granted that the training step is not told: labels of a cross entropy are in range (a label out of range
has gradient 0 there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import chain

from zhdsl.errors import TrainingError
from zhdsl.ir.graph import Graph, Port
from zhdsl.lang import decompile
from zhdsl.lang.model import Model, Project, Recipe
from zhdsl.passes import drop_dead_code, hoist_products, merge_common_subexpressions, run_passes, sink_sums
from zhdsl.passes.erase_stops import erase_stops
from zhdsl.runtime.readable import shorten
from zhdsl.runtime.spec import chosen
from zhdsl.runtime.step import gradient_graph
