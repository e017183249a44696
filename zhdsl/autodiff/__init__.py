"""Reverse mode on graphs: the derivative is a graph of the same kind, to any order; and the oracle that checks it."""
