"""Listed synapses: one program node, laid out for its kernels in the way that is fastest.

Inputs with the same synapses are merged first (`merged`). What remains stays a list, or goes into bundles
where neighbours feed neighbours (`bundles`), or becomes a Dense where a good part of all synapses is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import numpy as np

from avnir.hardware.cpu.bundles import BundledStage, fewest_bundles
from avnir.hardware.cpu.dense import DenseStage
from avnir.hardware.cpu.kernels_sparse import add_messages, add_spikes
from avnir.hardware.cpu.merged import MergedStage, groups_of, merged
from avnir.hardware.cpu.sent import Sent
from avnir.ir.integer import Dense
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array, Shape

Stage = Callable[[Sent], Array]

LISTED, INPUT, BUNDLED, DENSE = 1.6, 3.0, 0.9, 0.05
"""Nanoseconds for a listed synapse of an active input, and for such an input itself; for a bundle; for a
weight in the row that a Dense adds of an active input. Fitted to 64 x 10 to 2048 x 2048 with 1 to 90 % of
all synapses there and 2 to 30 % of the inputs active, on one core of a Xeon 6. 512 x 256 with 5 % of them
takes 1,090 ns a step listed, 4,300 bundled and 190 as a Dense where a tenth of the inputs spikes; 3,136
outputs of one input each, in stretches of 49, take 1,050 listed and 540 bundled where 15 % spike. A weight of
a Dense takes 0.02 up to 4 MB of them, and up to 0.09 in 67 MB."""
ROW = 64
"""What such a row costs at least, in weights."""
ACTIVE = 0.1
"""Share of the inputs that are taken to be active; of merged ones all are."""
MERGED = 16
"""Synapses for each one that the groups have, from which on inputs are merged. With 49, a step of 3,136
inputs and outputs takes 560 ns merged; listed, 18,100 where 15 % of the inputs spike, 1,900 where 1 %."""


@dataclass(frozen=True)
class SparseStage:
    """Synapses one by one. `start` int64 `[in + 1]`: where those of each input begin in the lists of `op`."""

    op: Sparse
    start: Array

    @staticmethod
    def plan(op: Sparse, shape: Shape, tiled: bool = False) -> Stage:
        """Lay the synapses out in the fastest way; any input shape is flattened.

        `tiled`: see `avnir.hardware.cpu.dense.DenseStage`.
        """
        if len(op.weight) >= MERGED * np.count_nonzero(np.bincount(op.target)):
            group = groups_of(op)
            core = merged(op, group)
            if len(op.weight) >= MERGED * len(core.weight):
                return MergedStage.of(group, _fastest(core, 1.0, tiled))
        return _fastest(op, ACTIVE, tiled)

    @classmethod
    def of(cls, op: Sparse) -> SparseStage:
        """Find each input's synapses, which the operation keeps together."""
        return cls(op, np.searchsorted(op.source, np.arange(op.size[1] + 1)))

    def __call__(self, x: Sent) -> Array:
        """Summed weights, int32 `[S * B, out]` modulo 2^32, of spikes or messages."""
        op, out = self.op, np.empty((x.count, self.op.size[0]), np.int32)
        synapses = (self.start, op.target, op.weight)
        if x.binary:
            _, samples, _, steps = x.rows
            add_spikes(x.events, samples, steps, synapses, op.exponent, out)
        else:
            add_messages(x.array, synapses, op.exponent, out)
        return out


def _fastest(op: Sparse, active: float, tiled: bool) -> Stage:
    """The synapses listed, bundled, or as a Dense, where a share of the inputs is active."""
    outputs, inputs = op.size
    ways: list[tuple[float, Callable[[Sparse], Stage]]] = [
        (active * (inputs * INPUT + len(op.weight) * LISTED), SparseStage.of),
        (fewest_bundles(op) * BUNDLED, BundledStage.of),
        (active * inputs * max(outputs, ROW) * DENSE, partial(_dense, tiled=tiled)),
    ]
    return min(ways, key=itemgetter(0))[1](op)


def _dense(op: Sparse, tiled: bool) -> DenseStage:
    weight = np.zeros(op.size, np.int8)
    weight[op.target, op.source] = op.weight
    return DenseStage.plan(Dense(weight, op.exponent), op.size[1:], tiled)
