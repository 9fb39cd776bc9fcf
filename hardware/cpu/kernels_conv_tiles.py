"""Convolution by products of tiles (`avnir.hardware.cpu.tiles`), whatever the density.

The spikes of a step are laid out as a frame with its padding, four channels side by side, uint8
`[phases, C_in / 4, H, W, 4]`; a phase holds each s-th row and column, so that what a kernel of stride s
sees of neighbouring outputs lies side by side too. For a run of 16 neighbouring outputs a column is put
together of what each place of the kernel sees, and all output channels are its product with the weights.
So sums lie as `[C_out, H' * W']`, as they are sent.

Several convolutions of the same form into one layer are one of all their inputs. An entry of a frame is the
power of two by which the sums of its source grow more than those of the others, or 0.

A `Source` is the words and the rows of a block; `place`, uint16 or int32 `[C_in * H * W]` and zeros to whole
words and 64 bytes more: where in the frame an input lies; and what is entered there. A `Form` is `taps`,
int32 `[C_in / 4 * kH * kW]`: how far what a place of the kernel sees lies from what the first one does;
`pieces`, int32 `[pieces, 2]`, of outputs in a row: where in their column they lie, where in the frame the
first place of the kernel sees them; `groups`, int32 `[groups + 1]`: where the pieces of each group of RUNS
runs begin; and the weights, int8 `[C_out / 16, taps / 16, 16, 64]`, aligned.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import WORD, Rows, pack_row
from avnir.hardware.cpu.kernels_lif import ALIGN, LANES, Kind, step_here
from avnir.hardware.cpu.tiles import (
    BYTES,
    ROWS,
    TILE,
    configure,
    dot_weights,
    load_tile,
    release,
    store_tile,
    zero_tile,
)
from avnir.hardware.cpu.vector import (
    Vector,
    chosen_like,
    load,
    load_like,
    number,
    round_as,
    round_toward_zero,
    spread,
    squeezed,
    store,
    store_first,
    width,
)
from avnir.ir.operation import Array

RUNS = 4
"""Runs of 16 outputs that are summed together, before their neurons step."""
WIDE = RUNS * LANES
"""Neurons stepped at once."""
FRAMES = 8
"""Steps that the outputs of a group take before the next group does."""
COLUMN = 2 * BYTES
"""Bytes from one row of a column to the next: a piece is copied 64 bytes at a time, beyond its run's end."""

Source = tuple[Array, Rows, Array, int]
"""`words`, `rows`, `place`, `value`."""
Form = tuple[Array, Array, Array, Array]
"""`taps`, `pieces`, `groups`, `weight`."""
Workshop = tuple[Array, Array, Array, Array, Array, Array]
"""Room for FRAMES frames, uint8 `[FRAMES, bytes]`; for RUNS columns, uint8; for sums, int32 `[C_out, WIDE]`;
what `tiles.shapes` gives; room for the places of all inputs, as long as `place`; and for what as many steps
send, uint8 `[FRAMES, words * 64]`, zeros beyond the last neuron."""


@inlined
def lay_out(source: Source, b: int, t: int, like: Vector, listed: Array, frames: Array, k: int) -> None:
    """Enter the spikes of sample b at step t into frame k; `listed`: room for the places of all.

    `like`: as many items of `place` as 64 bytes are.
    """
    words, (first, _, batch, _), place, value = source
    r, count = first + t * batch + b, 0
    for w in range(words.shape[1]):
        for i in range(0, WORD, width(like)):
            spiking = chosen_like(words[r, w] >> i, like)
            store(listed, count, squeezed(load_like(place, w * WORD + i, like), spiking))
            count += number(spiking)
    for i in range(count):
        frames[k, listed[i]] = value


@inlined
def gather(frames: Array, k: int, form: Form, group: int, columns: Array) -> None:
    """Put together the columns of a group of runs, of what they see in frame k."""
    taps, pieces, groups, _ = form
    for piece in range(groups[group], groups[group + 1]):
        to, source = np.int64(pieces[piece, 0]), np.int64(pieces[piece, 1])
        for tap in range(len(taps)):
            seen = load(frames, k * frames.shape[1] + source + taps[tap], BYTES, 8)
            store(columns, to + tap * COLUMN, seen)


@inlined
def sum_up(columns: Array, weight: Array, sums: Array) -> None:
    """Fill `sums` for RUNS columns."""
    blocks, height = weight.shape[0], weight.shape[1]
    column, beside = height * ROWS * COLUMN, WIDE * 4
    for block in range(blocks):
        zero_tile(0)
        zero_tile(1)
        zero_tile(2)
        zero_tile(3)
        for k in range(height):
            here = k * ROWS * COLUMN
            load_tile(4, weight, (block * height + k) * TILE, BYTES)
            load_tile(5, columns, here, COLUMN)
            dot_weights(0, 4, 5)
            load_tile(6, columns, column + here, COLUMN)
            dot_weights(1, 4, 6)
            load_tile(7, columns, 2 * column + here, COLUMN)
            dot_weights(2, 4, 7)
            load_tile(5, columns, 3 * column + here, COLUMN)
            dot_weights(3, 4, 5)
        to = block * ROWS * beside
        store_tile(0, sums, to, beside)
        store_tile(1, sums, to + BYTES, beside)
        store_tile(2, sums, to + 2 * BYTES, beside)
        store_tile(3, sums, to + 3 * BYTES, beside)


@inlined
def step_group(
    sums: Array,
    shift: int,
    neurons: Array,
    u: Array,
    v: Array,
    at: int,
    here: int,
    area: int,
    last: bool,
    fired: Array,
    k: int,
    channels: int,
    kind: Kind,
) -> None:
    """Step the neurons of a group of runs, from output `here` on, in all channels."""
    line = (area + LANES - 1) // LANES * LANES
    for c in range(channels):
        j, to = c * line + here, k * fired.shape[1] + c * area + here
        if here + WIDE <= line:
            arriving = load(sums, c * WIDE, WIDE, 32) << shift
            fires = step_here(arriving, neurons, j, u, v, at, kind, last)
            if here + WIDE <= area:
                store(fired, to, fires)
            else:
                store_first(fired, to, fires, area - here)
        else:
            for i in range(0, line - here, LANES):
                arriving = load(sums, c * WIDE + i, LANES, 32) << shift
                fires = step_here(arriving, neurons, j + i, u, v, at, kind, last)
                store_first(fired, to + i, fires, area - here - i)


@cache
def adding_kernel(bits: int) -> Callable[..., None]:
    """The kernel that leaves the sums to whoever wants them, for `place` of as many bits."""
    lanes = 8 * BYTES // bits

    @compiled
    def add_spikes(
        source: Source, form: Form, exponent: int, workshop: Workshop, out: Array, area: int
    ) -> None:
        """Fill `out`, int32 `[S * B, C_out * H' * W']`, with sums << `exponent` wrapped to 24 bits."""
        _, samples, _, steps = source[1]
        frames, columns, sums, shapes, listed, _ = workshop
        channels, shift, like = out.shape[1] // area, exponent + 8, spread(0, lanes, bits)
        configure(shapes)
        for row in range(samples * steps):
            frames[0] = 0
            lay_out(source, row // steps, row % steps, like, listed, frames, 0)
            r = row % steps * samples + row // steps
            for here in range(0, area, WIDE):
                gather(frames, 0, form, here // WIDE, columns)
                sum_up(columns, form[3], sums)
                for c in range(channels):
                    for j in range(min(WIDE, area - here)):
                        out[r, c * area + here + j] = np.int32(np.int32(sums[c, j] << shift) >> 8)
        release()

    return add_spikes


@cache
def driving_kernel(bits: int, count: int, kind: Kind) -> Callable[..., None]:
    """The kernel that hands the sums of `count` sources to the neurons at once; see `kernels_lif`."""
    lanes = 8 * BYTES // bits

    @compiled
    def drive(
        sources: tuple[Source, ...],
        form: Form,
        exponent: int,
        workshop: Workshop,
        neurons: Array,
        u: Array,
        v: Array,
        rows: Rows,
        sent: Array,
        area: int,
        channels: int,
    ) -> None:
        """Step the samples of `rows`, fed by the spikes of `sources`, where no sum reaches 2^23.

        The words of `sent` are filled; `area` is H' * W'. In memory the neurons of a channel are made up to
        whole groups of LANES.
        """
        first, samples, batch, steps = rows
        frames, columns, sums, shapes, listed, fired = workshop
        shift, size, like = exponent + ALIGN, v.shape[1], spread(0, lanes, bits)
        configure(shapes)
        before = round_toward_zero()
        for b in range(samples):
            for begin in range(0, steps, FRAMES):
                end = min(begin + FRAMES, steps)
                frames[:] = 0
                for source in sources:
                    for t in range(begin, end):
                        lay_out(source, b, t, like, listed, frames, t - begin)
                for here in range(0, area, WIDE):
                    for t in range(begin, end):
                        gather(frames, t - begin, form, here // WIDE, columns)
                        sum_up(columns, form[3], sums)
                        k, last = t - begin, t == steps - 1
                        step_group(
                            sums, shift, neurons, u, v, b * size, here, area, last, fired, k, channels, kind
                        )
                for t in range(begin, end):
                    pack_row(fired, (t - begin) * fired.shape[1], sent, first + t * batch + b)
        round_as(before)
        release()

    return drive
