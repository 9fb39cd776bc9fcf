"""Messages of layers without memory, `avnir.ir.integer_graded`, in 32-bit arithmetic, which wraps as they do.

They are written where they belong, into `rows` of `sent`, int32 `[T * B, n]` (`kernels_events`); what arrives
is int32 `[S * B, n]`, the samples of a step together. The magnitude of -2^31 is -2^31.
"""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled
from avnir.hardware.cpu.kernels_events import Rows
from avnir.ir.operation import Array


@compiled
def relay(x: Array, threshold: int, positive: bool, rows: Rows, sent: Array) -> None:
    """`x` where its magnitude, or with `positive` itself, is above `threshold`, and 0 elsewhere."""
    first, samples, batch, _ = rows
    limit = np.int32(threshold)
    for r in range(x.shape[0]):
        row = first + r // samples * batch + r % samples
        for j in range(x.shape[1]):
            value = x[r, j]
            size = value if positive else np.int32(abs(value))
            sent[row, j] = value if size > limit else np.int32(0)


@compiled
def multiply(first: Array, second: Array, exponent: int, threshold: int, rows: Rows, sent: Array) -> None:
    """`(first * second) >> exponent` where its magnitude is above `threshold`, and 0 elsewhere."""
    begin, samples, batch, _ = rows
    limit, shift = np.int32(threshold), np.int32(exponent)
    for r in range(first.shape[0]):
        row = begin + r // samples * batch + r % samples
        for j in range(first.shape[1]):
            product = np.int32(np.int32(first[r, j] * second[r, j]) >> shift)
            sent[row, j] = product if np.int32(abs(product)) > limit else np.int32(0)
