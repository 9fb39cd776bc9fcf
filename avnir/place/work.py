"""What a step costs each piece, in operations: synaptic operations and neuron updates.

At most: every input spikes. Measured: from the spikes of a run. Stored synapses count, those of weight zero
included (`stored` in `avnir.cost.synops`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avnir.errors import DataError
from avnir.ir.operation import Array
from avnir.place.grid import Grid, neurons
from avnir.place.network import Layer, Link, Network
from avnir.trace import Trace

Spikes = Mapping[str, Array]
"""Spikes of layers and inputs, `[..., C, H, W]`."""


def spikes_of(network: Network, inputs: Mapping[str, Array], trace: Trace) -> Spikes:
    """What every layer and input sends in a run, bool `[T, B, C, H, W]`; DataError where one is missing.

    T counts every presentation of the window, one after the other.
    """
    times = len(trace.presented)
    sent = {**{name: np.concatenate([np.asarray(a)] * times) for name, a in inputs.items()}, **trace.sent}
    wanted = [*network.inputs, *network.layers]
    if missing := [name for name in wanted if name not in sent]:
        raise DataError(f"the trace has no spikes of {', '.join(missing)}; record it with this program")
    return {name: (sent[name] != 0).reshape(*sent[name].shape[:2], *network.box(name)) for name in wanted}


def means(spikes: Spikes) -> Spikes:
    """Spikes of each neuron in a step, the mean over time and batch, float64 `[C, H, W]`."""
    return {name: array.mean(axis=(0, 1)) for name, array in spikes.items()}


def operations(link: Link, target: Grid, sent: Array) -> Array:
    """Synaptic operations of spikes `[..., C, H, W]` in each target piece, float64 `[..., c, h, w]`."""
    return link.joins.operations(target, sent)


def layer_work(network: Network, layer: Layer, grid: Grid, mean: Spikes | None) -> Array:
    """Operations of a step in each piece, float64 `[C, H, W]`; with `mean` measured, else the most."""
    done = neurons(grid).astype(np.float64)
    for link in network.into(layer.name):
        done += link.joins.synapses(grid) if mean is None else operations(link, grid, mean[link.source])
    return done
