"""nengo-loihi's emulator of Loihi, given the integers themselves, one sample after the other."""

from __future__ import annotations

import itertools
import time
import warnings
from typing import Any

import numpy as np
import scipy.sparse

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from nengo_loihi.block import Axon, LoihiBlock, Synapse
    from nengo_loihi.builder import Model
    from nengo_loihi.emulator.interface import EmulatorInterface
    from nengo_loihi.inputs import SpikeInput

PACKAGES = ("nengo-loihi", "nengo", "numpy")
LIMIT = 2**23 - 1


def threads() -> int | None:
    """One; numpy's sums and comparisons have no threads."""
    return 1


def block_of(layer: dict[str, Any], keep: int) -> Any:
    """A layer's neurons, set up as the integers that its `discretize` would leave."""
    size = int(np.prod(layer["shape"]))
    block = LoihiBlock(size)
    whole = {"decay_u": 4095, "decay_v": 4096 - keep, "vth": layer["threshold"] << 6, "bias": 0}
    whole |= {"refract_delay": 1, "enable_noise": 0}
    for name, value in whole.items():
        setattr(block.compartment, name, np.full(size, value, np.int32))
    block.compartment.vmin, block.compartment.vmax = -LIMIT, LIMIT
    block.compartment.scale_u = block.compartment.scale_v = False
    block.compartment.noise_exp = block.compartment.noise_offset = 0
    return block


def connect(source: Any, count: int, block: Any, arrays: dict[str, np.ndarray], n: int) -> None:
    """Synapses from `count` neurons to a block, weights shifted left by 6 as the emulator keeps them."""
    values = arrays[f"value{n}"].astype(np.int32) << 6
    places = (arrays[f"source{n}"], arrays[f"target{n}"])
    rows = scipy.sparse.csr_matrix((values, places), (count, block.n_neurons))
    synapse, axon = Synapse(count), Axon(count)
    axons = [slice(*ends) for ends in itertools.pairwise(rows.indptr)]
    weights, targets = [rows.data[own] for own in axons], [rows.indices[own] for own in axons]
    synapse._set_weights_indices(weights, targets, np.int32)
    block.add_synapse(synapse)
    axon.target = synapse
    axon.set_compartment_axon_map(np.arange(count))
    source.add_axon(axon)


def prepare(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A spike takes one step, also from the input, so that layer n answers n steps later."""
    spikes = arrays["spikes"].reshape(*arrays["spikes"].shape[:2], -1)
    steps, samples, count = spikes.shape
    model, given = Model(), SpikeInput(count)
    model.add_input(given)
    source, blocks = given, []
    for n, layer in enumerate(case["layers"], start=1):
        blocks.append(block_of(layer, case["keep"]))
        connect(source, count, blocks[-1], arrays, n)
        model.add_block(blocks[-1])
        source, count = blocks[-1], blocks[-1].n_neurons

    def run(keep: bool) -> tuple[float, int, list[np.ndarray]]:
        records = [np.zeros((steps, samples, block.n_neurons), np.uint8) for block in blocks]
        seconds, total = 0.0, steps + len(blocks)
        for sample in range(samples):
            emulator = EmulatorInterface(model, seed=0)
            given.spikes.clear()
            for t in range(steps):
                given.add_spikes(t + 1, np.flatnonzero(spikes[t, sample]))
            started = time.perf_counter()
            for step in range(total):
                emulator.step()
                if keep:
                    enter(emulator, blocks, records, step, sample)
            seconds += time.perf_counter() - started
        return seconds, samples * total, records if keep else []

    return run


def enter(emulator: Any, blocks: list[Any], records: list[np.ndarray], step: int, sample: int) -> None:
    """Enter what the neurons sent in a chip step into records `[T, B, n]` on the model's time base."""
    for n, (block, record) in enumerate(zip(blocks, records, strict=True), start=1):
        if 0 <= step - n < len(record):
            record[step - n, sample] = emulator.compartment.spiked[emulator.block_info.slices[block]]
