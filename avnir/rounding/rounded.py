"""The integers of one layer as they are being chosen, and the operations that they become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from avnir.ir import integer
from avnir.ir.graph import Node
from avnir.ir.integer_graded import Readout
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Li
from avnir.numerics import fixed
from avnir.rounding.connections import connection
from avnir.rounding.feedback import nearest
from avnir.rounding.neuron_layer import Layer
from avnir.rounding.scales import Scales


@dataclass(frozen=True)
class Rounded:
    """What a layer's integers are made from.

    `weights` int8, one array for each synapse; `threshold` int64 of the layer's shape; `bias` float64 of
    that shape, in units of the model: its mantissa needs an exponent that all neurons share.
    """

    scales: Scales
    weights: tuple[Array, ...]
    threshold: Array
    bias: Array

    def where(self, chosen: Array, layer: Layer, other: Rounded) -> Rounded:
        """With the groups `chosen`, bool `[groups]`, taken from `other`, which has the same exponents."""
        neurons = np.broadcast_to(layer.for_neurons(chosen), layer.shape)
        return Rounded(
            replace(self.scales, values=np.where(chosen, other.scales.values, self.scales.values)),
            tuple(
                np.where(layer.for_rows(chosen, synapse), b, a)
                for synapse, a, b in zip(layer.synapses, self.weights, other.weights, strict=True)
            ),
            np.where(neurons, other.threshold, self.threshold),
            np.where(neurons, other.bias, self.bias),
        )

    def worst_sum(self, layer: Layer) -> Array:
        """The largest |summed input| over all inputs, int64 `[groups]`."""
        total = np.zeros(layer.groups, np.int64)
        for synapse, weight, exponent in zip(
            layer.synapses, self.weights, self.scales.exponents, strict=True
        ):
            total += layer.per_row(synapse.worst(weight.astype(np.int64))) << exponent
        return total


def rounded(layer: Layer, scales: Scales, weights: tuple[Array, ...]) -> Rounded:
    """These weights, and the threshold rounded to the nearest."""
    threshold = np.broadcast_to(np.rint(layer.threshold * layer.for_neurons(scales.values)), layer.shape)
    return Rounded(scales, weights, threshold.astype(np.int64), np.broadcast_to(layer.bias, layer.shape))


def rounded_nearest(layer: Layer, scales: Scales, largest: int) -> Rounded:
    """Every weight and threshold to the nearest integer, weights of at most `largest`."""
    weights = tuple(
        nearest(layer.scaled(s, scales.values, e), largest).astype(np.int8)
        for s, e in zip(layer.synapses, scales.exponents, strict=True)
    )
    return rounded(layer, scales, weights)


def operations(layer: Layer, chosen: Rounded) -> Iterator[Node]:
    """The connections, then the neurons."""
    for synapse, weight, exponent in zip(
        layer.synapses, chosen.weights, chosen.scales.exponents, strict=True
    ):
        yield Node(synapse.name, connection(synapse, weight, exponent), (synapse.source,), synapse.place)
    inputs = tuple(synapse.name for synapse in layer.synapses)
    yield Node(layer.node.name, neurons(layer, chosen), inputs, layer.node.source)


def neurons(layer: Layer, chosen: Rounded) -> integer.Lif | Readout:
    """The layer's neurons: decays to the nearest of 4096ths, the bias to the nearest mantissa."""
    mantissa, bias_exponent = _bias(layer, chosen)
    decay = (fixed.DECAY_ONE - np.rint(fixed.DECAY_ONE * layer.op.beta)).astype(np.int32)
    current_decay = (fixed.CURRENT_DECAY.high - np.rint(fixed.DECAY_ONE * layer.alpha)).astype(np.int32)
    integration: Any = {
        "shape": layer.shape,
        "decay_u": _to_shape(current_decay, layer.shape),
        "decay_v": _to_shape(decay, layer.shape),
        "bias_mantissa": _to_shape(mantissa, layer.shape),
        "bias_exponent": bias_exponent,
        "scale": _to_shape(layer.for_neurons(chosen.scales.values), layer.shape),
    }
    if isinstance(layer.op, Li):
        return Readout(**integration)
    threshold = _to_shape(chosen.threshold.astype(np.int32), layer.shape)
    return integer.Lif(**integration, threshold=threshold, reset=layer.op.reset)


def _bias(layer: Layer, chosen: Rounded) -> tuple[Array, int]:
    """The mantissa, int32, and the smallest exponent that holds it."""
    wanted = chosen.bias * layer.for_neurons(chosen.scales.values) * (1 << fixed.ALIGN)
    exponent = 0
    while not fixed.BIAS_MANTISSA.holds(np.rint(wanted / (1 << exponent))):
        exponent += 1
    return np.rint(wanted / (1 << exponent)).astype(np.int32), exponent


def _to_shape(values: Array, shape: Shape) -> Array:
    """0-d where all are equal, else one value per neuron."""
    if np.all(values == values.flat[0]):
        return np.array(values.flat[0], values.dtype)
    return np.broadcast_to(values, shape).copy()
