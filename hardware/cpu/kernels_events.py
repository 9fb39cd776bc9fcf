"""Spikes as bits and as lists of which neurons spiked, found once and used by every connection.

What is sent lies in a matrix `[T * B, ...]`, the samples of a step together; spikes as words of 64 bits, see
`avnir.packed`. A block of it, `rows`, is some steps of some neighbouring samples: its first row, its samples,
the samples of a step, its steps.

A list of events holds the rows of a block one sample after another, each with its steps in order: those of
row k are `index[start[k]]` to `index[start[k + 1]]`, in any order within the row; `start` int64, `index`
int32, with room for LANES more than there are.
"""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.vector import (
    ascending,
    bits_of,
    chosen_by,
    load,
    lowest,
    number,
    spread,
    squeezed,
    store,
)
from avnir.ir.operation import Array

LANES = 16
"""Neurons looked at together."""
WORD = 64
"""See `avnir.packed`."""

Rows = tuple[int, int, int, int]
"""First row, samples, samples of a step in the matrix, steps."""
Events = tuple[Array, Array]
"""`start` and `index`."""


@inlined
def list_word(word: int, first: int, index: Array, count: int) -> int:
    """Enter the spikes of a word, whose bit 0 is neuron `first`, from `count` on; gives where they end.

    Of one spike the bit is looked for, of more all lanes are squeezed: 1,600 rows of 1,024 neurons took 24 us
    where 0.1 % spike, 118 where 1 % do and 118 where 10 % do. Always squeezing took 115 whatever spiked,
    taking up to 15 bits one by one 26, 136 and 283.
    """
    found = number(chosen_by(word, WORD, 1))
    if found == 1:
        index[count] = first + lowest(word)
    elif found > 1:
        places, end = ascending(spread(0, LANES, 32)) + first, count
        for k in range(0, WORD, LANES):
            active = chosen_by(word >> k, LANES, 1)
            store(index, end, squeezed(places + k, active))
            end += number(active)
    return count + found


@compiled
def list_events(words: Array, rows: Rows, start: Array, index: Array) -> None:
    """Fill the list for a block of spikes."""
    first, samples, batch, steps = rows
    count = 0
    for b in range(samples):
        for t in range(steps):
            start[b * steps + t] = count
            r = first + t * batch + b
            for w in range(words.shape[1]):
                count = list_word(words[r, w], w * WORD, index, count)
    start[samples * steps] = count


@inlined
def pack_row(spikes: Array, at: int, words: Array, r: int) -> None:
    """Enter a row of spikes, uint8, 0 or 1, from item `at` on, of whole words."""
    for w in range(words.shape[1]):
        words[r, w] = bits_of(load(spikes, at + w * WORD, WORD, 8) > 0)


@compiled
def pack(spikes: Array, rows: Rows, words: Array) -> bool:
    """Fill `words`, all of a block, with its `spikes`, uint8 `[T * B, n]`; whether these were all 0 or 1."""
    first, samples, batch, steps = rows
    inputs = spikes.shape[1]
    whole, seen, others = inputs // WORD, spread(0, WORD, 8), 0
    for k in range(samples * steps):
        r = first + k // samples * batch + k % samples
        for w in range(whole):
            values = load(spikes, r * inputs + w * WORD, WORD, 8)
            seen = seen | values
            words[k, w] = bits_of(values > 0)
        for w in range(whole, words.shape[1]):
            word = np.int64(0)
            for i in range(whole * WORD, inputs):
                others |= spikes[r, i]
                word |= np.int64(spikes[r, i] & 1) << np.int64(i - whole * WORD)
            words[k, w] = word
    return number((seen >> 1) > 0) + number((seen >> 1) < 0) == 0 and others < 2


@compiled
def count_spikes(words: Array) -> int:
    """How many there are in words `[n]`."""
    count = 0
    for word in words:
        count += number(chosen_by(word, WORD, 1))
    return count
