"""Run one layer alone on known spikes, on either level."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from avnir.ir import integer, real
from avnir.ir.operation import Array
from avnir.rounding.neuron_layer import Layer, Synapse


def summed(layer: Layer, weights: Iterable[Array], spikes: Iterable[Array]) -> Array:
    """The layer's summed input with these weights in the place of its own, float64 `[T, B, *shape]`.

    `weights` and `spikes`, `[T, B, *source]`, one each for a synapse. Whole numbers are summed exactly as
    long as no sum reaches 2^53, far above the chip's registers.
    """
    parts = [_sums(s, w, x) for s, w, x in zip(layer.synapses, weights, spikes, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total.reshape(*total.shape[:2], *layer.shape)


def stepped(neurons: integer.IntegerOperation | real.RealOperation, currents: Array) -> Array:
    """The spikes, uint8, of neurons that get `currents`; both `[T, B, *shape]`."""
    state: dict[str, Array] = {}
    return np.stack([neurons.step(current, state) for current in currents]).astype(np.uint8)


def lagged(spikes: Array, lag: int) -> Array:
    """What a synapse of this lag gets of a source's spikes `[T, B, ...]`: silence first."""
    return np.concatenate([np.zeros_like(spikes[:lag]), spikes])[: len(spikes)]


def different(layer: Layer, first: Array, second: Array) -> Array:
    """Slots in which two runs' spikes `[T, B, *shape]` differ, int64 `[groups]`."""
    unequal = (first != second).reshape(*first.shape[:2], layer.groups, -1)
    return np.asarray(unequal.sum(axis=(0, 1, 3), dtype=np.int64))


def _sums(synapse: Synapse, weight: Array, spikes: Array) -> Array:
    steps, batch = spikes.shape[:2]
    flat = spikes.reshape(steps * batch, *spikes.shape[2:]).astype(np.float64)
    if not isinstance(synapse.op, real.Conv2d):
        flat = flat.reshape(len(flat), -1)
    made = synapse.op.replace(weight=weight).step(flat, {})
    return np.asarray(made.reshape(steps, batch, *made.shape[1:]))
