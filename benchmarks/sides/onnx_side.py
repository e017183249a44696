"""ONNX Runtime's side: inference with all of its optimisations."""

from __future__ import annotations

from typing import Any

import onnxruntime as ort

from benchmarks.sides import Forward
from benchmarks.sides.onnx_nets import model_of
from benchmarks.workloads import Start


def forward(start: Start, threads: int) -> Forward:
    """See `Forward`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(model_of(start).SerializeToString(), options, providers=["CPUExecutionProvider"])

    def infer() -> Any:
        return session.run(["logits"], {"x": start.x})[0]

    return infer
