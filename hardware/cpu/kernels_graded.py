"""Products of messages, `avnir.ir.integer_graded.Product`, in 32-bit arithmetic, which wraps as it does."""

from __future__ import annotations

import numpy as np

from avnir.hardware.cpu.compiled import compiled
from avnir.ir.operation import Array


@compiled
def multiply(first: Array, second: Array, exponent: int, threshold: int, out: Array) -> None:
    """`out = (first * second) >> exponent` where its magnitude is above `threshold`, and 0 elsewhere.

    int32 `[R, n]`; the magnitude of -2^31 is -2^31.
    """
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            product = np.int32(np.int32(first[r, j] * second[r, j]) >> exponent)
            magnitude = np.int32(abs(product))
            out[r, j] = product if magnitude > threshold else np.int32(0)
