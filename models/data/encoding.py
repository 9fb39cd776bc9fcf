"""Rate coding: a value in [0, 1] becomes a train of binary spikes, the same one every time."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 256
"""A value is rounded to a multiple of 1/256 first, so that the spikes follow from integers alone."""


def rate_encode(values: Tensor, steps: int) -> Tensor:
    """Values [B, ...] in [0, 1] -> spikes [steps, B, ...] of 0.0 and 1.0, float32.

    An integrate-and-fire accumulator in closed form, started half way so that the number of spikes
    over the window is `steps * value` rounded half up: with `n = round(256 * value)`, there is a spike
    at step t exactly where `floor(((t + 1) n + 128) / 256) > floor((t n + 128) / 256)`.

    Raises `ValueError` for a value outside [0, 1], or NaN, or fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, must be at least 1")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("rate coding takes values in [0, 1]; scale the data first")
    levels = (values * LEVELS).round().to(torch.int32)
    time = torch.arange(steps + 1, dtype=torch.int32).view(-1, *[1] * values.dim())
    counts = (time * levels + LEVELS // 2) // LEVELS
    return (counts[1:] > counts[:-1]).to(torch.float32)
