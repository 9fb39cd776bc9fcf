"""One layer of neurons of a merged graph, with the synapses into it and the groups that share a scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Conv2d, Delay, Li, Lif, Linear
from avnir.numerics import fixed

GRANULARITIES = ("channel", "layer")


@dataclass(frozen=True)
class Synapse:
    """One synapse into a layer; `peak` is the largest |message| its source can send."""

    name: str
    source: str
    op: Linear | Conv2d
    peak: int
    signed: bool
    place: str
    lag: int

    def worst(self, weight: Array) -> Array:
        """The largest |sum| of `weight` per row, over all inputs; binary messages add one sign only."""
        rows = weight.reshape(len(weight), -1)
        plus, minus = np.where(rows > 0, rows, 0).sum(axis=1), np.where(rows < 0, -rows, 0).sum(axis=1)
        return self.peak * (plus + minus if self.signed else np.maximum(plus, minus))


@dataclass(frozen=True)
class Layer:
    """One neuron layer of a merged graph with the synapses into it; `groups` of neurons share a scale.

    A read-out (Li) has no threshold, here 0, and one group: its potentials are compared with each other.
    """

    node: Node
    op: Lif | Li
    shape: Shape
    synapses: tuple[Synapse, ...]
    groups: int

    @property
    def bias(self) -> Array:
        return np.zeros(()) if self.op.bias is None else self.op.bias

    @property
    def threshold(self) -> Array:
        return self.op.threshold if isinstance(self.op, Lif) else np.zeros(())

    @property
    def alpha(self) -> Array:
        return np.zeros(()) if self.op.alpha is None else self.op.alpha

    def per_neuron(self, values: Array) -> Array:
        """The largest |value| of each group's neurons, `[groups]`; `values` broadcast to the shape."""
        return np.abs(np.broadcast_to(values, self.shape)).reshape(self.groups, -1).max(axis=1)

    def per_row(self, values: Array) -> Array:
        """The largest |value| of each group's rows, `[groups]`; `values` `[rows, ...]`."""
        return np.abs(values).reshape(self.groups, -1).max(axis=1)

    def for_rows(self, values: Array, weight: Array) -> Array:
        """A value of each group, for each row of a synapse's weights, to multiply them with."""
        return np.repeat(values, len(weight) // self.groups).reshape(-1, *(1,) * (weight.ndim - 1))

    def for_neurons(self, values: Array) -> Array:
        """A value of each group, for each neuron: 0-d where there is one group."""
        if self.groups == 1:
            return values.reshape(())
        return np.repeat(values, math.prod(self.shape) // self.groups).reshape(self.shape)

    def scaled(self, synapse: Synapse, scales: Array, exponent: int) -> Array:
        """The weights of one of its synapses in integer steps, not yet rounded."""
        return np.asarray(synapse.op.weight * self.for_rows(scales, synapse.op.weight) / (1 << exponent))

    def accumulated(self, worst: Array) -> Array:
        """The largest |current| that a summed input of at most `worst` in every step builds up."""
        lost = fixed.DECAY_ONE - int(np.rint(fixed.DECAY_ONE * self.alpha.max()))
        return -(-worst * fixed.DECAY_ONE // lost)


def layer_of(graph: Graph, neuron: Node, granularity: str) -> Layer:
    """The layer `neuron` of a merged graph; `granularity`, one of GRANULARITIES, makes its groups."""
    assert isinstance(neuron.op, Lif | Li)
    synapses = tuple(_synapse(graph, _synapse_node(graph, name)) for name in neuron.inputs)
    apart = granularity == "channel" and isinstance(neuron.op, Lif)
    groups = math.gcd(*(len(s.op.weight) for s in synapses)) if apart else 1
    return Layer(neuron, neuron.op, graph.shapes[neuron.name], synapses, groups)


def origin(graph: Graph, name: str) -> tuple[str, int]:
    """The layer or input behind reshapes and a delay, and its steps."""
    node = graph[name]
    if node.op.stateful or not node.inputs:
        return name, 0
    source, lag = origin(graph, node.inputs[0])
    return source, lag + (node.op.steps if isinstance(node.op, Delay) else 0)


def message_bits(node: Node) -> int | None:
    """What an Input carries: 0 spikes, n integers of n bits, None real numbers."""
    return node.op.message_bits  # type: ignore[attr-defined]


def _synapse_node(graph: Graph, name: str) -> Node:
    return graph[graph[name].inputs[0]] if graph[name].op.kind == "Flatten" else graph[name]


def _synapse(graph: Graph, node: Node) -> Synapse:
    source, lag = origin(graph, node.inputs[0])
    bits = 0 if graph[source].op.spiking else message_bits(graph[source]) or 0
    assert isinstance(node.op, Linear | Conv2d)
    return Synapse(node.name, source, node.op, 1 << max(bits - 1, 0), bits > 0, node.source, lag)
