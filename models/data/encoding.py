"""Values to steps: rate coding, levels that are repeated, and events that come by step already."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from avnir.errors import DataError

Coding = Literal["rate", "direct", "events"]
LEVELS = 256
"""A value is rounded to a multiple of 1/256 first, so that the spikes follow from integers alone."""
DIRECT_LEVELS = 127
"""The largest number that a graded input of 8 bits, sign included, carries."""


def encode(values: Tensor, coding: Coding, steps: int) -> Tensor:
    """A batch of a data set, of one of its two forms -> float32 `[steps, B, c, h, w]`.

    uint8 `[B, steps, c, h, w]`: 1 where a time bin has events, else 0, whatever the coding. Floating point
    `[B, c, h, w]` in [0, 1]: `rate` as `rate_encode`, `direct` as `direct_encode`. Raises `DataError` for
    events of another number of steps, and for a picture where the coding is `events`.
    """
    if values.dtype == torch.uint8:
        return _events(values, steps)
    if coding == "events":
        raise DataError(
            "the network takes events by step, the data is a static picture; choose another coding"
        )
    return rate_encode(values, steps) if coding == "rate" else direct_encode(values, steps)


def _events(counts: Tensor, steps: int) -> Tensor:
    if counts.shape[1] != steps:
        raise DataError(f"the data has {counts.shape[1]} time bins, the network takes {steps} steps")
    return counts.clamp(max=1).to(torch.float32).transpose(0, 1).contiguous()


def direct_encode(values: Tensor, steps: int) -> Tensor:
    """Values [B, ...] in [0, 1] -> whole numbers 0 to 127 [steps, B, ...], float32, equal in each step."""
    _check(values, steps)
    return (values * DIRECT_LEVELS).round().to(torch.float32).repeat(steps, *[1] * values.dim())


def rate_encode(values: Tensor, steps: int) -> Tensor:
    """Values [B, ...] in [0, 1] -> spikes [steps, B, ...] of 0.0 and 1.0, float32.

    An integrate-and-fire accumulator in closed form, started half way so that the number of spikes
    over the window is `steps * value` rounded half up: with `n = round(256 * value)`, there is a spike
    at step t exactly where `floor(((t + 1) n + 128) / 256) > floor((t n + 128) / 256)`.

    Raises `ValueError` for a value outside [0, 1], or NaN, or fewer than one step.
    """
    _check(values, steps)
    levels = (values * LEVELS).round().to(torch.int32)
    time = torch.arange(steps + 1, dtype=torch.int32, device=values.device).view(-1, *[1] * values.dim())
    counts = (time * levels + LEVELS // 2) // LEVELS
    return (counts[1:] > counts[:-1]).to(torch.float32)


def _check(values: Tensor, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps is {steps}, must be at least 1")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("coding takes values in [0, 1]; scale the data first")
