"""Dense synapses: one program node, laid out for its kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.hardware.cpu import kernels_dense_tiles, tiles
from avnir.hardware.cpu.density import density, exact_in_float
from avnir.hardware.cpu.kernels_dense import NARROW, WIDE, add_messages, adding_kernel, driving_kernel
from avnir.hardware.cpu.kernels_dense_tiles import PAIR, room_for
from avnir.hardware.cpu.lif import Registers
from avnir.hardware.cpu.sent import Sent
from avnir.ir import integer
from avnir.ir.operation import Array, Shape

DENSE_FROM = 0.15
"""Density from which the float32 product of messages is faster than adding their multiples of weight rows;
measured 0.12 to 0.16 from 512 x 256 to 2048 x 2048 on one AVX-512 core. Adding rows of spikes is faster up to
a density of 0.8 to 1, so that there is no product of them but one of tiles."""
TILED_FROM = 0.01
"""Density from which products of tiles are faster than adding rows of spikes: 512 to 512 neurons, 16 samples
of 100 steps, took 0.57 ms by rows and 0.58 by tiles at 1 %, 0.63 and 0.58 at 2 %, 2.8 and 0.55 at 50 %."""
FEWEST_ROWS = 64
"""Steps of samples from which they are: with 5 % spikes, 16 and 64 of 1,024 to 1,024 neurons took 0.13 and
0.27 ms by rows, 0.18 and 0.20 by tiles; of 512 to 512 neurons 0.11 and 0.14, and 0.13 and 0.13."""


@dataclass(frozen=True)
class DenseStage:
    """`tiles`: see `avnir.hardware.cpu.kernels_dense`; `tiled`: whether products may be of tiles of AMX."""

    op: integer.Dense
    tiles: Array
    tiled: bool

    @classmethod
    def plan(cls, op: integer.Dense, shape: Shape, tiled: bool = False) -> DenseStage:
        """Lay out the weights; a Dense sees any input shape flattened."""
        outputs, inputs = op.weight.shape
        width = WIDE if outputs > WIDE - NARROW else NARROW
        rows = np.zeros((-(-outputs // width) * width, inputs), np.int8)
        rows[:outputs] = op.weight
        return cls(op, np.ascontiguousarray(rows.reshape(-1, width, inputs).transpose(0, 2, 1)), tiled)

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

    @cached_property
    def in_tiles(self) -> Array:
        """The weights for `avnir.hardware.cpu.kernels_dense_tiles`."""
        outputs, inputs = self.op.weight.shape
        pairs, blocks = -(-outputs // PAIR), -(-inputs // tiles.BYTES)
        whole = np.zeros((pairs * PAIR, blocks * tiles.BYTES), np.int8)
        whole[:outputs, :inputs] = self.op.weight
        held = tiles.aligned((pairs, blocks, 2, tiles.ROWS, tiles.BYTES), np.int8)
        parts = whole.reshape(pairs, 2, tiles.ROWS, blocks, tiles.ROWS, -1)
        held[:] = parts.transpose(0, 3, 1, 4, 2, 5).reshape(held.shape)
        return held

    def __call__(self, x: Sent) -> Array:
        """Summed weights, int32 `[S * B, out]` modulo 2^32, of spikes or messages."""
        if not x.binary and density(x.array) >= DENSE_FROM and exact_in_float(x.array, self.worst_row):
            return self._product(x.array)
        out, exponent = np.empty((x.count, len(self.op.weight)), np.int32), self.op.exponent
        if not x.binary:
            add_messages(x.array, self.tiles, exponent, out)
        elif self._for_tiles(x):
            kernel = kernels_dense_tiles.add_spikes
            kernel(x.matrix, x.rows, self.in_tiles, exponent, room_for(self.in_tiles.shape[1]), out)
        else:
            adding_kernel(self._width)(x.events, x.rows[1], x.rows[3], self.tiles, exponent, out)
        return out

    def drive(self, layer: Registers, given: Sequence[Sent], sent: Sent) -> None:
        """Fill `sent` with what the layer sends that nothing but these synapses feeds, with spikes."""
        (x,) = given
        kind, exponent = layer.stage.kind(self.worst_row << self.op.exponent), self.op.exponent
        at_work = (layer.stage.neurons, layer.u, layer.v, sent.rows, sent.pieces)
        if self._for_tiles(x):
            kernel = kernels_dense_tiles.driving_kernel(kind)
            kernel(x.matrix, x.rows, self.in_tiles, exponent, room_for(self.in_tiles.shape[1]), *at_work)
        else:
            driving_kernel(self._width, kind)(x.events, self.tiles, exponent, *at_work)

    def _for_tiles(self, x: Sent) -> bool:
        """Whether products of tiles are the faster way for these spikes."""
        return self.tiled and x.count >= FEWEST_ROWS and x.density >= TILED_FROM

    @property
    def _width(self) -> int:
        return int(self.tiles.shape[2])

    def _product(self, x: Array) -> Array:
        total = (x.astype(np.float32) @ self.float_weight).astype(np.int32)
        return np.left_shift(total, self.op.exponent, out=total)
