"""Listed synapses: one program node, laid out for its kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avnir.hardware.cpu.kernels_sparse import add_listed
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

    def __call__(self, x: Array) -> Array:
        """Summed weights, int32 `[R, out]` modulo 2^32, of `x` `[R, in]`, uint8 spikes or int32."""
        op, out = self.op, np.empty((len(x), self.op.size[0]), np.int32)
        add_listed(x, self.start, op.target, op.weight, op.exponent, out)
        return out
