"""Convolution, event by event: each active input adds its kernel to the outputs that see it.

While sums grow they lie as `[H', W', C_out]`, so that an event adds stretches of neighbours: all output
channels of all output columns that see it, once for each output row. What it adds there depends on its
channel, on the kernel row, and on which kernel columns meet which of these columns: the inner ones alike,
those at an edge in ways of their own. All of these are laid out beforehand, with zeros where nothing is
joined, so that adding is all that is left.

A `Layout` is `taps`, int16 `[stretches, length]`, and `places`, int32 `[C_in * H * W, 2 * most]`: for each
input pairs of where among the sums a stretch begins, and where in `taps`. Inputs that reach fewer rows than
others have stretches of zeros too: a number that changes from event to event costs more than a stretch. Sums
may be 16 bits wide where no sum of |weight| reaches 2^15.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import Events, Rows
from avnir.hardware.cpu.kernels_lif import ALIGN, LANES, Kind, enter, step_here
from avnir.hardware.cpu.vector import (
    Vector,
    load,
    load_like,
    number,
    round_as,
    round_toward_zero,
    spread,
    squeezed,
    store,
)
from avnir.ir.operation import Array

REGISTER = 64
"""Bytes added at once: 32 sums of 16 bits, or 16 of 32. A stretch has as many sums, or a multiple of that."""

Layout = tuple[Array, Array]
"""`taps` and `places`."""


@inlined
def add_kernel(i: int, value: int, layout: Layout, nothing: Vector, sums: Array) -> None:
    """Add `value` times the kernel of input i to `sums`; `nothing`: zeros in REGISTER bytes of sums."""
    taps, places = layout
    for k in range(0, places.shape[1], 2):
        to, first = np.int64(places[np.uint64(i), k]), np.int64(places[np.uint64(i), k + 1])
        for j in range(0, taps.shape[1], REGISTER // sums.itemsize):
            grown = load_like(sums, to + j, nothing) + load_like(taps, first + j, nothing) * value
            store(sums, to + j, grown)


@inlined
def hand_over(sums: Array, order: Array, exponent: int, out: Array, r: int) -> None:
    """Enter the sums, wrapped to 24 bits, into row r: the upper 24 of 32 bits, moved back.

    `order` int32 `[n]`: where each belongs; empty: they keep the order that they grew in.
    """
    for j in range(len(order)):
        out[r, order[j]] = np.int32(np.int32(sums[j] << (exponent + 8)) >> 8)
    if len(order) == 0:
        for j in range(out.shape[1]):
            out[r, j] = np.int32(np.int32(sums[j] << (exponent + 8)) >> 8)


@cache
def adding_kernel(kept: type) -> Callable[..., None]:
    """The kernel that leaves the sums, of type int16 or int32, to whoever wants them."""
    bits = 8 * np.dtype(kept).itemsize
    count = 8 * REGISTER // bits

    @compiled
    def add_spikes(
        events: Events, samples: int, steps: int, layout: Layout, order: Array, exponent: int, out: Array
    ) -> None:
        """Fill `out`, int32 `[S * B, n]`, the samples of a step together."""
        start, index = events
        nothing, sums = spread(0, count, bits), np.empty(out.shape[1] + layout[0].shape[1], kept)
        for row in range(samples * steps):
            sums[:] = 0
            for k in range(start[row], start[row + 1]):
                add_kernel(index[k], 1, layout, nothing, sums)
            hand_over(sums, order, exponent, out, row % steps * samples + row // steps)

    return add_spikes


@compiled
def add_messages(messages: Array, layout: Layout, order: Array, exponent: int, out: Array) -> None:
    """The same for `messages`, int32 `[R, C_in * H * W]`, of any value."""
    nothing, sums = spread(0, 16, 32), np.empty(out.shape[1] + layout[0].shape[1], np.int32)
    for r in range(len(messages)):
        sums[:] = 0
        for i in range(messages.shape[1]):
            if messages[r, i] != 0:
                add_kernel(i, messages[r, i], layout, nothing, sums)
        hand_over(sums, order, exponent, out, r)


@cache
def driving_kernel(kept: type, kind: Kind) -> Callable[..., None]:
    """The kernel that hands the sums to the neurons at once; see `kernels_lif`."""
    bits = 8 * np.dtype(kept).itemsize
    count = 8 * REGISTER // bits

    @compiled
    def drive(
        events: Events,
        layout: Layout,
        exponent: int,
        neurons: Array,
        u: Array,
        v: Array,
        rows: Rows,
        sent: Array,
        order: Array,
        sent_events: Events,
    ) -> None:
        """Step the samples of `rows`, fed by the spikes in `events`, where no sum reaches 2^23.

        the words of `sent` and `sent_events` are filled; `order`: see `kernels_lif.listing_kernel`.
        """
        first, samples, batch, steps = rows
        start, index = events
        sent_start, sent_index = sent_events
        size, total = v.shape[1], 0
        nothing, sums = spread(0, count, bits), np.empty(size + layout[0].shape[1], kept)
        before = round_toward_zero()
        for row in range(samples * steps):
            b, t = row // steps, row % steps
            sums[:] = 0
            for k in range(start[row], start[row + 1]):
                add_kernel(index[k], 1, layout, nothing, sums)
            sent_start[row] = total
            for j in range(0, size, LANES):
                arriving = load(sums, j, LANES, 32) << (exponent + ALIGN)
                fires = step_here(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
                store(sent_index, total, squeezed(load(order, j, LANES, 32), fires))
                total += number(fires)
            enter(sent_index, sent_start[row], total, sent, first + t * batch + b)
        sent_start[samples * steps] = total
        round_as(before)

    return drive
