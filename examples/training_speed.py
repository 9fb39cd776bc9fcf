"""How fast a network trains with its neurons fused over the window, beside snnTorch's own loop.

    python -m examples.training_speed [MODEL] [BATCHES]

MODEL is taaf, l2act or scmrl. Both train the same network on the same generated batch in turn, so that a busy
machine slows both. Printed are the median of the samples a second, and of the ratio in each pair of batches
its median and its quartiles.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from avnir.models import module_of
from avnir.models.classifier import Classifier
from avnir.models.neuron import looped

BATCH = 32
SHAPE = (1, 28, 28)


def batch_seconds(network: Classifier, inputs: list[Tensor], labels: Tensor) -> float:
    """Forwards, backwards and a step of plain descent."""
    begin = time.perf_counter()
    loss, _ = network.loss(inputs, labels)
    network.zero_grad()
    loss.backward()
    with torch.no_grad():
        for values in network.parameters():
            if values.grad is not None:
                values -= 1e-3 * values.grad
    return time.perf_counter() - begin


def unfused(module: ModuleType, network: Classifier) -> AbstractContextManager[Any]:
    """The network in snnTorch's own loop over the steps: S-CMRL keeps how it fires, others look it up."""
    if hasattr(network, "fire"):
        return mock.patch.object(network, "fire", looped)
    return mock.patch.object(module, "fused", looped)


def main(name: str = "taaf", batches: str = "10") -> None:
    module = module_of(name)
    shapes = {"image": SHAPE, "audio": SHAPE}
    torch.manual_seed(0)
    network = module.build(module.config_for(shapes, 10, 4, "both", "deployable", {}).to_json()).train()
    inputs = [torch.randint(128, (4, BATCH, *SHAPE)).float() for _ in network.inputs]
    labels = torch.arange(BATCH) % 10
    times = []
    for _ in range(int(batches) + 1):
        fast = batch_seconds(network, inputs, labels)
        with unfused(module, network):
            times.append((fast, batch_seconds(network, inputs, labels)))
    fast, slow = np.array(times[1:]).T
    low, middle, high = np.percentile(slow / fast, [25, 50, 75])
    rates = (BATCH / np.median(each) for each in (fast, slow))
    print("{}: {:.1f} samples/s fused, {:.1f} looped".format(name, *rates))
    print(f"fused is {middle:.2f} times as fast (quartiles {low:.2f} to {high:.2f}, {len(fast)} batches)")


if __name__ == "__main__":
    main(*sys.argv[1:])
