"""SANA-FE: its Loihi, its LIF neurons in floating point, one sample after the other.

It counts events, energies and times besides, with its simplest model of time. A layer fills as many cores as
it needs.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import sanafe

PACKAGES = ("sanafe",)
NEURONS_A_CORE = 1024
WINDOWS = 16
"""How often a chip can be run: its inputs go on where they were, and are given so many windows."""


def threads() -> int | None:
    """SANA-FE takes as many as it thinks right, and does not say."""
    return None


class Cores:
    """The cores of the chip, given out in their order."""

    def __init__(self, chip: Any) -> None:
        self.cores = [core for tile in chip.tiles for core in tile.cores]
        self.used = 0

    def place(self, group: Any, size: int) -> None:
        for k in range(size):
            group[k].map_to_core(self.cores[self.used + k // NEURONS_A_CORE])
        self.used += -(-size // NEURONS_A_CORE)


class Sample:
    """The network of one sample's input, and a chip that holds it."""

    def __init__(self, case: dict[str, Any], arrays: dict[str, np.ndarray], sample: int) -> None:
        self.parts = build(case, arrays, sample)
        self.left = 0

    def chip(self) -> Any:
        """The chip as it is before a window; a new one where the inputs are used up."""
        if self.left == 0:
            architecture, network = self.parts
            self.loaded = sanafe.SpikingChip(architecture)
            self.loaded.load(network)
            self.left = WINDOWS
        else:
            self.loaded.reset()
        self.left -= 1
        return self.loaded


def build(case: dict[str, Any], arrays: dict[str, np.ndarray], sample: int) -> tuple[Any, Any]:
    """The architecture, and the network of one sample's input, placed on it."""
    architecture, network = sanafe.load_loihi(), sanafe.Network()
    cores = Cores(architecture)
    window = arrays["spikes"][:, sample].reshape(len(arrays["spikes"]), -1)
    spikes = np.tile(np.pad(window, ((0, len(case["layers"])), (0, 0))), (WINDOWS, 1))
    before = network.create_neuron_group("layer0", spikes.shape[1], soma_hw_name="loihi_inputs[0]")
    for k, train in enumerate(spikes.T.tolist()):
        unit = f"loihi_inputs[{k % NEURONS_A_CORE}]"
        before[k].set_attributes(soma_hw_name=unit, model_attributes={"spikes": train})
    cores.place(before, spikes.shape[1])
    for n, layer in enumerate(case["layers"], start=1):
        size = int(np.prod(layer["shape"]))
        values = {"threshold": float(layer["threshold"]), "leak_decay": case["keep"] / 4096}
        group = network.create_neuron_group(
            f"layer{n}", size, {**values, "reset": 0.0}, soma_hw_name="loihi_lif", log_spikes=True
        )
        cores.place(group, size)
        pairs = list(zip(arrays[f"source{n}"].tolist(), arrays[f"target{n}"].tolist(), strict=True))
        before.connect_neurons_sparse(group, {"weight": arrays[f"value{n}"].astype(float).tolist()}, pairs)
        before = group
    return architecture, network


def prepare(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A layer sees a spike one step after it was sent, so that layer n answers n steps later."""
    steps, samples = arrays["spikes"].shape[:2]
    built = [Sample(case, arrays, sample) for sample in range(samples)]
    sizes = [int(np.prod(layer["shape"])) for layer in case["layers"]]
    total = steps + len(sizes)

    def run(keep: bool) -> tuple[float, int, list[np.ndarray]]:
        records = [np.zeros((steps, samples, size), np.uint8) for size in sizes]
        seconds = 0.0
        for sample, part in enumerate(built):
            chip = part.chip()
            started = time.perf_counter()
            result = chip.sim(total, timing_model="simple", spike_trace=keep or None)
            seconds += time.perf_counter() - started
            if keep:
                enter(result["spike_trace"], records, sample)
        return seconds, samples * total, records if keep else []

    return run


def enter(trace: list[list[Any]], records: list[np.ndarray], sample: int) -> None:
    """Enter what neurons sent, by chip steps, into records `[T, B, n]` on the model's time base."""
    for step, sent in enumerate(trace):
        for address in sent:
            layer = int(address.group_name.removeprefix("layer"))
            at = step - layer
            if layer and 0 <= at < len(records[layer - 1]):
                records[layer - 1][at, sample, address.neuron_offset] = 1
