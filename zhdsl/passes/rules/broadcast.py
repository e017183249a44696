"""Rules of expand and relabel: both move towards the results, so that less is computed and equal things look equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from zhdsl.ir.node import Node, apply, make
from zhdsl.ir.sizes import Size
from zhdsl.ops.families import Reduce
from zhdsl.ops.index import Gather
from zhdsl.ops.movement import Concat, Drop, Expand, Flip, Merge, Pad, Relabel, Slice, Split
from zhdsl.ops.window import Fold, Window
from zhdsl.passes.patterns import is_op, spread
from zhdsl.passes.rewriting import Rules


# ---------------------------------------------------------------- expand
def axes_of(n: Node) -> dict[str, Size]:
    """The axes along which n is an expanded value; none if it is no expand."""
    return dict(n.op.axes) if isinstance(n.op, Expand) else {}


def bare(n: Node) -> Node:
    """What is expanded, or n itself."""
    return n.operands[0] if is_op(n, "expand") else n


def compute_before_expand(n: Node) -> Node | None:
    """exp(expand(x)) = expand(exp(x)); expand(x) * y = x * y, expanded along what y lacks"""
    if not any(is_op(x, "expand") for x in n.operands):
        return None
    return spread(make(n.op, *map(bare, n.operands)), n.type)


def expand_merged(n: Node) -> Node | None:
    """expand[](x) = x; expand[B](expand[C](x)) = expand[B, C](x)"""
    (x,) = n.operands
    return spread(bare(x), n.type) if is_op(x, "expand") or n.type == x.type else None


def expand_dropped(n: Node) -> Node | None:
    """expand[T=1](drop[T](x)) = x"""
    (x,) = n.operands
    if not isinstance(x.op, Drop) or axes_of(n).get(x.op.label) != 1:
        return None
    return spread(x.operands[0], n.type)


def move_before_expand(n: Node) -> Node | None:
    """pad[T](expand[B](x)) = expand[B](pad[T](x)), and so of every op that moves along other axes only"""
    (x,) = n.operands
    axes = axes_of(x)
    touched = set(_touched(n))
    outside = {label for label in axes if label not in touched}
    if not outside:
        return None
    inner = spread(bare(x), x.type.without(outside))
    return spread(make(_restricted(n, inner), inner), n.type)


def _touched(n: Node) -> Iterable[str]:
    """The labels of the operand along which the op moves, and new ones it makes."""
    op: Any = n.op
    if isinstance(op, Relabel):
        return ()
    if isinstance(op, Merge):
        return (*op.labels, op.label)
    if isinstance(op, Split):
        return (op.label, *(label for label, _ in op.parts))
    return (op.label, op.tap) if isinstance(op, Window | Fold) else (op.label,)


def _restricted(n: Node, inner: Node) -> Any:
    """The op for an operand without the expanded axes: only a relabel speaks of axes that are gone."""
    if not isinstance(n.op, Relabel):
        return n.op
    return Relabel(tuple((old, new) for old, new in n.op.names if old in inner.type.sizes))


def move_along_expand(n: Node) -> Node | None:
    """slice, flip, drop, split, merge only along expanded axes: x expanded to the new axes"""
    (x,) = n.operands
    axes = axes_of(x)
    gone = n.op.labels if isinstance(n.op, Merge) else (n.op.label,) if isinstance(n.op, ALONG) else ()
    return spread(bare(x), n.type) if gone and all(label in axes for label in gone) else None


ALONG = Slice | Flip | Drop | Split


def concat_before_expand(n: Node) -> Node | None:
    """concat[T](expand[B](x), expand[B](y)) = expand[B](concat[T](x, y))"""
    assert isinstance(n.op, Concat)
    common = set.intersection(*(set(axes_of(x)) for x in n.operands)) - {n.op.label}
    if not common:
        return None
    inner = [spread(bare(x), x.type.without(common)) for x in n.operands]
    return spread(make(n.op, *inner), n.type)


def gather_before_expand(n: Node) -> Node | None:
    """expand[B](x)[V=i] = expand[B](x[V=i]); x[V=expand[B](i)] = expand[B](x[V=i])"""
    assert isinstance(n.op, Gather)
    x, *indices = n.operands
    inner = x if any(label in axes_of(x) for label in n.op.labels) else bare(x)
    bared = [bare(i) for i in indices]
    if inner is x and all(a is b for a, b in zip(bared, indices, strict=True)):
        return None
    return spread(make(n.op, inner, *bared), n.type)


# ---------------------------------------------------------------- relabel
def renames(n: Node) -> dict[str, str]:
    """old -> new of a relabel; empty for all else."""
    return dict(n.op.names) if isinstance(n.op, Relabel) else {}


def renamed(x: Node, names: dict[str, str]) -> Node:
    """x under other names, as few as there are."""
    needed = tuple((old, new) for old, new in names.items() if old != new and old in x.type.sizes)
    return apply("relabel", x, names=needed) if needed else x


def relabel_merged(n: Node) -> Node | None:
    """x[T as T] = x; x[T as K][K as Q] = x[T as Q]"""
    (x,) = n.operands
    inner, outer = renames(x), renames(n)
    if not inner and all(old != new for old, new in outer.items()) and outer:
        return None
    base = x.operands[0] if is_op(x, "relabel") else x
    return renamed(base, {label: _through(label, inner, outer) for label in base.type.labels})


def _through(label: str, *maps: dict[str, str]) -> str:
    for names in maps:
        label = names.get(label, label)
    return label


def compute_before_relabel(n: Node) -> Node | None:
    """x[T as K] + y[T as K] = (x + y)[T as K], and so of all that is computed of one renaming and scalars"""
    shaped = [x for x in n.operands if x.type.axes]
    if not shaped or not is_op(shaped[0], "relabel") or any(x.op != shaped[0].op for x in shaped):
        return None
    return renamed(make(n.op, *(x.operands[0] if x.type.axes else x for x in n.operands)), renames(shaped[0]))


def move_before_relabel(n: Node) -> Node | None:
    """slice[K](x[T as K]) = slice[T](x)[T as K], and so of pad, flip, drop"""
    (x,) = n.operands
    if not isinstance(n.op, Slice | Pad | Flip | Drop) or not is_op(x, "relabel"):
        return None
    names = renames(x)
    back = {new: old for old, new in names.items()}
    label = back.get(n.op.label, n.op.label)
    return renamed(make(replace(n.op, label=label), x.operands[0]), names)


def reduce_before_relabel(n: Node) -> Node | None:
    """sum[K](x[T as K]) = sum[T](x), the rest renamed"""
    (x,) = n.operands
    if not is_op(x, "relabel") or not isinstance(n.op, Reduce):
        return None
    names = renames(x)
    back = {new: old for old, new in names.items()}
    return renamed(make(replace(n.op, labels=tuple(back.get(k, k) for k in n.op.labels)), x.operands[0]), names)


ONE_AXIS = (move_along_expand, move_before_expand, move_before_relabel)
RULES: Rules = {
    "elementwise/*": (compute_before_expand, compute_before_relabel),
    "expand": (expand_dropped, expand_merged),
    "relabel": (relabel_merged, move_before_expand),
    "slice": ONE_AXIS,
    "pad": ONE_AXIS,
    "flip": ONE_AXIS,
    "drop": ONE_AXIS,
    "split": (move_along_expand, move_before_expand),
    "merge": (move_along_expand, move_before_expand),
    "window": (move_before_expand,),
    "fold": (move_before_expand,),
    "concat": (concat_before_expand,),
    "gather": (gather_before_expand,),
    "sum": (reduce_before_relabel,),
    "max": (reduce_before_relabel,),
    "argmax": (reduce_before_relabel,),
}
