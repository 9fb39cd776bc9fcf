"""Runs a netx file with lava-dl's own netx, in Lava's environment.

    netx_worker.py NET INPUTS SPIKES

NET is the HDF5 file; INPUTS an `.npy` with spikes `[runs, T, B, *shape]`: each run builds the network anew
and lets its B samples follow one another, all neurons set to zero in between; SPIKES the `.npz` to write,
with `layer_<n>`, uint8 `[runs, T, B, *shape]`, for each of netx's layers in its own layout: (W, H, C).

lava-dl's training half, slayer, needs torch, and netx imports it: for a function that reads resonators, and
for modules that are none of its layers. Both are given empty, and netx itself stays as it is.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

SLAYER = ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron", "lava.lib.dl.slayer.neuron.rf")
MODULES = "lava.lib.dl.netx.sequential_modules"


def without_torch() -> Any:
    """Import and return netx's reader."""
    for name in (*SLAYER, MODULES):
        empty = ModuleType(name)
        empty.__path__ = []
        sys.modules[name] = empty
    sys.modules[SLAYER[-1]].neuron_params = None  # type: ignore[attr-defined]
    return importlib.import_module("lava.lib.dl.netx.hdf5")


def run(net: str, samples: Any) -> list[Any]:
    """The spikes of every layer, uint8 `[T, B, *shape]`, for spikes `[T, B, *shape]` in netx's layout."""
    import numpy as np

    source, sink, config = (
        importlib.import_module(name)
        for name in ("lava.proc.io.source", "lava.proc.io.sink", "lava.magma.core.run_configs")
    )
    worker = importlib.import_module("worker")
    window, batch = samples.shape[:2]
    network = importlib.import_module("lava.lib.dl.netx.hdf5").Network(
        net_config=net, reset_interval=window, reset_offset=1
    )
    steps = window * batch + len(network.layers)
    data = np.zeros((*network.inp.shape, steps), np.int32)
    data[..., : window * batch] = np.moveaxis(samples.swapaxes(0, 1).reshape(-1, *network.inp.shape), 0, -1)
    given = source.RingBuffer(data=data)
    given.s_out.connect(network.inp)
    ends = [*(layer.neuron.s_out for layer in network.layers[:-1]), network.out]
    records = [sink.RingBuffer(shape=end.shape, buffer=steps) for end in ends]
    for end, record in zip(ends, records):  # noqa: B905
        end.connect(record.a_in)
    executable = given.compile(config.Loihi2SimCfg(select_tag="fixed_pt"))
    turns = worker.Turns()
    worker.connect(executable, turns)
    built = {process: executable.proc_builders[process].build() for process in executable.process_list}
    turns.models = [built[process] for process in _in_order(network, given, records)]
    for _ in range(steps):
        turns.step()
    return [_aligned(built[record].data, late, window, batch) for late, record in enumerate(records, 1)]


def _in_order(network: Any, given: Any, records: list[Any]) -> list[Any]:
    """The processes as spikes travel: connections into a layer, its neurons, its record."""
    order = [given]
    for layer, record in zip(network.layers, records):  # noqa: B905
        recurrent = [layer.synapse_rec] if hasattr(layer, "synapse_rec") else []
        order += [*recurrent, layer.synapse, layer.neuron, record]
    return order


def _aligned(data: Any, late: int, window: int, batch: int) -> Any:
    """A record of all steps, `[*shape, steps]`, on the model's time base."""
    import numpy as np

    spikes = np.moveaxis(data, -1, 0)[late : late + window * batch]
    return spikes.reshape(batch, window, *spikes.shape[1:]).swapaxes(0, 1).astype(np.uint8)


def main(net: str, inputs: str, spikes: str) -> None:
    """Every run, one after the other."""
    import numpy as np

    runs = [run(net, samples) for samples in np.load(inputs, allow_pickle=False)]
    layers: dict[str, Any] = {f"layer_{index}": np.stack(layer) for index, layer in enumerate(zip(*runs))}  # noqa: B905
    np.savez(spikes, **layers)


if __name__ == "__main__":
    worker, compatible = (importlib.import_module(name) for name in ("worker", "compatible"))
    worker.prepare("avnir_netx")
    compatible.make_importable()
    without_torch()
    main(*sys.argv[1:])
