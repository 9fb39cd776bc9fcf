"""SpikingJelly in its multi-step mode: a layer takes the whole window at once, without gradients."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn
from torch_layers import as_spikes, synapses

PACKAGES = ("spikingjelly", "torch")
threads, use = torch.get_num_threads, torch.set_num_threads


def neurons(given: dict[str, Any], keep: int) -> nn.Module:
    """LIF neurons. They fire at v >= v_threshold: the next float above the threshold makes that a `>`."""
    above = float(np.nextafter(np.float32(given["threshold"]), np.float32(np.inf)))
    tau = 4096 / (4096 - keep)
    lif: nn.Module = neuron.LIFNode(tau=tau, decay_input=False, v_threshold=above, v_reset=0.0, step_mode="m")
    return lif


def prepare(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """The network and its inputs in float32; weights see steps and samples as one batch."""
    stages = [
        nn.Sequential(
            layer.SeqToANNContainer(synapses(given, arrays[f"weight{n}"])), neurons(given, case["keep"])
        )
        for n, given in enumerate(case["layers"], start=1)
    ]
    network = nn.Sequential(*stages)
    inputs = torch.from_numpy(arrays["spikes"]).float()

    @torch.no_grad()
    def run(keep: bool) -> tuple[float, int, list[np.ndarray]]:
        started = time.perf_counter()
        functional.reset_net(network)
        x, kept = inputs, []
        for stage in stages:
            x = stage(x)
            kept += [x] if keep else []
        seconds = time.perf_counter() - started
        return seconds, inputs.shape[0] * inputs.shape[1], as_spikes(kept)

    return run
