"""What the workers on torch share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

Stage = Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]]
"""A layer's step: its input `[B, ...]` and its state, to its spikes and its state."""


def synapses(layer: dict[str, Any], weight: np.ndarray) -> nn.Sequential:
    """A Linear behind a Flatten, or a Conv2d, with these weights and no bias."""
    values = nn.Parameter(torch.from_numpy(weight.astype(np.float32)))
    if weight.ndim == 2:
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight = values
        return nn.Sequential(nn.Flatten(), linear)
    outputs, inputs, *kernel = weight.shape
    conv = nn.Conv2d(inputs, outputs, tuple(kernel), layer["stride"], layer["padding"], bias=False)
    conv.weight = values
    return nn.Sequential(conv)


def as_spikes(layers: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """`[T, B, ...]` each, as uint8 `[T, B, n]`."""
    return [layer.flatten(2).numpy().astype(np.uint8) for layer in layers]


@torch.no_grad()
def by_steps(
    stages: Sequence[Stage], states: list[Any], inputs: torch.Tensor, keep: bool
) -> tuple[float, int, list[np.ndarray]]:
    """What a worker returns, of one call a step and layer over inputs `[T, B, ...]`.

    The spikes of the last layer are kept in any case, those of the others where asked for.
    """
    started = time.perf_counter()
    last = len(stages) - 1
    kept: list[list[torch.Tensor]] = [[] for _ in stages]
    for x in inputs:
        for k, stage in enumerate(stages):
            x, states[k] = stage(x, states[k])
            if keep or k == last:
                kept[k].append(x)
    layers = [torch.stack(steps) for steps in kept if steps]
    seconds = time.perf_counter() - started
    return seconds, inputs.shape[0] * inputs.shape[1], as_spikes(layers) if keep else []
