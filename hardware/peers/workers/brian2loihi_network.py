"""Brian2Loihi: Brian 2 with Loihi's integers, its numpy code, one sample after the other."""

from __future__ import annotations

import time
from typing import Any

import brian2
import numpy as np
from brian2_loihi import (
    LoihiNetwork,
    LoihiNeuronGroup,
    LoihiSpikeGeneratorGroup,
    LoihiSpikeMonitor,
    LoihiSynapses,
)

PACKAGES = ("brian2-loihi", "brian2", "numpy")
MIXED = 1


def threads() -> int | None:
    """One; numpy's sums and comparisons have no threads."""
    return 1


brian2.prefs.codegen.target = "numpy"
brian2.BrianLogger.suppress_name("method_choice")


def build(case: dict[str, Any], arrays: dict[str, np.ndarray], sample: int) -> tuple[Any, list[Any]]:
    """The network of one sample's input, and what records each layer.

    Weights of both signs are even in Loihi's 9 bits, so they are doubled and an exponent of -1 halves them.
    """
    spikes = arrays["spikes"][:, sample].reshape(len(arrays["spikes"]), -1)
    times, indices = np.nonzero(spikes)
    before: Any = LoihiSpikeGeneratorGroup(spikes.shape[1], indices, times)
    parts, monitors = [before], []
    for n, layer in enumerate(case["layers"], start=1):
        size = int(np.prod(layer["shape"]))
        group = LoihiNeuronGroup(size, threshold_v_mant=layer["threshold"], decay_v=4096 - case["keep"])
        synapses = LoihiSynapses(before, group, sign_mode=MIXED, w_exp=-1)
        synapses.connect(i=arrays[f"source{n}"], j=arrays[f"target{n}"])
        synapses.w = 2 * arrays[f"value{n}"].astype(np.int32)
        monitors.append(LoihiSpikeMonitor(group))
        parts += [group, synapses, monitors[-1]]
        before = group
    return LoihiNetwork(*parts), monitors


def timed(network: Any, steps: int) -> float:
    """Seconds of a run. Each begins with making its code anew, which a run of no steps shows alone."""
    started = time.perf_counter()
    network.run(steps)
    return time.perf_counter() - started


def prepare(case: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A spike takes one step, but not from the input, so that layer n answers n - 1 steps later."""
    steps, samples = arrays["spikes"].shape[:2]
    networks = [build(case, arrays, sample) for sample in range(samples)]
    total = steps + len(case["layers"]) - 1
    sizes = [int(np.prod(layer["shape"])) for layer in case["layers"]]
    for network, _ in networks:
        network.store()

    def run(keep: bool) -> tuple[float, int, list[np.ndarray]]:
        records = [np.zeros((steps, samples, size), np.uint8) for size in sizes]
        seconds = 0.0
        for sample, (network, monitors) in enumerate(networks):
            network.restore()
            seconds -= timed(network, 0)
            seconds += timed(network, total)
            for late, (monitor, record) in enumerate(zip(monitors, records, strict=True)):
                at = np.round(monitor.t_ * 1000).astype(int) - late
                here = (at >= 0) & (at < steps)
                record[at[here], sample, np.asarray(monitor.i)[here]] = 1
        return seconds, samples * total, records if keep else []

    return run
