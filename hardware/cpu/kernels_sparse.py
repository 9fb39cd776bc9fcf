"""Synapses in a list, event by event: each active input adds the weights of its synapses, one by one.

Those of input i are `start[i]` to `start[i + 1]`, `start` int64 `[in + 1]`; `target` int32, `weight` int8
`[synapses]`. Sums are kept modulo 2^32, which is exact; see `avnir.hardware.cpu.kernels_dense`.
"""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import Events
from avnir.ir.operation import Array

Synapses = tuple[Array, Array, Array]
"""`start`, `target`, `weight`."""


@inlined
def add_listed(i: int, value: int, synapses: Synapses, out: Array, r: int) -> None:
    """Add `value` times the weights of input i to row r."""
    start, target, weight = synapses
    for k in range(start[i], start[i + 1]):
        j = np.uint32(target[k])
        out[r, j] = np.int32(out[r, j] + np.int32(value) * np.int32(weight[k]))


@compiled
def add_spikes(
    events: Events, samples: int, steps: int, synapses: Synapses, exponent: int, out: Array
) -> None:
    """Fill `out`, int32 `[S * B, n]`, the samples of a step together, with sums << `exponent`."""
    start, index = events
    out[:] = 0
    for row in range(samples * steps):
        for k in range(start[row], start[row + 1]):
            add_listed(index[k], 1 << exponent, synapses, out, row % steps * samples + row // steps)


@compiled
def add_messages(messages: Array, synapses: Synapses, exponent: int, out: Array) -> None:
    """The same for `messages`, int32 `[R, in]`, of any value."""
    out[:] = 0
    for r in range(len(messages)):
        for i in range(messages.shape[1]):
            if messages[r, i] != 0:
                add_listed(i, messages[r, i] << exponent, synapses, out, r)
