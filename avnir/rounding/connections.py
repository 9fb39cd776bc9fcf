"""Synapses with integer weights as connections of the chip."""

from __future__ import annotations

from typing import Any

import numpy as np

from avnir.ir import integer
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array
from avnir.rounding.neuron_layer import Synapse


def connection(synapse: Synapse, weight: Array, exponent: int) -> integer.Connection:
    """A synapse of a merged graph with these integer weights, int8 of the shape of its own."""
    op: Any = synapse.op
    lag = synapse.lag
    if op.kind == "Linear":
        if synapse.sparse:
            return Sparse.of(weight, exponent, lag=lag)
        return integer.Dense(weight, exponent, lag=lag)
    if op.kind == "Sparse":
        kept = np.flatnonzero(weight) if np.any(weight) else np.arange(len(weight))
        order = kept[np.lexsort((op.target[kept], op.source[kept]))]
        return Sparse(
            weight[order], exponent, lag=lag, size=op.size, source=op.source[order], target=op.target[order]
        )
    window = {name: getattr(op, name) for name in ("stride", "padding", "dilation", "groups")}
    return integer.Conv(weight, exponent, lag=lag, **window)
