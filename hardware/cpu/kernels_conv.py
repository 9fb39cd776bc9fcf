"""Convolution, event by event: each active input adds its kernel to the outputs that see it.

Sums are kept modulo 2^32, which the final wrap to 24 bits makes exact. While they grow they lie as
`[groups, H', W', channels of the group]`, so that an event adds runs of consecutive numbers: all output
channels of a position, and, with stride and dilation 1, of all positions of a kernel row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from avnir.hardware.cpu.compiled import compiled
from avnir.ir.operation import Array


def _kernel(binary: bool) -> Callable[..., None]:
    """The kernel for binary spikes (uint8), or for messages of any value (int32)."""

    @compiled
    def add_kernels(
        x: Array, weight: Array, out_row: Array, runs: Array, sizes: Array, shift: int, out: Array
    ) -> None:
        """Fill `out`, int32 `[R, C_out * H' * W']`, wrapped to 24 bits.

        `x` `[R, C_in * H * W]`; `weight` int32 `[C_in, kH, kW * per_group]`, kernel columns reversed;
        `out_row` int32 `[H, kH]`, the output row that a kernel row reaches, or -1; `runs` int32
        `[W, kW, 3]`: first output column, first kernel column, number of columns, 0 from the last run
        on; `sizes`: (groups, W', H' * W'); `shift`: weight exponent.
        """
        rows, inputs = x.shape
        channels, height, width = weight.shape[0], out_row.shape[0], runs.shape[0]
        groups, out_width, positions = sizes[0], sizes[1], sizes[2]
        per_group = out.shape[1] // (groups * positions)
        per_input_group = channels // groups
        active = np.empty(inputs + 1, np.uint32)
        total = np.zeros((groups, positions * per_group), np.int32)
        for r in range(rows):
            count = 0
            for i in range(inputs):
                active[count] = i
                count += x[r, i] != 0
            for k in range(count):
                channel, place = divmod(active[k], height * width)
                row, column = divmod(place, width)
                value = x[r, active[k]]
                for i in range(out_row.shape[1]):
                    if out_row[row, i] < 0:
                        continue
                    for run in range(runs.shape[1]):
                        length = runs[column, run, 2] * per_group
                        if length == 0:
                            break
                        to = (out_row[row, i] * out_width + runs[column, run, 0]) * per_group
                        start = runs[column, run, 1] * per_group
                        sums = total[channel // per_input_group, to : to + length]
                        taps = weight[channel, i, start : start + length]
                        for j in range(length):
                            tap = taps[j] if binary else np.int32(taps[j] * value)
                            sums[j] = np.int32(sums[j] + tap)
            for group in range(groups):
                by_position = total[group].reshape(positions, per_group)
                by_channel = out[r].reshape(groups, per_group, positions)[group]
                for channel in range(per_group):
                    for place in range(positions):
                        upper = np.int32(by_position[place, channel] << (shift + 8))
                        by_channel[channel, place] = np.int32(upper >> 8)
            total[:] = 0

    return add_kernels


add_spikes = _kernel(binary=True)
add_messages = _kernel(binary=False)
