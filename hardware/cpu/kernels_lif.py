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
that it keeps as the bits of a float32, threshold and bias on the scale of v. If all are alike, and only then,
size is LANES. Its state is int32 `[B, size]`, where size is the number of neurons made up to whole groups of
LANES; what is beyond the last neuron is computed, and sent to nobody.
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
    load_like,
    number,
    portion,
    repeated,
    round_as,
    round_toward_zero,
    spread_like,
    squeezed,
    store,
    store_bits,
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
    low, high = spread_like(1 - LIMIT, v), spread_like(LIMIT - 1, v)
    return where(v > high, high, where(v < low, low, v))


@inlined
def parameters(neurons: Array, j: int, like: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """The rows of `neurons` for as many of them from j on as `like` has lanes."""
    size = neurons.shape[1]
    if size > LANES:
        keep_u = load_like(neurons, KEEP_U * size + j, like)
        keep_v = load_like(neurons, KEEP_V * size + j, like)
        limit = load_like(neurons, THETA * size + j, like)
        bias = load_like(neurons, BIAS * size + j, like)
    else:
        keep_u = repeated(load(neurons, KEEP_U * LANES, LANES, 32), like)
        keep_v = repeated(load(neurons, KEEP_V * LANES, LANES, 32), like)
        limit = repeated(load(neurons, THETA * LANES, LANES, 32), like)
        bias = repeated(load(neurons, BIAS * LANES, LANES, 32), like)
    return keep_u, keep_v, limit, bias


@inlined
def stepped(
    arriving: Vector, u: Vector, v: Vector, layer: tuple[Vector, Vector, Vector, Vector], kind: Kind
) -> tuple[Vector, Vector, Vector]:
    """A step of neurons: whether v is above theta after it, u, and v.

    `arriving`: their input, shifted left by 6, modulo 2^32; `layer`: see `parameters`.
    """
    reset, keeps_current, wraps, clips = kind
    keep_u, keep_v, limit, bias = layer
    current, silent = arriving, spread_like(0, arriving)
    if keeps_current:
        current = current + decayed(u, keep_u)
    if wraps:
        current = wrapped(current)
    above, old = v > limit, v
    if reset == ZERO_DELAYED:
        old = where(above, silent, old)
    new = portion(old, keep_v) + current + bias
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
    return fires, current, new


@inlined
def step_here(
    arriving: Vector, neurons: Array, j: int, u: Array, v: Array, at: int, kind: Kind, last: bool
) -> Vector:
    """Step the neurons from j on, whose u and v lie from `at + j` on; whether v is above theta.

    u is written if it is read again: where it is kept, and in the `last` step.
    """
    held = load_like(u, at + j, arriving) if kind[1] else arriving
    before = load_like(v, at + j, arriving)
    fires, current, new = stepped(arriving, held, before, parameters(neurons, j, arriving), kind)
    if kind[1] or last:
        store(u, at + j, current)
    store(v, at + j, new)
    return fires


@inlined
def send(fires: Vector, pieces: Array, r: int, j: int) -> None:
    """Enter what the neurons from j on send into row r of `pieces`, uint16 `[T * B, words * 4]`."""
    store_bits(pieces, r * pieces.shape[1] + j // LANES, fires)


@cache
def lif_kernel(kind: Kind) -> Callable[..., None]:
    """The kernel for neurons that lie as they send."""

    @compiled
    def step_block(sums: Array, neurons: Array, u: Array, v: Array, rows: Rows, sent: Array) -> None:
        """Step the samples of `rows`; `sums` int32 `[S * B, size]`, modulo 2^32; `sent`: see `send`."""
        first, samples, batch, steps = rows
        size = sums.shape[1]
        before = round_toward_zero()
        for b in range(samples):
            for t in range(steps):
                for j in range(0, size, LANES):
                    arriving = load(sums, (t * samples + b) * size + j, LANES, 32) << ALIGN
                    fires = step_here(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
                    send(fires, sent, first + t * batch + b, j)
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
                    fires = step_here(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
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
        place = np.int64(index[k])
        sent[r, place >> 6] |= np.int64(1) << (place & 63)


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
                    step_here(arriving, neurons, j, u, v, b * size, kind, t == steps - 1)
                for j in range(sent.shape[1]):
                    sent[first + t * batch + b, j] = v[b, j]
        round_as(before)

    return step_block
