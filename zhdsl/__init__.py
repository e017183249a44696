"""zhdsl: a declarative graph compiler for neural networks.

The public façade: what is named here is the interface, and nothing here has logic of its own.
"""

__version__ = "0.1.0"
