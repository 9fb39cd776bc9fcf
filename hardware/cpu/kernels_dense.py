"""Dense synapses, event by event: the weight rows of the active inputs are added up.

Outputs are worked on in tiles: the sums of a tile stay in vector registers while the rows of one step of
one sample are added, 16 bits wide as long as that is enough, so that a row costs its bytes and nothing is
written in between. Sums are then 32 bits, modulo 2^32. That is exact: between two neuron layers there are
only sums, products and left shifts, and the current register takes their result modulo 2^32
(`avnir.numerics.fixed.wrap32`), a convolution modulo 2^24.

Weights are int8 `[tiles, in, width]`, width NARROW or WIDE, zeros beyond the last output.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import Events, Rows
from avnir.hardware.cpu.kernels_lif import ALIGN, LANES, Kind, send, step_here
from avnir.hardware.cpu.vector import Vector, load, load_like, round_as, round_toward_zero, spread, store
from avnir.ir.operation import Array

NARROW, WIDE = 32, 128
"""Outputs of a tile. On one core of a Xeon 6, 784 inputs of which 5 % spike took 365 ns a step to add up into
512 neurons and step them with tiles of 128, 410 with 64 or 256, 440 with 512; few outputs would leave most of
a wide tile empty."""
CHUNK = 255
"""Most int8 rows whose sum an int16 holds: 255 * 128 = 32,640 < 2^15."""


@inlined
def added_rows(weight: Array, tile: int, index: Array, begin: int, end: int, nothing: Vector) -> Vector:
    """The sum of the rows of a tile that are listed from `begin` to `end`; `nothing`: zeros, a tile wide."""
    total, width = nothing, weight.shape[2]
    base = tile * weight.shape[1] * width
    for k in range(begin, end):
        total = total + load_like(weight, base + index[k] * width, nothing)
    return total


@inlined
def add_up(
    weight: Array, tile: int, events: Events, row: int, nothing: Vector, part: Array, sums: Array
) -> None:
    """Fill `sums`, int32 `[width]`, with all rows of a tile that a row lists; `part` int16 `[width]`."""
    start, index = events
    begin, end = start[row], start[row + 1]
    last = min(begin + CHUNK, end)
    store(sums, 0, added_rows(weight, tile, index, begin, last, nothing))
    while last < end:
        begin, last = last, min(last + CHUNK, end)
        store(part, 0, added_rows(weight, tile, index, begin, last, nothing))
        for j in range(len(sums)):
            sums[j] += part[j]


@cache
def adding_kernel(width: int) -> Callable[..., None]:
    """The kernel that leaves the sums to whoever wants them."""

    @compiled
    def add_spikes(
        events: Events, samples: int, steps: int, weight: Array, exponent: int, out: Array
    ) -> None:
        """Fill `out`, int32 `[S * B, n]`, the samples of a step together, with sums << `exponent`."""
        nothing, part, sums = spread(0, width, 16), np.empty(width, np.int16), np.empty(width, np.int32)
        for tile in range(weight.shape[0]):
            here = tile * width
            for row in range(samples * steps):
                add_up(weight, tile, events, row, nothing, part, sums)
                r = row % steps * samples + row // steps
                for j in range(min(width, out.shape[1] - here)):
                    out[r, here + j] = np.int32(sums[j] << exponent)

    return add_spikes


@cache
def driving_kernel(width: int, kind: Kind) -> Callable[..., None]:
    """The kernel that hands each tile of sums to the neurons at once; see `kernels_lif`."""

    @compiled
    def drive(
        events: Events,
        weight: Array,
        exponent: int,
        neurons: Array,
        u: Array,
        v: Array,
        rows: Rows,
        sent: Array,
    ) -> None:
        """Step the samples of `rows`, fed by the spikes in `events`; fills `sent`, see `kernels_lif.send`."""
        first, samples, batch, steps = rows
        nothing, part, sums = spread(0, width, 16), np.empty(width, np.int16), np.empty(width, np.int32)
        size, before = v.shape[1], round_toward_zero()
        for tile in range(weight.shape[0]):
            here = tile * width
            for b in range(samples):
                for t in range(steps):
                    add_up(weight, tile, events, b * steps + t, nothing, part, sums)
                    for j in range(here, min(here + width, size), LANES):
                        arriving = load(sums, j - here, LANES, 32) << (exponent + ALIGN)
                        fires = step_here(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
                        send(fires, sent, first + t * batch + b, j)
        round_as(before)

    return drive


@compiled
def add_messages(messages: Array, weight: Array, exponent: int, out: Array) -> None:
    """`out[r] = (sum of messages[r, i] * weight[:, i]) << exponent`, modulo 2^32.

    `messages` int32 `[R, in]`, any values; `out` int32 `[R, n]`.
    """
    rows, inputs = messages.shape
    tiles, _, width = weight.shape
    for r in range(rows):
        out[r] = 0
        for i in range(inputs):
            value = np.int32(messages[r, i] << exponent)
            if value != 0:
                for tile in range(tiles):
                    sums = out[r, tile * width : (tile + 1) * width]
                    row = weight[tile, i]
                    for j in range(len(sums)):
                        sums[j] = np.int32(sums[j] + value * row[j])
