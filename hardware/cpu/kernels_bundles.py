"""Synapses in bundles: what LANES neighbouring outputs take from neighbouring inputs, or all from one.

The outputs come in blocks of LANES. The bundles of block b are `start[b]` to `start[b + 1]`, `start` int64
`[blocks + 1]`. Lane l of bundle p takes `line[place[p] + l * stride]`, `stride` 1 or 0, times its own of the
weights, int16 `[bundles, LANES]`: 0 where there is no synapse, and with the exponent in it, which makes 2^14
of 128. `line` is a row of what is sent with LANES zeros before and behind it. Sums are kept modulo 2^32,
which is exact; see `avnir.hardware.cpu.kernels_dense`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import WORD, Rows
from avnir.hardware.cpu.vector import Vector, chosen_by, load, spread, store, store_first
from avnir.ir.operation import Array

LANES = 16
"""Outputs of a block: 16 x 32 bits fill a register of AVX-512."""

Bundles = tuple[Array, Array, Array]
"""`start`, `place` int32 `[bundles]`, weights."""


@inlined
def unpack(words: Array, row: int, line: Array) -> None:
    """Enter a row of spikes into `line`, int32 `[LANES + words * WORD + LANES]`, as 0 and 1."""
    for w in range(words.shape[1]):
        for k in range(0, WORD, LANES):
            store(line, LANES + w * WORD + k, chosen_by(words[row, w] >> k, LANES, 32))


@inlined
def copy(messages: Array, row: int, line: Array) -> None:
    """Enter a row of messages into `line`, int32 `[LANES + in + LANES]`."""
    inputs = messages.shape[1]
    for i in range(0, inputs - LANES + 1, LANES):
        store(line, LANES + i, load(messages, row * inputs + i, LANES, 32))
    for i in range(inputs - inputs % LANES, inputs):
        line[LANES + i] = messages[row, i]


@inlined
def summed(total: Vector, line: Array, bundles: Bundles, block: int, stride: int) -> Vector:
    """`total` and the sums of a block."""
    start, place, weight = bundles
    for p in range(start[block], start[block + 1]):
        if stride:
            total = total + load(line, place[p], LANES, 32) * load(weight, p * LANES, LANES, 32)
        else:
            total = total + load(weight, p * LANES, LANES, 32) * line[place[p]]
    return total


@cache
def summing_kernel(binary: bool) -> Callable[..., None]:
    """The kernel for spikes, or for messages."""

    @compiled
    def add(sent: Array, rows: Rows, bundles: Bundles, stride: int, fresh: bool, out: Array) -> None:
        """Add the sums of `rows` to `out`, int32 `[S * B, n]`, the samples of a step together.

        `fresh`: whether they replace what is there.
        """
        first, samples, batch, steps = rows
        size, rest = out.shape[1], out.shape[1] % LANES
        inputs = sent.shape[1] * WORD if binary else sent.shape[1]
        line, last = np.zeros(LANES + inputs + LANES, np.int32), np.zeros(LANES, np.int32)
        for r in range(samples * steps):
            row = first + r // samples * batch + r % samples
            if binary:
                unpack(sent, row, line)
            else:
                copy(sent, row, line)
            for block in range(size // LANES):
                at = r * size + block * LANES
                total = spread(0, LANES, 32) if fresh else load(out, at, LANES, 32)
                store(out, at, summed(total, line, bundles, block, stride))
            if rest:
                total = summed(spread(0, LANES, 32), line, bundles, size // LANES, stride)
                if fresh:
                    store_first(out, (r + 1) * size - rest, total, rest)
                else:
                    store(last, 0, total)
                    for k in range(rest):
                        out[r, size - rest + k] += last[k]

    return add
