"""When dense arithmetic pays, and when it is exact."""

from __future__ import annotations

import numpy as np

from avnir.ir.operation import Array

FLOAT_EXACT = 1 << 24
"""Integers below this magnitude are exact in float32 (IEEE 754: 24-bit significand), so a product of
integer matrices is too, in whatever order it is summed, while every partial sum stays below."""


def density(x: Array) -> float:
    """The share of entries of a block that are not 0."""
    return int(np.count_nonzero(x)) / x.size


def exact_in_float(x: Array, worst_row: int) -> bool:
    """Whether no partial sum of `weight @ x` reaches 2^24; `worst_row` is the largest sum of |weight|."""
    peak = max(int(x.max()), -int(x.min()))
    return peak * worst_row < FLOAT_EXACT
