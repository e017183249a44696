"""What runs a checked spec: stages in order, state, checkpoints, sessions.

splice.py      a graph copied into another            step.py        the training step, and gradients, as graphs
whole_pass.py  metrics of a pass, batch by batch      pipeline.py    the order of all stages, text to executable
reference.py   the device that is the oracle          arguments.py   arrays a user gives, checked against ports
state.py       first values of parameters             tensor_file.py safetensors, read with distrust
checkpoint.py  a run in a file                        non_finite.py  the first node that is not finite
session.py     a model in Python                      summary.py     parameters, FLOPs and bytes as text
spec.py        a text, and what is meant in it        memory.py      what fits
files.py       files whole or not at all
"""
