"""Dense synapses by products of tiles (`avnir.hardware.cpu.tiles`), whatever the density.

32 rows of spikes are laid out at a time, then 128 outputs at a time are summed for them, by four products at
once that share two tiles of spikes and two of weights, and the neurons step on these sums, with their state
in registers from one step to the next. A row is a step of a sample; the steps of a sample follow each other.

Weights are int8 `[n / 32, in / 64, 2, 16, 64]`, aligned: for 32 outputs and 64 inputs two
tiles, each a second factor for 16 outputs; zeros beyond the last output and input. A `Workshop` is room for
32 rows: spikes, uint8 `[in / 64, 2, 16, 64]`, and sums, int32 `[32, 128]`, both aligned; and what
`tiles.shapes` gives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import WORD, Rows
from avnir.hardware.cpu.kernels_lif import ALIGN, LANES, Kind, parameters, send, step_here, stepped
from avnir.hardware.cpu.tiles import (
    BYTES,
    ROWS,
    TILE,
    aligned,
    configure,
    dot_spikes,
    load_tile,
    release,
    shapes,
    store_tile,
    zero_tile,
)
from avnir.hardware.cpu.vector import (
    chosen_by,
    load,
    load_like,
    round_as,
    round_toward_zero,
    spread,
    store,
)
from avnir.ir.operation import Array

STEPS = 2 * ROWS
"""Rows at a time."""
OUTPUTS = 128
"""Outputs at a time."""
PAIR = 32
"""Outputs of two tiles."""

Workshop = tuple[Array, Array, Array]
"""Room for spikes, room for sums, shapes."""
Layer = tuple[Array, Array, Array, int, int]
"""`neurons`, u, v, where those of the sample begin, and the rows from one of its steps to the next."""


def room_for(blocks: int) -> Workshop:
    """Room of a thread, for as many blocks of 64 inputs."""
    spikes = aligned((blocks * STEPS * BYTES,), np.uint8)
    return spikes, aligned((STEPS, OUTPUTS), np.int32), shapes()


@inlined
def lay_out(words: Array, rows: Rows, begin: int, end: int, room: Array) -> None:
    """Lay out the spikes of rows `begin` to `end` of the block."""
    first, _, batch, steps = rows
    for k in range(begin, end):
        r = first + k % steps * batch + k // steps
        for w in range(words.shape[1]):
            store(room, (w * STEPS + k - begin) * BYTES, chosen_by(words[r, w], WORD, 8))


@inlined
def sum_up(spikes: Array, weight: Array, pair: int, both: bool, sums: Array, at: int) -> None:
    """Put the sums of 32 outputs from byte `at` on into `sums`, of 32 rows, or only of the first 16."""
    blocks, beside = weight.shape[1], OUTPUTS * 4
    weights, to = pair * blocks * 2 * TILE, at
    zero_tile(0)
    zero_tile(1)
    if both:
        zero_tile(2)
        zero_tile(3)
        for k in range(blocks):
            load_tile(4, spikes, 2 * k * TILE, BYTES)
            load_tile(6, weight, weights + 2 * k * TILE, BYTES)
            load_tile(7, weight, weights + (2 * k + 1) * TILE, BYTES)
            load_tile(5, spikes, (2 * k + 1) * TILE, BYTES)
            dot_spikes(0, 4, 6)
            dot_spikes(1, 4, 7)
            dot_spikes(2, 5, 6)
            dot_spikes(3, 5, 7)
        store_tile(2, sums, to + ROWS * beside, beside)
        store_tile(3, sums, to + ROWS * beside + BYTES, beside)
    else:
        for k in range(blocks):
            load_tile(4, spikes, 2 * k * TILE, BYTES)
            load_tile(6, weight, weights + 2 * k * TILE, BYTES)
            load_tile(7, weight, weights + (2 * k + 1) * TILE, BYTES)
            dot_spikes(0, 4, 6)
            dot_spikes(1, 4, 7)
    store_tile(0, sums, to, beside)
    store_tile(1, sums, to + BYTES, beside)


@compiled
def add_spikes(
    words: Array, rows: Rows, weight: Array, exponent: int, workshop: Workshop, out: Array
) -> None:
    """Fill `out`, int32 `[S * B, n]`, the samples of a step together, with sums << `exponent`."""
    _, samples, _, steps = rows
    room, sums, held = workshop
    configure(held)
    for begin in range(0, samples * steps, STEPS):
        end = min(begin + STEPS, samples * steps)
        lay_out(words, rows, begin, end, room)
        for here in range(0, out.shape[1], PAIR):
            sum_up(room, weight, here // PAIR, end - begin > ROWS, sums, 0)
            for k in range(begin, end):
                r = k % steps * samples + k // steps
                for j in range(min(PAIR, out.shape[1] - here)):
                    out[r, here + j] = np.int32(sums[k - begin, j] << exponent)
    release()


@inlined
def step_wide(
    sums: Array, k: int, count: int, shift: int, layer: Layer, j: int, sent: Array, r: int, kind: Kind
) -> None:
    """Step OUTPUTS neurons from j on through `count` steps, on the sums from row k on.

    They send into row r of `sent` and every so many rows on; their state stays in registers.
    """
    neurons, u, v, at, batch = layer
    arriving = spread(0, OUTPUTS, 32)
    given = parameters(neurons, j, arriving)
    current, potential = load_like(u, at + j, arriving), load_like(v, at + j, arriving)
    for i in range(count):
        arriving = load(sums, (k + i) * OUTPUTS, OUTPUTS, 32) << shift
        fires, current, potential = stepped(arriving, current, potential, given, kind)
        send(fires, sent, r + i * batch, j)
    store(u, at + j, current)
    store(v, at + j, potential)


@inlined
def step_rest(
    sums: Array, k: int, count: int, shift: int, layer: Layer, j: int, sent: Array, r: int, kind: Kind
) -> None:
    """The same for the neurons from j on that are fewer, in groups of LANES."""
    neurons, u, v, at, batch = layer
    for i in range(count):
        for here in range(0, v.shape[1] - j, LANES):
            arriving = load(sums, (k + i) * OUTPUTS + here, LANES, 32) << shift
            fires = step_here(arriving, neurons, j + here, u, v, at, kind, True)
            send(fires, sent, r + i * batch, j + here)


@cache
def driving_kernel(kind: Kind) -> Callable[..., None]:
    """The kernel that hands the sums to the neurons at once; see `kernels_lif`."""

    @compiled
    def drive(
        words: Array,
        rows: Rows,
        weight: Array,
        exponent: int,
        workshop: Workshop,
        neurons: Array,
        u: Array,
        v: Array,
        sent_rows: Rows,
        sent: Array,
    ) -> None:
        """Step the samples of `rows`, fed by the spikes in `words`; fills `sent` at `sent_rows`."""
        _, samples, _, steps = rows
        first, _, batch, _ = sent_rows
        room, sums, held = workshop
        shift, size = exponent + ALIGN, v.shape[1]
        configure(held)
        before = round_toward_zero()
        for begin in range(0, samples * steps, STEPS):
            end = min(begin + STEPS, samples * steps)
            lay_out(words, rows, begin, end, room)
            for here in range(0, size, OUTPUTS):
                for j in range(here, min(here + OUTPUTS, size), PAIR):
                    sum_up(room, weight, j // PAIR, end - begin > ROWS, sums, (j - here) * 4)
                for b in range(begin // steps, (end - 1) // steps + 1):
                    start = max(begin, b * steps)
                    k, count = start - begin, min(end, (b + 1) * steps) - start
                    r, layer = first + start % steps * batch + b, (neurons, u, v, b * size, batch)
                    if here + OUTPUTS <= size:
                        step_wide(sums, k, count, shift, layer, here, sent, r, kind)
                    else:
                        step_rest(sums, k, count, shift, layer, here, sent, r, kind)
        round_as(before)
        release()

    return drive
