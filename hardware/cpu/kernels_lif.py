"""The neurons, `avnir.ir.integer.Lif` and `Readout`, over a block of steps in 32-bit arithmetic.

Why 32 bits are enough, with M = 2^23:
- the sum of a step, `tz(u k, 12) + (a << 6)`, is taken modulo 2^32 by definition, so wrapping
  additions give it; one wrap by 2M then leaves |u| < 2^31, and |v| < M;
- `tz(u k, 12)` with |u| < 2^31 and 0 <= k <= 4095: split |u| = 4096 h + l; then |u| k / 4096 rounds down to
  `h k + (l k >> 12)`, with h k < 2^31 and l k < 2^24;
- `tz(v k, 12)` with |v| < M and 0 <= k <= 4096: v and k / 4096 are exact in float32, and their product,
  rounded toward zero to the 24 bits of a float32, keeps its whole part, which is below 2^24: three
  instructions in place of ten;
- v adds a bias below 2^19 and a threshold below M to that, again modulo 2^32 by definition.

A layer is `neurons`, int32 `[4, size]`: 4096ths of the current that a step keeps, the share of the potential
that it keeps as the bits of a float32, threshold and bias on the scale of v. If all are alike, size is LANES.
Its state is int32 `[B, size]`, where `size` is the number of neurons made up to whole groups of LANES;
what is beyond the last neuron is computed, and sent to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from avnir.hardware.cpu.compiled import compiled, inlined
from avnir.hardware.cpu.kernels_events import Events, Rows
from avnir.hardware.cpu.vector import (
    Vector,
    load,
    number,
    portion,
    round_as,
    round_toward_zero,
    spread,
    squeezed,
    store,
    where,
)
from avnir.ir.operation import Array
from avnir.ir.real import RESETS

LANES = 16
"""Neurons stepped at once: 16 x 32 bits fill a register of AVX-512."""
KEEP_U, KEEP_V, THETA, BIAS = range(4)
"""Rows of `neurons`."""
ALIGN = 6
"""What arrives is shifted by this; see `avnir.numerics.fixed.ALIGN`."""
LIMIT = 1 << 23
"""M; see `avnir.numerics.fixed.STATE_LIMIT`."""
ZERO, ZERO_DELAYED, ZERO_NEXT, SUBTRACT, SUBTRACT_DELAYED = (
    RESETS.index(name) for name in ("zero", "zero_delayed", "zero_next", "subtract", "subtract_delayed")
)
NONE = RESETS.index("none")
"""What a Readout has, which has no threshold."""

Kind = tuple[int, bool, bool, bool]
"""What a layer is compiled for: the index of its reset; whether a current is kept at all; whether one may
wrap; whether a potential may be clipped."""


@inlined
def decayed(x: Vector, keep: Vector) -> Vector:
    """`tz(x * keep, 12)` of a current."""
    sign = x >> 31
    magnitude = (x ^ sign) - sign
    result = (magnitude >> 12) * keep + (((magnitude & 4095) * keep) >> 12)
    return (result ^ sign) - sign


@inlined
def wrapped(u: Vector) -> Vector:
    """One wrap by 2M of what lies outside (-M, M]."""
    return where(u > LIMIT, u - 2 * LIMIT, where(u < 1 - LIMIT, u + 2 * LIMIT, u))


@inlined
def clipped(v: Vector) -> Vector:
    """Clip to [-M + 1, M - 1]."""
    low, high = spread(1 - LIMIT, LANES, 32), spread(LIMIT - 1, LANES, 32)
    return where(v > high, high, where(v < low, low, v))


@inlined
def stepped(
    arriving: Vector, neurons: Array, j: int, u: Array, v: Array, at: int, kind: Kind, last: bool
) -> Vector:
    """Step the neurons from j on, whose u and v lie from `at + j` on; whether v is above theta.

    `arriving`: their input, shifted left by 6, modulo 2^32. u is written if it is read again: where it is
    kept, and in the `last` step.
    """
    reset, keeps_current, wraps, clips = kind
    size, silent = neurons.shape[1], spread(0, LANES, 32)
    place = j if size > LANES else 0
    current = arriving
    if keeps_current:
        keep_u = load(neurons, KEEP_U * size + place, LANES, 32)
        current = current + decayed(load(u, at + j, LANES, 32), keep_u)
    if wraps:
        current = wrapped(current)
    limit = load(neurons, THETA * size + place, LANES, 32)
    old = load(v, at + j, LANES, 32)
    above = old > limit
    if reset == ZERO_DELAYED:
        old = where(above, silent, old)
    new = portion(old, load(neurons, KEEP_V * size + place, LANES, 32))
    new = new + current + load(neurons, BIAS * size + place, LANES, 32)
    if reset == ZERO_NEXT:
        new = where(above, silent, new)
    if reset in (SUBTRACT, SUBTRACT_DELAYED):
        new = new - where(above, limit, silent)
    if clips:
        new = clipped(new)
    fires = new > limit
    if reset == ZERO:
        new = where(fires, silent, new)
    if reset == SUBTRACT:
        new = clipped(new - where(fires, limit, silent) + where(above, limit, silent))
    if keeps_current or last:
        store(u, at + j, current)
    store(v, at + j, new)
    return fires


@inlined
def send(fires: Vector, sent: Array, r: int, j: int, spare: Array) -> None:
    """Enter what the neurons from j on send into row r; `spare` uint8 `[LANES]`."""
    if j + LANES <= sent.shape[1]:
        store(sent, r * sent.shape[1] + j, fires)
    else:
        store(spare, 0, fires)
        for k in range(sent.shape[1] - j):
            sent[r, j + k] = spare[k]


@cache
def lif_kernel(kind: Kind) -> Callable[..., None]:
    """The kernel for neurons that lie as they send."""

    @compiled
    def step_block(sums: Array, neurons: Array, u: Array, v: Array, rows: Rows, sent: Array) -> None:
        """Step the samples of `rows`; `sums` int32 `[S * B, size]`, modulo 2^32; `sent` is uint8."""
        first, samples, batch, steps = rows
        size = sums.shape[1]
        spare, before = np.empty(LANES, np.uint8), round_toward_zero()
        for b in range(samples):
            for t in range(steps):
                for j in range(0, size, LANES):
                    arriving = load(sums, (t * samples + b) * size + j, LANES, 32) << ALIGN
                    fires = stepped(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
                    send(fires, sent, first + t * batch + b, j, spare)
        round_as(before)

    return step_block


@cache
def listing_kernel(kind: Kind) -> Callable[..., None]:
    """The same for neurons that lie in another order than they send in, and which list their spikes."""

    @compiled
    def step_block(
        sums: Array, neurons: Array, u: Array, v: Array, rows: Rows, sent: Array, order: Array, events: Events
    ) -> None:
        """`order` int32 `[size]`: where each neuron sends; `events` are filled (`kernels_events`)."""
        first, samples, batch, steps = rows
        start, index = events
        size, count, before = sums.shape[1], 0, round_toward_zero()
        for b in range(samples):
            for t in range(steps):
                start[b * steps + t] = count
                for j in range(0, size, LANES):
                    arriving = load(sums, (t * samples + b) * size + j, LANES, 32) << ALIGN
                    fires = stepped(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
                    store(index, count, squeezed(load(order, j, LANES, 32), fires))
                    count += number(fires)
                enter(index, start[b * steps + t], count, sent, first + t * batch + b)
        start[samples * steps] = count
        round_as(before)

    return step_block


@inlined
def enter(index: Array, begin: int, end: int, sent: Array, r: int) -> None:
    """Enter the listed spikes into row r."""
    sent[r] = 0
    for k in range(begin, end):
        sent[r, np.uint32(index[k])] = 1


@cache
def readout_kernel(kind: Kind) -> Callable[..., None]:
    """The kernel of neurons that send their potentials."""

    @compiled
    def step_block(sums: Array, neurons: Array, u: Array, v: Array, rows: Rows, sent: Array) -> None:
        """As for neurons that spike; `sent` is int32."""
        first, samples, batch, steps = rows
        size, before = sums.shape[1], round_toward_zero()
        for b in range(samples):
            for t in range(steps):
                for j in range(0, size, LANES):
                    arriving = load(sums, (t * samples + b) * size + j, LANES, 32) << ALIGN
                    stepped(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
                for j in range(sent.shape[1]):
                    sent[first + t * batch + b, j] = v[b, j]
        round_as(before)

    return step_block
