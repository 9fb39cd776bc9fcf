"""Dense synapses, event by event: the weight rows of the active inputs are added up.

Sums are kept modulo 2^32. That is exact: between two neuron layers there are only sums, products and
left shifts, and the current register takes their result modulo 2^32 (`avnir.numerics.fixed.wrap32`),
a convolution modulo 2^24.
"""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled
from avnir.ir.operation import Array

UNROLL = 4
"""Weight rows added in one pass over the outputs."""
CHUNK = 252
"""Most int8 rows, a multiple of UNROLL, whose sum an int16 holds: 252 * 128 = 32,256 < 2^15."""


@compiled
def add_spikes(spikes: Array, weight: Array, exponent: int, out: Array) -> None:
    """`out[r] = (sum of weight[i] over the i with spikes[r, i]) << exponent`.

    `spikes` uint8 `[R, in]`, 0 or 1; `weight` int8 `[in + 1, out]`, the last row 0 (it fills the last
    pass up); `out` int32 `[R, out]`.
    """
    rows, inputs = spikes.shape
    outputs = weight.shape[1]
    active = np.empty(inputs + UNROLL, np.int32)
    partial = np.empty(outputs, np.int16)
    for r in range(rows):
        count = 0
        for i in range(inputs):
            active[count] = i
            count += spikes[r, i]
        for i in range(count, count + UNROLL):
            active[i] = inputs
        out[r] = 0
        for start in range(0, count, CHUNK):
            partial[:] = 0
            for k in range(start, min(start + CHUNK, count), UNROLL):
                a, b, c, d = active[k], active[k + 1], active[k + 2], active[k + 3]
                for j in range(outputs):
                    four = weight[a, j] + weight[b, j] + weight[c, j] + weight[d, j]
                    partial[j] = np.int16(partial[j] + four)
            for j in range(outputs):
                out[r, j] = np.int32(out[r, j] + (partial[j] << exponent))


@compiled
def add_messages(messages: Array, weight: Array, exponent: int, out: Array) -> None:
    """`out[r] = (sum of messages[r, i] * weight[i]) << exponent`, modulo 2^32.

    `messages` int32 `[R, in]`, any values; `weight` int8 `[in + 1, out]`; `out` int32 `[R, out]`.
    """
    rows, inputs = messages.shape
    for r in range(rows):
        out[r] = 0
        for i in range(inputs):
            value = np.int32(messages[r, i] << exponent)
            if value != 0:
                for j in range(weight.shape[1]):
                    out[r, j] = np.int32(out[r, j] + value * weight[i, j])
