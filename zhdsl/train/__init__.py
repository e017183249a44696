"""Training: a recipe and its data become a run in a folder that can be interrupted anywhere and goes on bit for bit.

parts.py       which samples train, validate and test    measure.py   loss and metrics over a whole pass
trainer.py     `fit`: epochs, steps, what is best        replay.py    where a loss that is not finite comes from
run_folder.py  files of a run, one writer at a time      report.py    progress: a bar, lines or nothing
signals.py     interrupts between steps                  result.py    what came of it, expectations
trainable.py   the model in Python, with fit, evaluate and predict
"""
