"""Small specs whose derivatives are printed: what a course would put on its slides, one idea each."""

DENSE = """model Dense1(x: [B, D=4], y: [B, D=3]) -> loss: [] {
  h = x -> Dense[4] -> tanh
  return mse(h -> Dense[3], y)
}
"""

SOFTMAX = """model Classes(x: [B, D], label: i32[B], W: [D, C], b: [C]) -> loss: [] {
  logits = x @ W + b
  return cross_entropy[C](logits, label)
}
"""

SIGMOID = """model Gate(x: [B, D=4]) -> y: [B, D=4] {
  t = x -> Dense[4] -> sigmoid
  return t * x
}
"""

LAYER_NORM = """model Norm(x: [B, T, D=4]) -> y: [B, T, D=4] { return LayerNorm(x) }
"""

ATTENTION = """model Attention(x: [B, T, D=4], keep: bool[B, T]) -> y: [B, T, D=4] {
  return MultiHead[2, causal = true](x, x, keep)
}
"""

RNN = """model Recurrent(x: [B, T, D=3]) -> y: [B, D=4] {
  h = x -> RNN[4]
  return h[T=-1]
}
"""

LSTM = """model Memory(x: [B, T, D=3], keep: bool[B, T]) -> y: [B, T, D=4] { return LSTM[4, forget = 1](x, keep) }
"""

CONVOLUTION = """model Picture(x: [B, C=2, H=6, W=6]) -> y: [B, C=3, H=3, W=3] {
  return x -> Conv[3, 3] -> BatchNorm -> relu -> maxpool[2]
}
"""

EMBEDDING = """model Tied(ids: i32[B, T]) -> logits: [B, T, V=7] {
  e = Embed[7, 4]
  return sum[D](e(ids) * e.W)
}
"""

TEXTS = {
    "dense": DENSE,
    "softmax": SOFTMAX,
    "sigmoid": SIGMOID,
    "layer_norm": LAYER_NORM,
    "attention": ATTENTION,
    "rnn": RNN,
    "lstm": LSTM,
    "convolution": CONVOLUTION,
    "embedding": EMBEDDING,
}
