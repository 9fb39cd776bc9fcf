"""1 / sqrt(x) in integers with 12 fractional bits, by Newton's method: Lava's `inv_sqrt`.

With B = 2^12 it gives about B / sqrt(x / B), for x of 24 bits. It begins with an estimate Y for the number of
bits of x, and improves y with b, which tends to B as Y does to 2 B:

    b <- ((b Y >> 13) Y) >> 13;   Y <- 3 B - b;   y <- y Y >> 13         five times, from b = x, y = Y / 2

Source: lava-nc 0.10.0, `lava/proc/graded/models.py: make_fpinv_table, inv_sqrt`, the constants included.
"""

from __future__ import annotations

import numpy as np

from avnir.ir.operation import Array

FRACTION_BITS = 12
INPUT_BITS = 24
ITERATIONS = 5
ADJUSTMENT = 1.238982962
ESTIMATES = np.array(
    [
        2 * int((1 << FRACTION_BITS) / (2 ** ((bits - FRACTION_BITS) / 2) * ADJUSTMENT))
        for bits in range(INPUT_BITS)
    ],
    np.int64,
)
"""The first Y for numbers of 1, 2, ... 24 bits."""
LARGEST = (1 << INPUT_BITS) - 1


def inverse_root(x: Array) -> Array:
    """The inverse root of each integer, int64; 0 for what is not above 0, that of 2^24 - 1 for all above."""
    b = np.clip(x.astype(np.int64), 0, LARGEST)
    estimate = ESTIMATES[np.maximum(np.frexp(b.astype(np.float64))[1] - 1, 0)]
    root, shift = estimate // 2, FRACTION_BITS + 1
    for _ in range(ITERATIONS):
        b = (b * estimate >> shift) * estimate >> shift
        estimate = (3 << FRACTION_BITS) - b
        root = root * estimate >> shift
    return np.where(x > 0, root, 0)
