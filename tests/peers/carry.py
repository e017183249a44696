"""Weights of the language as weights of PyTorch modules: both are walked in the order in which they are used.

    Dense       W: [D, N], b: [N]                    →  Linear              weight: [N, D], bias: [N]
    LSTMCell    W: [D, G = f i o c, N], U, b         →  LSTM                weight_ih_l0: [i f c o of N, D], …
    MultiHead   Wq: [D, H, E], …, Wo: [H, E, N]      →  MultiheadAttention  in_proj_weight: [q k v of (H E), D], …

Every rule takes the weights it needs by their last names, and fails where the next one has another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.peers.twin import Module, Tensor, Weights, nn, torch

GATES = [1, 0, 3, 2]  # ours are forget, input, output, candidate; PyTorch's input, forget, candidate, output


class Own(Module):
    """A module of the twin's own: its parameters are those of the text, by their last names and as they are."""

    def __init__(self, *names: str):
        super().__init__()
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.empty(0)))


class Take:
    """The weights of a text, one after the other."""

    def __init__(self, w: Weights):
        self.w = w
        self.left = list(w.params)
        self.left_states = list(w.states)

    def __call__(self, name: str) -> Tensor:
        path = self.left.pop(0)
        assert path.rpartition(".")[2] == name, f"the next parameter is {path}, not a {name}"
        return self.w.params[path]

    def has(self, name: str) -> bool:
        return bool(self.left) and self.left[0].rpartition(".")[2] == name

    def state(self, name: str) -> Tensor:
        path = self.left_states.pop(0)
        assert path.rpartition(".")[2] == name, f"the next state is {path}, not a {name}"
        self.w.used.add(path)
        return self.w.states[path]


def carried(module: Any, w: Weights) -> dict[str, Tensor]:
    """All parameters and buffers of a module by its own names.

    Raises:
        AssertionError: the two do not have the same weights in the same order.
    """
    take = Take(w)
    found = dict(_walk(module, take, "", set()))
    assert not take.left, f"the twin has no {take.left}"
    return found


def _walk(module: Any, take: Take, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    if type(module) in RULES:
        yield from ((prefix + name, x) for name, x in RULES[type(module)](module, take).items())
        return
    for name, parameter in module.named_parameters(recurse=False):
        yield prefix + name, take(name) if not parameter.numel() else parameter
    for name in ORDER.get(type(module), _as_made)(module):
        yield from _walk(getattr(module, name), take, f"{prefix}{name}.", seen)


# ---------------------------------------------------------------- one rule per module
def _linear(m: Any, take: Take) -> dict[str, Tensor]:
    found = {"weight": take("W").T}
    return found | {"bias": take("b")} if m.bias is not None else found


def _bilinear(m: Any, take: Take) -> dict[str, Tensor]:
    return {"weight": take("W").permute(2, 0, 1), "bias": take("b")}


def _conv(m: Any, take: Take) -> dict[str, Tensor]:
    """[N, C, taps]; in groups [G, M, I, taps]; depthwise [C, taps]."""
    found = {"weight": take("W").reshape(m.weight.shape)}
    return found | {"bias": take("b")} if m.bias is not None else found


def _norm(m: Any, take: Take) -> dict[str, Tensor]:
    return {"weight": take("gain"), "bias": take("bias")}


def _batch_norm(m: Any, take: Take) -> dict[str, Tensor]:
    return _norm(m, take) | {"running_mean": take.state("mu"), "running_var": take.state("var")}


def _rnn(m: Any, take: Take) -> dict[str, Tensor]:
    found = {}
    for end in _cells(m):
        found[f"weight_ih_{end}"] = take("W").T
        found[f"weight_hh_{end}"] = take("U").T
        found[f"bias_ih_{end}"] = take("b")
        found[f"bias_hh_{end}"] = torch.zeros(m.hidden_size)
    return found


def _lstm(m: Any, take: Take) -> dict[str, Tensor]:
    """`m.forget` is the constant that is added to the forget gate, 0 where it is not set."""
    found = {}
    for end in _cells(m):
        found[f"weight_ih_{end}"] = take("W")[:, GATES].permute(1, 2, 0).flatten(0, 1)
        found[f"weight_hh_{end}"] = take("U")[:, GATES].permute(1, 2, 0).flatten(0, 1)
        found[f"bias_ih_{end}"] = take("b")[GATES].flatten()
        start = torch.zeros(4, m.hidden_size)
        start[1] = getattr(m, "forget", 0.0)
        found[f"bias_hh_{end}"] = start.flatten()
    return found


def _gru(m: Any, take: Take) -> dict[str, Tensor]:
    """With `after = true`. Our z is the share of the new state, PyTorch's of the old: 1 - sigmoid(a) = sigmoid(-a)."""
    found = {}
    turned = torch.tensor([1.0, -1.0, 1.0])[:, None]  # r, z, n
    for end in _cells(m):
        w, u, un, b = (take(name) for name in ("W", "U", "Un", "b"))
        found[f"weight_ih_{end}"] = (w * turned).permute(1, 2, 0).flatten(0, 1)
        found[f"weight_hh_{end}"] = torch.cat([(u * turned[:2]).permute(1, 2, 0).flatten(0, 1), un.T])
        found[f"bias_ih_{end}"] = (b * turned).flatten()
        found[f"bias_hh_{end}"] = torch.cat([torch.zeros(2 * m.hidden_size), take("bn")])
    return found


def _cells(m: Any) -> list[str]:
    ends = ["", "_reverse"] if m.bidirectional else [""]
    return [f"l{layer}{end}" for layer in range(m.num_layers) for end in ends]


def _attention(m: Any, take: Take) -> dict[str, Tensor]:
    """Without biases in the text PyTorch's are zero."""
    q, k, v = (take(name).flatten(1).T for name in ("Wq", "Wk", "Wv"))
    found = {"out_proj.weight": take("Wo").flatten(0, 1).T}
    if m.in_proj_weight is not None:
        found["in_proj_weight"] = torch.cat([q, k, v])
    else:
        found |= {"q_proj_weight": q, "k_proj_weight": k, "v_proj_weight": v}
    if m.in_proj_bias is not None:
        has = take.has("bq")
        d = m.embed_dim
        parts = [take(name).flatten() for name in ("bq", "bk", "bv")] if has else [torch.zeros(3 * d)]
        found |= {"in_proj_bias": torch.cat(parts), "out_proj.bias": take("bo") if has else torch.zeros(d)}
    return found


RULES: dict[Any, Callable[[Any, Take], dict[str, Tensor]]] = {
    nn.Linear: _linear,
    nn.Bilinear: _bilinear,
    nn.Embedding: lambda m, take: {"weight": take("W")},
    nn.PReLU: lambda m, take: {"weight": take("a")},
    nn.RMSNorm: lambda m, take: {"weight": take("gain")},
    nn.RNN: _rnn,
    nn.LSTM: _lstm,
    nn.GRU: _gru,
    nn.MultiheadAttention: _attention,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d), _conv),
    **dict.fromkeys((nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d), _norm),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
}


# ---------------------------------------------------------------- modules that use their parts in another order
def _as_made(m: Any) -> list[str]:
    return [name for name, _ in m.named_children()]


def _encoder_layer(m: Any) -> list[str]:
    if m.norm_first:
        return ["norm1", "self_attn", "norm2", "linear1", "linear2"]
    return ["self_attn", "norm1", "linear1", "linear2", "norm2"]


def _decoder_layer(m: Any) -> list[str]:
    return ["self_attn", "norm1", "multihead_attn", "norm2", "linear1", "linear2", "norm3"]


ORDER: dict[Any, Callable[[Any], list[str]]] = {
    nn.TransformerEncoderLayer: _encoder_layer,
    nn.TransformerDecoderLayer: _decoder_layer,
}
