"""Dense synapses: one program node, laid out for its kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu.density import density, exact_in_float
from avnir.hardware.cpu.kernels_dense import NARROW, WIDE, add_messages, adding_kernel, driving_kernel
from avnir.hardware.cpu.lif import Registers
from avnir.hardware.cpu.sent import Sent
from avnir.ir import integer
from avnir.ir.operation import Array, Shape

DENSE_FROM = 0.15
"""Density from which the float32 product of messages is faster than adding their multiples of weight rows;
measured 0.12 to 0.16 from 512 x 256 to 2048 x 2048 on one AVX-512 core. Adding rows of spikes is faster up to
a density of 0.8 to 1, so that there is no product of them."""


@dataclass(frozen=True)
class DenseStage:
    """`tiles`: the weights, see `avnir.hardware.cpu.kernels_dense`."""

    op: integer.Dense
    tiles: Array

    @classmethod
    def plan(cls, op: integer.Dense, shape: Shape) -> DenseStage:
        """Lay out the weights; a Dense sees any input shape flattened."""
        outputs, inputs = op.weight.shape
        width = WIDE if outputs > WIDE - NARROW else NARROW
        rows = np.zeros((-(-outputs // width) * width, inputs), np.int8)
        rows[:outputs] = op.weight
        return cls(op, np.ascontiguousarray(rows.reshape(-1, width, inputs).transpose(0, 2, 1)))

    @property
    def drives(self) -> bool:
        """Whether neurons may take sums of spikes as they are made: modulo 2^32, always."""
        return True

    @cached_property
    def float_weight(self) -> Array:
        """`[in, out]`, for dense arithmetic."""
        return np.ascontiguousarray(self.op.weight.T, np.float32)

    @cached_property
    def worst_row(self) -> int:
        """The largest sum of |weight| of an output."""
        return int(np.abs(self.op.weight.astype(np.int64)).sum(axis=1).max())

    def __call__(self, x: Sent) -> Array:
        """Summed weights, int32 `[S * B, out]` modulo 2^32, of spikes or messages."""
        if not x.binary and density(x.array) >= DENSE_FROM and exact_in_float(x.array, self.worst_row):
            return self._product(x.array)
        out = np.empty((x.count, len(self.op.weight)), np.int32)
        if x.binary:
            _, samples, _, steps = x.rows
            adding_kernel(self._width)(x.events, samples, steps, self.tiles, self.op.exponent, out)
        else:
            add_messages(x.array, self.tiles, self.op.exponent, out)
        return out

    def drive(self, layer: Registers, x: Sent, sent: Sent) -> None:
        """Fill `sent` with what the layer sends that nothing but these synapses feeds, with spikes."""
        kernel = driving_kernel(self._width, layer.stage.kind(self.worst_row << self.op.exponent))
        neurons, exponent = layer.stage.neurons, self.op.exponent
        kernel(x.events, self.tiles, exponent, neurons, layer.u, layer.v, sent.rows, sent.matrix)

    @property
    def _width(self) -> int:
        return int(self.tiles.shape[2])

    def _product(self, x: Array) -> Array:
        total = (x.astype(np.float32) @ self.float_weight).astype(np.int32)
        return np.left_shift(total, self.op.exponent, out=total)
