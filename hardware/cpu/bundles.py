"""Listed synapses that lie side by side: one program node, laid out in bundles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_bundles import LANES, Bundles, summing_kernel
from avnir.hardware.cpu.sent import Sent
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array

STRIDES = (1, 0)
"""Neighbouring outputs take from neighbouring inputs, or all from the same one."""


@dataclass(frozen=True)
class BundledStage:
    """`bundles`, `stride`: see `avnir.hardware.cpu.kernels_bundles`; `size`: outputs."""

    bundles: Bundles
    stride: int
    size: int

    @classmethod
    def of(cls, op: Sparse) -> BundledStage:
        """Lay out the synapses with the stride that needs fewer bundles."""
        stride = min(STRIDES, key=lambda stride: _count(op, stride))
        return cls(_bundles(op, stride), stride, op.size[0])

    def __call__(self, x: Sent) -> Array:
        """Summed weights, int32 `[S * B, out]` modulo 2^32, of spikes or messages."""
        out = np.empty((x.count, self.size), np.int32)
        self._sum(x, True, out)
        return out

    def add(self, x: Sent, total: Array) -> None:
        """Add the same to what others gave."""
        self._sum(x, False, total)

    def _sum(self, x: Sent, fresh: bool, out: Array) -> None:
        summing_kernel(x.binary)(x.matrix, x.rows, self.bundles, self.stride, fresh, out)


def fewest_bundles(op: Sparse) -> int:
    """How many bundles hold the synapses."""
    return min(_count(op, stride) for stride in STRIDES)


def _count(op: Sparse, stride: int) -> int:
    """How many different numbers there are; numpy.unique takes thirty times as long (numpy 2.4)."""
    return 1 + int(np.count_nonzero(np.diff(np.sort(_numbers(op, stride)))))


def _numbers(op: Sparse, stride: int) -> Array:
    """For each synapse a number that those of its bundle share, int64: block * length of the line + place."""
    block, lane = np.divmod(op.target.astype(np.int64), LANES)
    return np.asarray(block * _line(op) + LANES + op.source - lane * stride)


def _line(op: Sparse) -> int:
    return op.size[1] + 2 * LANES


def _bundles(op: Sparse, stride: int) -> Bundles:
    number, bundle = np.unique(_numbers(op, stride), return_inverse=True)
    weight = np.zeros((len(number), LANES), np.int16)
    weight[bundle, op.target % LANES] = op.weight.astype(np.int16) << op.exponent
    block, place = np.divmod(number, _line(op))
    start = np.searchsorted(block, np.arange(-(-op.size[0] // LANES) + 1))
    return start, place.astype(np.int32), weight
