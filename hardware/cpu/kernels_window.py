"""Sums over the window, `avnir.ir.integer_window.WindowSum`, in 32-bit arithmetic, which wraps as they do."""

from __future__ import annotations

from avnir.hardware.cpu.compiled import compiled
from avnir.hardware.cpu.kernels_events import Rows
from avnir.ir.operation import Array


@compiled
def add_window(x: Array, total: Array, held: Array, running: bool, rows: Rows, sent: Array) -> None:
    """Add `x`, int32 `[S * B, n]`, to `total`, int32 `[B, n]`, step by step, and send it or what is `held`.

    What is sent goes into `rows` of `sent`, int32 `[T * B, n]` (`kernels_events`).
    """
    first, samples, batch, steps = rows
    for b in range(samples):
        for t in range(steps):
            r, row = t * samples + b, first + t * batch + b
            if running:
                for j in range(x.shape[1]):
                    total[b, j] += x[r, j]
                    sent[row, j] = total[b, j]
            else:
                for j in range(x.shape[1]):
                    total[b, j] += x[r, j]
                    sent[row, j] = held[b, j]
