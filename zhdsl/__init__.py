"""zhdsl: a declarative graph compiler for neural networks.

    import zhdsl as zh
    m = zh.load("spirals.zh")             # or weights: zh.load("runs/Spirals-1/best.safetensors")
    m.fit()                               # trains by the recipe
    m(x = [[1.0, 2.0]])                   # NumPy in, NumPy out
    m.value_and_grad(x = x, y = y)        # the recipe's loss and its gradients by path

The public façade: what is named here is the interface, and nothing here has logic of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zhdsl.errors import BackendError, CompilerError, SpecError, TrainingError, ZhError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from zhdsl.train.trainable import Trainable

__all__ = ["BackendError", "CompilerError", "SpecError", "TrainingError", "ZhError", "__version__", "load"]

__version__ = "0.1.0"


def load(
    source: str | os.PathLike[str],
    model: str | None = None,
    set: Mapping[str, Any] | None = None,
    device: str = "auto",
    dtype: str | None = None,
    seed: int | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Trainable:
    """A model from a `.zh` file, a text, or a weights file (which holds its text).

    Args:
        source: a path that ends in `.zh` or `.safetensors`, or a text with line ends or braces.
        model: which one is meant, by the name of a model, recipe, function or block; needed where there are several.
        set: values for `const`s of the text.
        device: `auto`, `numpy`, `reference`.
        dtype: `float32` or `float64`; by default what the weights or the recipe's `precision` say, else `float32`.
        seed: of first values and random numbers; by default that of the weights or of the recipe, else 0.
        folder: where the data files lie that the text names; by default beside it.

    Raises:
        SpecError: the text is wrong; all that is wrong with it, with places.
        TrainingError: the weights are damaged or of another model, or it is not clear which model is meant.
        BackendError: there is no such device or dtype here.
    """
    from zhdsl.train.trainable import load as load_trainable

    return load_trainable(source, model, set, device, dtype, seed, folder)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext zhdsl`: from now on a cell that begins with `%%zh` is in the language."""
    from zhdsl.notebook.magic import register

    register(shell)
