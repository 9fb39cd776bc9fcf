"""Sigma-delta neurons, `avnir.ir.integer_delta`, over a block of steps in 32-bit arithmetic, which wraps."""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled
from avnir.ir.operation import Array


@compiled
def magnitude(x: np.int32) -> np.int32:
    """|x|, and -2^31 of -2^31."""
    sign = np.int32(x >> 31)
    return np.int32((x ^ sign) - sign)


@compiled
def send_changes(
    x: Array, registers: Array, bias: Array, numbers: Array, integrates: bool, rectify: bool, sent: Array
) -> None:
    """Step `B` samples of `n` neurons; `registers`, int32 `[4, B, n]`: sigma, act, residue, error.

    `x` int32 `[S * B, n]`, rows in order of steps, samples within; `bias` int32 `[n]`, shifted; `numbers`
    int32: shift of what arrives, shifted threshold, shift of what is sent, and whether errors add up;
    `integrates`: SigmaDelta; `sent` int32 `[S * B, n]` is filled.
    """
    rows, neurons = x.shape
    sigma, act, residue, error = registers[0], registers[1], registers[2], registers[3]
    shift, threshold, last_shift, cumulative = numbers[0], numbers[1], numbers[2], numbers[3] != 0
    for r in range(rows):
        b = r % act.shape[0]
        for j in range(neurons):
            new = np.int32(x[r, j] << shift)
            if integrates:
                sigma[b, j] = np.int32(sigma[b, j] + new)
                new = np.int32(sigma[b, j] + bias[j])
                if rectify and new < 0:
                    new = np.int32(0)
            delta = np.int32(new - act[b, j] + residue[b, j])
            deciding = delta
            if cumulative:
                deciding = np.int32(error[b, j] + delta)
                error[b, j] = deciding
            change = delta if magnitude(deciding) >= threshold else np.int32(0)
            if magnitude(change) > 0:
                error[b, j] = 0
            act[b, j], residue[b, j] = new, np.int32(delta - change)
            sent[r, j] = np.int32(change >> last_shift)
