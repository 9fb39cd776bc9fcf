"""Listed synapses: one program node, laid out for its kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_sparse import add_messages, add_spikes
from avnir.hardware.cpu.sent import Sent
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array, Shape


@dataclass(frozen=True)
class SparseStage:
    """`start` int64 `[in + 1]`: where the synapses of each input begin in the lists of `op`."""

    op: Sparse
    start: Array

    @classmethod
    def plan(cls, op: Sparse, shape: Shape) -> SparseStage:
        """Find each input's synapses, which the operation keeps together; any input shape is flattened."""
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
