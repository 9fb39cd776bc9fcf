"""The neurons, `avnir.ir.integer.Lif` and `Readout`, over a block of steps in 32-bit arithmetic.

Why 32 bits are enough, with M = 2^23:
- the sum of a step, `tz(u k, 12) + (a << 6)`, is taken modulo 2^32 by definition, so wrapping
  additions give it; one wrap by 2M then leaves |u| < 2^31, and |v| < M;
- `tz(x k, 12)` with |x| < 2^31 and 0 <= k <= 4095 (or |x| < M and k <= 4096): split |x| = 4096 h + l;
  then |x| k / 4096 rounds down to `h k + (l k >> 12)`, with h k < 2^31 and l k <= 2^24;
- v adds a bias below 2^19 and a threshold below M to that, again modulo 2^32 by definition.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from avnir.hardware.cpu.compiled import compiled
from avnir.ir.operation import Array

TILE = 1024
"""Neurons stepped through a block together: their states and parameters, 6 int32 each, stay in L1."""
U, V, KEEP_U, KEEP_V, THETA, BIAS = (k * TILE for k in range(6))
"""Where each of them begins in a tile. One array for all six, because the compiler vectorises a loop
only over few arrays of which it cannot know that they do not overlap."""
LIMIT = 1 << 23
"""M; see `avnir.numerics.fixed.STATE_LIMIT`."""


@compiled
def decayed(x: np.int32, keep: np.int32) -> np.int32:
    """`tz(x * keep, 12)`, for the ranges above."""
    sign = np.int32(x >> 31)
    magnitude = np.int32((x ^ sign) - sign)
    low = np.int32((magnitude & 4095) * keep)
    result = np.int32(np.int32(magnitude >> 12) * keep + np.int32(low >> 12))
    return np.int32((result ^ sign) - sign)


@compiled
def wrapped(u: np.int32) -> np.int32:
    """One wrap by 2M of what lies outside (-M, M]."""
    if u > LIMIT:
        return np.int32(u - 2 * LIMIT)
    if u <= -LIMIT:
        return np.int32(u + 2 * LIMIT)
    return u


@compiled
def clipped(v: np.int32) -> np.int32:
    """Clip to [-M + 1, M - 1]."""
    if v > LIMIT - 1:
        return np.int32(LIMIT - 1)
    if v < -LIMIT + 1:
        return np.int32(-LIMIT + 1)
    return v


@cache
def lif_kernel(reset: str, keeps_current: bool, sends_potential: bool = False) -> Callable[..., None]:
    """The kernel for one reset; without `keeps_current`, for neurons whose `keep_u` is 0 throughout.

    With `sends_potential`, a Readout's: `none` is its reset, its potentials stand in place of the spikes.
    """
    zero, zero_delayed = reset == "zero", reset == "zero_delayed"
    zero_next = reset == "zero_next"
    subtract, subtract_delayed = reset == "subtract", reset == "subtract_delayed"

    @compiled
    def step_block(
        a: Array, keep_u: Array, keep_v: Array, theta: Array, bias: Array, u: Array, v: Array, spikes: Array
    ) -> None:
        """Step `B` samples of `n` neurons; `u` and `v`, int32 `[B, n]`, go on from block to block.

        `a` int32 `[S * B, n]`, summed input modulo 2^32, rows in order of steps, samples within;
        `keep_u`, `keep_v` int32 `[n]`, 4096ths kept a step; `theta`, `bias` int32 `[n]` on the scale
        of v; `spikes`, uint8 or for potentials int32 `[S * B, n]`, is filled.
        """
        rows, neurons = a.shape
        batch = len(u)
        tile = np.empty(6 * TILE, np.int32)
        for start in range(0, neurons, TILE):
            here = slice(start, min(start + TILE, neurons))
            size = here.stop - start
            tile[KEEP_U : KEEP_U + size], tile[KEEP_V : KEEP_V + size] = keep_u[here], keep_v[here]
            tile[THETA : THETA + size], tile[BIAS : BIAS + size] = theta[here], bias[here]
            for b in range(batch):
                tile[U : U + size], tile[V : V + size] = u[b, here], v[b, here]
                for r in range(b, rows, batch):
                    arriving, fired = a[r, here], spikes[r, here]
                    for j in range(size):
                        current = np.int32(arriving[j] << 6)
                        if keeps_current:
                            current = np.int32(current + decayed(tile[U + j], tile[KEEP_U + j]))
                        current = wrapped(current)
                        old, limit = tile[V + j], tile[THETA + j]
                        above = old > limit
                        if zero_delayed:
                            old = np.int32(0) if above else old
                        new = np.int32(decayed(old, tile[KEEP_V + j]) + current + tile[BIAS + j])
                        if zero_next:
                            new = np.int32(0) if above else new
                        if subtract or subtract_delayed:
                            new = np.int32(new - (limit if above else np.int32(0)))
                        new = clipped(new)
                        fires = new > limit
                        if zero:
                            new = np.int32(0) if fires else new
                        if subtract:
                            change = np.int32(fires) - np.int32(above)
                            new = clipped(np.int32(new - change * limit))
                        tile[U + j] = current
                        tile[V + j] = new
                        fired[j] = new if sends_potential else np.int32(fires)
                u[b, here], v[b, here] = tile[U : U + size], tile[V : V + size]

    return step_block
