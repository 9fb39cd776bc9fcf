"""Spikes as lists: which inputs are active, row by row, found once and used by every connection.

What is sent lies in a matrix `[T * B, n]`, the samples of a step together. A block of it, `rows`, is some
steps of some neighbouring samples: its first row, its samples, the samples of a step, its steps.

A list of events holds the rows of a block one sample after another, each with its steps in order: those of
row k are `index[start[k]]` to `index[start[k + 1]]`, in any order within the row; `start` int64, `index`
int32, with room for LANES more than there are.
"""

from __future__ import annotations

from avnir.hardware.cpu.compiled import compiled
from avnir.hardware.cpu.vector import ascending, load, number, spread, squeezed, store
from avnir.ir.operation import Array

LANES = 16
"""Inputs looked at together."""

Rows = tuple[int, int, int, int]
"""First row, samples, samples of a step in the matrix, steps."""
Events = tuple[Array, Array]
"""`start` and `index`."""


@compiled
def list_events(spikes: Array, rows: Rows, start: Array, index: Array) -> None:
    """Fill the list for a block of `spikes`, uint8 `[T * B, n]`, 0 or 1."""
    first, samples, batch, steps = rows
    inputs, count = spikes.shape[1], 0
    places = ascending(spread(0, LANES, 32))
    for b in range(samples):
        for t in range(steps):
            start[b * steps + t] = count
            r = first + t * batch + b
            for j in range(0, inputs - LANES + 1, LANES):
                active = load(spikes, r * inputs + j, LANES, 8) > 0
                store(index, count, squeezed(places + j, active))
                count += number(active)
            for j in range(inputs - inputs % LANES, inputs):
                index[count] = j
                count += spikes[r, j]
    start[samples * steps] = count
