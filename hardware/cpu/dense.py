"""Dense synapses: one program node, laid out for both of its kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu.density import density, exact_in_float
from avnir.hardware.cpu.kernels_dense import add_messages, add_spikes
from avnir.ir import integer
from avnir.ir.operation import Array, Shape

DENSE_FROM = 0.6
"""Density from which the float32 product is faster than adding weight rows; measured 0.6 from 512 x 256
to 1024 x 2048 on one AVX-512 core."""


@dataclass(frozen=True)
class DenseStage:
    """`weight` int8 `[in + 1, out]`: a row for each input, and one of zeros for the kernel."""

    weight: Array
    exponent: int

    @classmethod
    def plan(cls, op: integer.Dense, shape: Shape) -> DenseStage:
        """Lay out the weights; a Dense sees any input shape flattened."""
        rows = np.zeros((op.weight.shape[1] + 1, len(op.weight)), np.int8)
        rows[:-1] = op.weight.T
        return cls(rows, op.exponent)

    @cached_property
    def float_weight(self) -> Array:
        """`[in, out]`, for dense arithmetic."""
        return self.weight[:-1].astype(np.float32)

    @cached_property
    def worst_row(self) -> int:
        """The largest sum of |weight| of an output."""
        return int(np.abs(self.weight.astype(np.int64)).sum(axis=0).max())

    def __call__(self, x: Array) -> Array:
        """Summed weights, int32 `[R, out]` modulo 2^32, of `x` `[R, in]`, uint8 spikes or int32."""
        if density(x) >= DENSE_FROM and exact_in_float(x, self.worst_row):
            total = (x.astype(np.float32) @ self.float_weight).astype(np.int32)
            return np.left_shift(total, self.exponent, out=total)
        out = np.empty((len(x), self.weight.shape[1]), np.int32)
        kernel = add_spikes if x.dtype == np.uint8 else add_messages
        kernel(x, self.weight, self.exponent, out)
        return out
