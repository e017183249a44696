"""The rules of `simplify_algebra`, a file per family of ops; each file ends in its table.

What a rule may do. It is an identity of real numbers, with these limits:
- No value that is not finite becomes finite: x * 0, x - x and x / x stay, since x may be infinite or nan.
- The sign of zero is not kept: -0.0 + 0 is 0.0, but x + 0 becomes x.
- Sums and products may be taken in another order, and factors may leave a sum: the result moves by rounding, and an
  intermediate may overflow or underflow where it did not before, or no longer; of an infinite operand, what was nan
  may become inf. A size that divides is taken not to be 0.
- What softmax leaves out of a row without elements is taken to be finite: 0 * x is 0 there.
- Nothing is said about derivatives by a rule, so `stop` and `override` stay; `erase_stops` removes them at the end.
"""
