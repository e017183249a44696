"""Training steps and inference of six nets beside other frameworks. `python benchmarks/run.py --help`."""
