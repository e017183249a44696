"""Whether a network can be trained, found out before it is trained.

recipe  →  sites  →  instrumented graph  →  measurements on real batches  →  findings, each with its line

sites.py         layers, activations, loops and inputs of a graph
instrument.py    the graph that also gives out what happens there
measure.py       activations and gradients by depth
recurrence.py    gradients through time
descent.py       a few steps at the recipe's learning rate, and at smaller ones
rules.py         thresholds with their sources, findings with their remedies
diagnosis.py     all of it in order
"""

from zhdsl.diagnose.diagnosis import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
