"""Synapses in a list, event by event: each active input adds the weights of its synapses, one by one.

Sums are kept modulo 2^32, which is exact; see `avnir.hardware.cpu.kernels_dense`.
"""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled
from avnir.ir.operation import Array


@compiled
def add_listed(x: Array, start: Array, target: Array, weight: Array, exponent: int, out: Array) -> None:
    """`out[r, target[k]] += (x[r, i] * weight[k]) << exponent` for the synapses k of each input i.

    `x` `[R, in]`, uint8 spikes or int32 of any value; those of input i are `start[i]` to `start[i + 1]`,
    `start` int64 `[in + 1]`; `target` int32, `weight` int8 `[synapses]`; `out` int32 `[R, out]` is filled.
    """
    rows, inputs = x.shape
    for r in range(rows):
        out[r] = 0
        for i in range(inputs):
            if x[r, i] != 0:
                value = np.int32(np.int32(x[r, i]) << exponent)
                for k in range(start[i], start[i + 1]):
                    out[r, target[k]] = np.int32(out[r, target[k]] + value * weight[k])
