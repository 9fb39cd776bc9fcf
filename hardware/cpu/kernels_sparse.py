"""Synapses in a list, event by event: each active input adds the weights of its synapses, one by one.

Those of input i are `start[i]` to `start[i + 1]`, `start` int64 `[in + 1]`; `target` int32, `weight` int8
`[synapses]`. Sums are kept modulo 2^32, which is exact; see `avnir.hardware.cpu.kernels_dense`.
"""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import WORD, Events, Rows
from avnir.hardware.cpu.vector import chosen_by, number
from avnir.ir.operation import Array

Synapses = tuple[Array, Array, Array]
"""`start`, `target`, `weight`."""
Masks = tuple[Array, Array, Array]
"""Which spikes of a word belong to a group: `word` and `group` int32, the spikes int64, a bit each."""


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


@compiled
def count_by_group(words: Array, rows: Rows, masks: Masks, sums: Array) -> None:
    """Add up the spikes of each group in `sums`, int32 `[S * B, groups]`, zeros before.

    The samples of a step stand together.
    """
    first, samples, batch, steps = rows
    word, group, chosen = masks
    for r in range(samples * steps):
        row = first + r // samples * batch + r % samples
        for k in range(len(word)):
            spikes = words[row, word[k]] & chosen[k]
            sums[r, group[k]] += number(chosen_by(spikes, WORD, 1))


@compiled
def add_by_group(messages: Array, group: Array, sums: Array) -> None:
    """The same for `messages`, int32 `[R, in]`, of any value; `group` int32 `[in]`."""
    for r in range(len(messages)):
        for i in range(messages.shape[1]):
            if messages[r, i] != 0:
                sums[r, np.uint32(group[i])] += messages[r, i]
