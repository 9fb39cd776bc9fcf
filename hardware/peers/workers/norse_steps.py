"""norse: a `SequentialState` of weights and LIF box, called once a step, without gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from norse.torch import LIFBoxCell, LIFBoxParameters, SequentialState
from torch_layers import Stage, by_steps, synapses

PACKAGES = ("norse", "torch")
STEP = 0.001
"""Seconds of a step; only its product with the inverse time constant counts."""
MARGIN = 1 / 128
"""Half a step of the integers' potential: what stands at the threshold must not fire for a rounding."""
threads, use = torch.get_num_threads, torch.set_num_threads


def stage(layer: dict[str, Any], weight: np.ndarray, keep: int) -> Stage:
    """A layer's step. norse scales the input by 1 - beta, so that the threshold is scaled alike."""
    leak = 1 - keep / 4096
    threshold = torch.as_tensor((layer["threshold"] + MARGIN) * leak)
    inverse = torch.as_tensor(leak / STEP)
    neurons = LIFBoxCell(LIFBoxParameters(tau_mem_inv=inverse, v_th=threshold), dt=STEP)
    found: Stage = SequentialState(*synapses(layer, weight), neurons)
    return found


def prepare(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """The network and its inputs in float32."""
    layers = enumerate(case["layers"], start=1)
    stages = [stage(layer, arrays[f"weight{n}"], case["keep"]) for n, layer in layers]
    inputs = torch.from_numpy(arrays["spikes"]).float()
    return lambda keep: by_steps(stages, [None] * len(stages), inputs, keep)
