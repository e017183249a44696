"""Specs that pictures are made of, and their scenes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from zhdsl.ir.graph import Graph
from zhdsl.lang.model import Project
from zhdsl.runtime import pipeline
from zhdsl.runtime.step import gradient_graph, step_graph
from zhdsl.source import Source
from zhdsl.viz import Scene, scene_of_graph

SPECS = Path(__file__).resolve().parents[2] / "specs"

RESNET152 = """\
block Bottleneck[N: int, stride = 1](x: [B, C, H, W]) -> [B, C=4*N, H=H/stride, W=W/stride] {
  main = x -> Conv[N, 1]                  -> BatchNorm -> relu
           -> Conv[N, 3, stride, pad = 1] -> BatchNorm -> relu
           -> Conv[4 * N, 1]              -> BatchNorm
  skip = x if C == 4 * N and stride == 1 else x -> Conv[4 * N, 1, stride, pad = 0] -> BatchNorm
  return relu(main + skip)
}

model ResNet152(image: [B, C=3, H=224, W=224]) -> logits: [B, K=1000] {
  x = image -> Conv[64, 7, stride = 2, pad = 3] -> BatchNorm -> relu -> maxpool[3, stride = 2, pad = 1]
  repeat 4 as s {
    repeat (3, 8, 36, 3)[s] as i {
      x = x -> Bottleneck[64 * 2 ^ s, stride = 2 if s > 0 and i == 0 else 1]
    }
  }
  return x -> global_pool -> Dense[1000]
}
"""

LSTM = """\
model Last(x: [B, T, D=3]) -> [B, K=2] {
  h = x -> LSTM[8]
  return h[T=-1] -> Dense[2]
}
"""

SKIP = """\
model Skip(x: [B, D=4]) -> y: [B, D=4] {
  h = x -> Dense[4] -> tanh -> Dense[4]
  return tanh(x + h)
}
"""


@cache
def project_of(file: str, text: str) -> Project:
    source = Source(file, (SPECS / file).read_text(encoding="utf-8")) if file else Source("net.zh", text)
    return pipeline.checked(source, (SPECS / file).parent if file else None)


@cache
def graph_of(text: str, stage: str = "graph") -> Graph:
    """The graph of a stage of the only model of a text, or of a file in `specs` (`depth/resnet.zh ResNet20`)."""
    file, _, name = text.partition(" ") if ".zh" in text else ("", "", "")
    project = project_of(file, "" if file else text)
    model = project.models[name] if name else next(iter(project.models.values()))
    recipe = next((r for r in project.recipes.values() if r.model.name == model.name), None)
    makers = {
        "graph": lambda: model.infer,
        "train": lambda: model.train,
        "grad": lambda: gradient_graph(recipe or model),
        "step": lambda: step_graph(recipe),
        "passes": lambda: pipeline.optimized(step_graph(recipe)),
    }
    return makers[stage]()


@cache
def scene_of(text: str, stage: str = "graph") -> Scene:
    return scene_of_graph(graph_of(text, stage))
