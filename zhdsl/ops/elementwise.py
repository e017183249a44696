"""Scalar functions over the union of the operands' labels.

Kernels are C-like scalar expressions. Functions in them: `exp log sqrt tanh erf sin cos floor pow` as in C;
`floordiv mod` round towards minus infinity, as in Python; `ipow(x, k)` multiplies; `cast(dtype, x)` converts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from zhdsl.ir.arrays import Array, np
from zhdsl.ir.node import Node, apply, lift
from zhdsl.ir.op import Uniform, register
from zhdsl.ir.types import DTYPES, FLOATS, Type, TypeProblem
from zhdsl.ops.families import Elementwise
from zhdsl.ops.special import erf

Cotangents = tuple[Node | None, ...]


@dataclass(frozen=True)
class Binary(Elementwise):
    """Two operands."""

    arity: ClassVar[int | None] = 2


# ---------------------------------------------------------------- arithmetic
@register
@dataclass(frozen=True)
class Add(Binary):
    """Sum of two, z = x + y; i32 wraps around.

    Shapes    x: S, y: R -> z: S ∪ R      Dtypes  number -> same
    Gradient  dx = g, dy = g
    """

    name: ClassVar[str] = "add"
    kernel: ClassVar[str] = "({x} + {y})"
    takes: ClassVar[str] = "number"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.add(x, y)

    def vjp(self, g: Node, z: Node, x: Node, y: Node) -> Cotangents:
        return (g, g)


@register
@dataclass(frozen=True)
class Sub(Binary):
    """Difference, z = x - y; i32 wraps around.

    Shapes    x: S, y: R -> z: S ∪ R      Dtypes  number -> same
    Gradient  dx = g, dy = -g
    """

    name: ClassVar[str] = "sub"
    kernel: ClassVar[str] = "({x} - {y})"
    takes: ClassVar[str] = "number"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.subtract(x, y)

    def vjp(self, g: Node, z: Node, x: Node, y: Node) -> Cotangents:
        return (g, -g)


@register
@dataclass(frozen=True)
class Mul(Binary):
    """Product, z = x * y; i32 wraps around.

    Shapes    x: S, y: R -> z: S ∪ R      Dtypes  number -> same
    Gradient  dx = g * y, dy = g * x      (the fitting turns them into contractions)
    """

    name: ClassVar[str] = "mul"
    kernel: ClassVar[str] = "({x} * {y})"
    takes: ClassVar[str] = "number"

    def numpy(self, x: Array, y: Array) -> Array:
        return np.multiply(x, y)

    def vjp(self, g: Node, z: Node, x: Node, y: Node) -> Cotangents:
        return (g * y, g * x)


@register
@dataclass(frozen=True)
class Div(Binary):
    """Quotient, z = x / y.

    Shapes    x: S, y: R -> z: S ∪ R      Dtypes  float -> same
    Gradient  dx = g / y, dy = -(g * z / y)      (needs z and y)
    """

    name: ClassVar[str] = "div"
    kernel: ClassVar[str] = "({x} / {y})"
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = (Uniform(-2.0, 2.0), Uniform(0.5, 2.0))

    def numpy(self, x: Array, y: Array) -> Array:
        return np.true_divide(x, y)

    def vjp(self, g: Node, z: Node, x: Node, y: Node) -> Cotangents:
        return (g / y, -(g * z / y))


@register
@dataclass(frozen=True)
class Neg(Elementwise):
    """Minus x.

    Shapes    x: S -> y: S      Dtypes  number -> same
    Gradient  dx = -g
    """

    name: ClassVar[str] = "neg"
    kernel: ClassVar[str] = "(-{x})"
    takes: ClassVar[str] = "number"

    def numpy(self, x: Array) -> Array:
        return np.negative(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (-g,)


@register
@dataclass(frozen=True)
class FloorDiv(Binary):
    """Whole quotient, z = floor(x / y), of the exact quotient: 1 // 0.1 is 9, as in Python.

    An i32 divided by 0 is unspecified.

    Shapes    x: S, y: R -> z: S ∪ R      Dtypes  number -> same
    Gradient  none: constant almost everywhere
    """

    name: ClassVar[str] = "floordiv"
    kernel: ClassVar[str] = "floordiv({x}, {y})"
    takes: ClassVar[str] = "number"
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = (Uniform(-9.0, 9.0), Uniform(1.0, 4.0))

    def numpy(self, x: Array, y: Array) -> Array:
        return np.floor_divide(x, y)

    def vjp(self, g: Node, z: Node, x: Node, y: Node) -> Cotangents:
        return (None, None)


@register
@dataclass(frozen=True)
class Mod(Binary):
    """Remainder of `floordiv`, z = x - y * floor(x / y), with the sign of y. An i32 modulo 0 is unspecified.

    Shapes    x: S, y: R -> z: S ∪ R      Dtypes  number -> same
    Gradient  dx = g, dy = -g * floordiv(x, y)      (where it does not jump)
    """

    name: ClassVar[str] = "mod"
    kernel: ClassVar[str] = "mod({x}, {y})"
    takes: ClassVar[str] = "number"
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = (Uniform(-9.0, 9.0), Uniform(1.0, 4.0))

    def numpy(self, x: Array, y: Array) -> Array:
        return np.mod(x, y)

    def vjp(self, g: Node, z: Node, x: Node, y: Node) -> Cotangents:
        return (g, -(g * apply("floordiv", x, y)))


# ---------------------------------------------------------------- functions
@register
@dataclass(frozen=True)
class Exp(Elementwise):
    """Exponential, y = e^x.

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  dx = g * y             (needs y only)
    """

    name: ClassVar[str] = "exp"
    kernel: ClassVar[str] = "exp({x})"

    def numpy(self, x: Array) -> Array:
        return np.exp(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g * y,)


@register
@dataclass(frozen=True)
class Log(Elementwise):
    """Natural logarithm; -inf at 0, nan below.

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  dx = g / x
    """

    name: ClassVar[str] = "log"
    kernel: ClassVar[str] = "log({x})"
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = Uniform(0.3, 3.0)

    def numpy(self, x: Array) -> Array:
        return np.log(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g / x,)


@register
@dataclass(frozen=True)
class Sqrt(Elementwise):
    """Square root; nan below 0.

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  dx = g / (2 * y)       (needs y only; infinite at 0)
    """

    name: ClassVar[str] = "sqrt"
    kernel: ClassVar[str] = "sqrt({x})"
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = Uniform(0.3, 3.0)

    def numpy(self, x: Array) -> Array:
        return np.sqrt(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g / (2.0 * y),)


@register
@dataclass(frozen=True)
class Tanh(Elementwise):
    """Hyperbolic tangent, y = tanh(x).

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  dx = g * (1 - y * y)   (needs y only, so x may be freed)
    """

    name: ClassVar[str] = "tanh"
    kernel: ClassVar[str] = "tanh({x})"

    def numpy(self, x: Array) -> Array:
        return np.tanh(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g * (1.0 - y * y),)


@register
@dataclass(frozen=True)
class Erf(Elementwise):
    """Error function, y = 2/√π · the integral of e^(-t²) from 0 to x.

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  dx = g * 2/√π * exp(-(x * x))
    """

    name: ClassVar[str] = "erf"
    kernel: ClassVar[str] = "erf({x})"

    def numpy(self, x: Array) -> Array:
        return erf(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g * (2.0 / math.sqrt(math.pi) * apply("exp", -(x * x))),)


@register
@dataclass(frozen=True)
class Sin(Elementwise):
    """Sine, x in radians.

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  dx = g * cos(x)
    """

    name: ClassVar[str] = "sin"
    kernel: ClassVar[str] = "sin({x})"

    def numpy(self, x: Array) -> Array:
        return np.sin(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (g * apply("cos", x),)


@register
@dataclass(frozen=True)
class Cos(Elementwise):
    """Cosine, x in radians.

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  dx = -(g * sin(x))
    """

    name: ClassVar[str] = "cos"
    kernel: ClassVar[str] = "cos({x})"

    def numpy(self, x: Array) -> Array:
        return np.cos(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (-(g * apply("sin", x)),)


@register
@dataclass(frozen=True)
class Floor(Elementwise):
    """The largest whole number not above x.

    Shapes    x: S -> y: S           Dtypes  float -> same
    Gradient  none: constant almost everywhere
    """

    name: ClassVar[str] = "floor"
    kernel: ClassVar[str] = "floor({x})"

    def numpy(self, x: Array) -> Array:
        return np.floor(x)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (None,)


@register
@dataclass(frozen=True)
class Pow(Binary):
    """Power with a float exponent, z = x ^ y; nan for x < 0 unless y is whole; 0 ^ 0 = 1.

    Shapes    x: S, y: R -> z: S ∪ R      Dtypes  float -> same
    Gradient  dx = g * y * x ^ (y - 1), 0 where y = 0
              dy = g * z * log(x), 0 where x = 0; nan where x < 0
    """

    name: ClassVar[str] = "pow"
    kernel: ClassVar[str] = "pow({x}, {y})"
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = (Uniform(0.3, 2.0), Uniform(-2.0, 2.0))

    def numpy(self, x: Array, y: Array) -> Array:
        return np.power(x, y)

    def vjp(self, g: Node, z: Node, x: Node, y: Node) -> Cotangents:
        zero, one = lift(0.0, x), lift(1.0, x)
        less = apply("where", apply("eq", y, zero), one, y - 1.0)  # 0 * 0 ^ -1 would be nan
        log = apply("log", apply("where", apply("eq", x, zero), one, x))
        return (g * (y * apply("pow", x, less)), g * (z * log))


@register
@dataclass(frozen=True)
class IPow(Elementwise):
    """Power with a whole exponent by repeated multiplication, y = x ^ exponent; x ^ 0 = 1; x ^ -k = 1 / x ^ k.

    Shapes    x: S -> y: S      Dtypes  number -> same; float if exponent < 0
    Gradient  dx = g * exponent * x ^ (exponent - 1)      (none if exponent = 0; finite at 0 if exponent > 0)
    """

    name: ClassVar[str] = "ipow"
    kernel: ClassVar[str] = "ipow({x}, {exponent})"
    takes: ClassVar[str] = "number"
    domain: ClassVar[Uniform | tuple[Uniform, ...]] = Uniform(0.3, 2.0)
    exponent: int

    def infer(self, *types: Type) -> Type:
        if self.exponent < 0 and not types[0].is_float:
            raise TypeProblem(f"ipow with exponent {self.exponent} takes float operands, not {types[0].dtype}")
        return super().infer(*types)

    def numpy(self, x: Array) -> Array:
        power = _multiplied(x, abs(self.exponent))
        return np.reciprocal(power) if self.exponent < 0 else power

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        k = self.exponent
        if k == 0:
            return (None,)
        return (g * (float(k) * _power(x, k - 1)),) if k != 1 else (g,)


def _power(x: Node, k: int) -> Node:
    return x if k == 1 else apply("ipow", x, exponent=k)


def _multiplied(x: Array, k: int) -> Array:
    """x ^ k by squaring, lowest bit first."""
    result, square = np.ones_like(x), x
    while k:
        if k & 1:
            result = result * square
        k >>= 1
        square = square * square if k else square
    return np.asarray(result)


# ---------------------------------------------------------------- dtype and derivative
@register
@dataclass(frozen=True)
class Cast(Elementwise):
    """x as another dtype. Float to i32 truncates (unspecified outside of i32), bool is 0 or 1, to bool is x != 0.

    Shapes    x: S -> y: S      Dtypes  any -> dtype
    Gradient  dx = g as x's dtype where both are float, else none
    """

    name: ClassVar[str] = "cast"
    kernel: ClassVar[str] = "cast({dtype}, {x})"
    takes: ClassVar[str] = "any"
    dtype: str

    def infer(self, *types: Type) -> Type:
        if self.dtype not in DTYPES:
            raise TypeProblem(f"cast to {self.dtype}: the dtypes are {', '.join(DTYPES)}")
        return super().infer(*types).of_dtype(self.dtype)

    def numpy(self, x: Array, *, dtype: type[np.generic]) -> Array:
        return x.astype(dtype)

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        both = self.dtype in FLOATS and x.type.is_float
        return (apply("cast", g, dtype=x.type.dtype) if both else None,)


@register
@dataclass(frozen=True)
class Stop(Elementwise):
    """x itself, a constant for differentiation.

    Shapes    x: S -> y: S      Dtypes  any -> same
    Gradient  none
    """

    name: ClassVar[str] = "stop"
    kernel: ClassVar[str] = "{x}"
    takes: ClassVar[str] = "any"

    def numpy(self, x: Array) -> Array:
        return x

    def vjp(self, g: Node, y: Node, x: Node) -> Cotangents:
        return (None,)
