"""What each rounding costs a layer: its spikes with one of them switched on at a time.

Each layer is run alone on the real graph's spikes. With one rounding on, it is the real layer in float64 with
one of its parameters as the integers say it: weight * 2^exponent / S, threshold / S, (4096 - decay) / 4096,
mantissa * 2^exponent / (64 S). What all of them, and the registers' own rounding, cost together is measured
on the integer layer; costs do not add up where one makes up for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.ir.real import Lif
from avnir.numerics import fixed
from avnir.rounding.examples import Examples
from avnir.rounding.layer_run import stepped, summed
from avnir.rounding.neuron_layer import Layer, layer_of, origin


@dataclass(frozen=True)
class RoundingCost:
    """Slots (neuron x step x sample) of a layer, and how many of them each rounding changes."""

    layer: str
    slots: int
    weights: int
    threshold: int
    decay: int
    bias: int
    together: int


def rounding_costs(merged: Graph, integers: Graph, inputs: Mapping[str, Array]) -> tuple[RoundingCost, ...]:
    """A row for each layer of `merged`, a real graph with merged synapses, and of `integers` made from it.

    Of layers that spike and are fed by spikes: numbers have other roundings (`avnir.rounding.messages`).
    `inputs` `[T, B, *shape]`, of which `avnir.rounding.examples` says how many are looked at.
    """
    examples = Examples.of(merged, inputs)
    return tuple(
        _cost(layer_of(merged, node, "layer"), integers, examples)
        for node in merged.neurons
        if node.op.kind == "Lif" and _fed_by_spikes(merged, node)
    )


def _fed_by_spikes(merged: Graph, neuron: Node) -> bool:
    sources = (merged[origin(merged, name)[0]] for name in neuron.inputs)
    return all(source.op.spiking or getattr(source.op, "message_bits", None) == 0 for source in sources)


def _cost(layer: Layer, integers: Graph, examples: Examples) -> RoundingCost:
    chip: integer.Lif = integers[layer.node.name].op  # type: ignore[assignment]
    model: Lif = layer.op  # type: ignore[assignment]
    spikes = [examples.modelled(synapse) for synapse in layer.synapses]
    delivered = _delivered(layer, integers, spikes)
    current = summed(layer, [synapse.op.weight for synapse in layer.synapses], spikes)

    def changed(neurons: integer.Lif | Lif, given: Array) -> int:
        return int(np.count_nonzero(stepped(neurons, given) != examples.real[layer.node.name]))

    return RoundingCost(
        layer.node.name,
        current.size,
        weights=changed(model, delivered / chip.scale),
        threshold=changed(model.replace(threshold=chip.threshold / chip.scale), current),
        decay=changed(_with_decays(model, chip), current),
        bias=changed(model.replace(bias=_bias(chip)), current),
        together=changed(chip, delivered),
    )


def _delivered(layer: Layer, integers: Graph, spikes: Sequence[Array]) -> Array:
    """What the integer connections make of `spikes`, `[T, B, *source]` each: int64 `[T, B, *shape]`."""
    steps, batch = spikes[0].shape[:2]
    total = np.zeros((steps * batch, *layer.shape), np.int64)
    for synapse, sent in zip(layer.synapses, spikes, strict=True):
        connection: integer.Connection = integers[synapse.name].op  # type: ignore[assignment]
        rows = sent.reshape(steps * batch, *sent.shape[2:]).astype(np.int64)
        total += connection.step(rows, {}).reshape(total.shape)
    return total.reshape(steps, batch, *layer.shape)


def _with_decays(op: Lif, chip: integer.Lif) -> Lif:
    beta = (fixed.DECAY_ONE - chip.decay_v) / fixed.DECAY_ONE
    if op.alpha is None:
        return op.replace(beta=beta)
    return op.replace(beta=beta, alpha=(fixed.CURRENT_DECAY.high - chip.decay_u) / fixed.DECAY_ONE)


def _bias(chip: integer.Lif) -> Array:
    return (chip.bias_mantissa.astype(np.int64) << chip.bias_exponent) / (chip.scale * (1 << fixed.ALIGN))
