"""snnTorch as its tutorials use it: a loop over the steps of a batch, without gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch_layers import Stage, by_steps, synapses

PACKAGES = ("snntorch", "torch")
threads, use = torch.get_num_threads, torch.set_num_threads


def stage(layer: dict[str, Any], weight: np.ndarray, keep: int) -> tuple[Stage, torch.Tensor]:
    """A layer's step and its first state."""
    weighted = synapses(layer, weight)
    neuron = snn.Leaky(keep / 4096, layer["threshold"], reset_mechanism="zero", reset_delay=False)
    return lambda x, potential: neuron(weighted(x), potential), neuron.init_leaky()


def prepare(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """The network and its inputs in float32."""
    layers = enumerate(case["layers"], start=1)
    built = [stage(layer, arrays[f"weight{n}"], case["keep"]) for n, layer in layers]
    inputs = torch.from_numpy(arrays["spikes"]).float()
    return lambda keep: by_steps([step for step, _ in built], [state for _, state in built], inputs, keep)
