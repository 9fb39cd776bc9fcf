"""One layer of a merged graph, with the synapses into it and the groups of neurons that share a scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Conv2d, Delay, Li, Lif, Linear
from avnir.ir.real_sparse import Sparse
from avnir.numerics import fixed

GRANULARITIES = ("channel", "layer")


@dataclass(frozen=True)
class Message:
    """What an integer that a layer sends means: `unit` of the model each, at most `peak` in magnitude.

    `exact`: it says what the model's number is; otherwise that was rounded.
    """

    unit: float = 1.0
    peak: int = 1
    signed: bool = False
    exact: bool = True


SPIKE = Message()


@dataclass(frozen=True)
class Synapse:
    """One synapse into a layer; its weights are for the messages of its source, whole numbers.

    `peak` is the largest |message| that the source can send, `exact` that they are; `sparse` says that
    most weights are 0. Weights come in rows: one for each output, of a convolution for each channel.
    """

    name: str
    source: str
    op: Linear | Conv2d | Sparse
    peak: int
    signed: bool
    place: str
    lag: int
    sparse: bool = False
    exact: bool = True

    @property
    def rows(self) -> int:
        """How many rows of weights there are."""
        return self.op.size[0] if isinstance(self.op, Sparse) else len(self.op.weight)

    @cached_property
    def row(self) -> Array:
        """Which row each entry along the first axis of the weights belongs to."""
        return self.op.target if isinstance(self.op, Sparse) else np.arange(len(self.op.weight))

    @cached_property
    def largest(self) -> Array:
        """The largest |weight| of each row, float64 `[rows]`."""
        found = np.zeros(self.rows)
        np.maximum.at(found, self.row, np.abs(self.op.weight).max(axis=tuple(range(1, self.op.weight.ndim))))
        return found

    def sampled(self, count: int) -> Synapse:
        """The synapses of about `count` of its inputs, evenly spread; of a convolution of its taps."""
        if isinstance(self.op, Sparse):
            few = self.op.source % max(1, self.op.size[1] // count) == 0
            kept = {name: getattr(self.op, name)[few] for name in ("source", "target", "weight")}
            return replace(self, op=self.op.replace(**kept))
        weight = self.op.weight.reshape(self.rows, -1)
        return replace(self, op=Linear(weight[:, :: max(1, weight.shape[1] // count)]))

    def filled(self) -> Synapse:
        """With a Linear in the place of a Sparse, so that every place in a row may get a weight."""
        op = self.op
        if not isinstance(op, Sparse):
            return self
        weight = np.zeros(op.size)
        weight[op.target, op.source] = op.weight
        return replace(self, op=Linear(weight), sparse=True)

    def worst(self, weight: Array) -> Array:
        """The largest |sum| of `weight` per row, over all inputs; binary messages add one sign only."""
        plus, minus = (self.op.synapses_summed(np.maximum(signed, 0)) for signed in (weight, -weight))
        return self.peak * np.asarray(plus + minus if self.signed else np.maximum(plus, minus))


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

    def filled(self) -> Layer:
        """With a matrix in the place of each list of synapses."""
        return replace(self, synapses=tuple(synapse.filled() for synapse in self.synapses))

    def per_neuron(self, values: Array) -> Array:
        """The largest |value| of each group's neurons, `[groups]`; `values` broadcast to the shape."""
        return np.abs(np.broadcast_to(values, self.shape)).reshape(self.groups, -1).max(axis=1)

    def per_row(self, values: Array) -> Array:
        """The largest |value| of each group's rows, `[groups]`; `values` `[rows]`."""
        return np.abs(values).reshape(self.groups, -1).max(axis=1)

    def for_rows(self, values: Array, synapse: Synapse) -> Array:
        """A value of each group, for each row of a synapse's weights, to multiply them with."""
        of_rows = np.repeat(values, synapse.rows // self.groups)[synapse.row]
        return of_rows.reshape(-1, *(1,) * (synapse.op.weight.ndim - 1))

    def for_neurons(self, values: Array) -> Array:
        """A value of each group, for each neuron: 0-d where there is one group."""
        if self.groups == 1:
            return values.reshape(())
        return np.repeat(values, math.prod(self.shape) // self.groups).reshape(self.shape)

    def scaled(self, synapse: Synapse, scales: Array, exponent: int) -> Array:
        """The weights of one of its synapses in integer steps, not yet rounded."""
        return np.asarray(synapse.op.weight * self.for_rows(scales, synapse) / (1 << exponent))

    def accumulated(self, worst: Array) -> Array:
        """The largest |current| that a summed input of at most `worst` in every step builds up."""
        lost = fixed.DECAY_ONE - int(np.rint(fixed.DECAY_ONE * self.alpha.max()))
        return -(-worst * fixed.DECAY_ONE // lost)


def layer_of(
    graph: Graph, neuron: Node, granularity: str, messages: Mapping[str, Message] | None = None
) -> Layer:
    """The layer `neuron` of a merged graph; `granularity`, one of GRANULARITIES, makes its groups.

    `messages` says what those mean that are no spikes.
    """
    assert isinstance(neuron.op, Lif | Li)
    synapses = synapses_of(graph, neuron.inputs, messages or {})
    apart = granularity == "channel" and isinstance(neuron.op, Lif)
    groups = math.gcd(*(synapse.rows for synapse in synapses)) if apart else 1
    return Layer(neuron, neuron.op, graph.shapes[neuron.name], synapses, groups)


def synapses_of(graph: Graph, names: Sequence[str], messages: Mapping[str, Message]) -> tuple[Synapse, ...]:
    """The synapses that end in the nodes `names` of a merged graph."""
    return tuple(_synapse(graph, _synapse_node(graph, name), messages) for name in names)


def origin(graph: Graph, name: str) -> tuple[str, int]:
    """The layer or input behind reshapes and a delay, and its steps."""
    node = graph[name]
    if node.op.sends or not node.inputs:  # type: ignore[attr-defined]
        return name, 0
    source, lag = origin(graph, node.inputs[0])
    return source, lag + (node.op.steps if isinstance(node.op, Delay) else 0)


def message_bits(node: Node) -> int | None:
    """What an Input carries: 0 spikes, n integers of n bits, None real numbers."""
    return node.op.message_bits  # type: ignore[attr-defined]


def _synapse_node(graph: Graph, name: str) -> Node:
    return graph[graph[name].inputs[0]] if graph[name].op.kind == "Flatten" else graph[name]


def _synapse(graph: Graph, node: Node, messages: Mapping[str, Message]) -> Synapse:
    source, lag = origin(graph, node.inputs[0])
    sent = _sent(graph[source], messages)
    op = node.op
    assert isinstance(op, Linear | Conv2d | Sparse)
    if sent.unit != 1:
        op = op.replace(weight=op.weight * sent.unit)
    return Synapse(node.name, source, op, sent.peak, sent.signed, node.source, lag, exact=sent.exact)


def _sent(source: Node, messages: Mapping[str, Message]) -> Message:
    """What the messages of a layer or an input mean; UnsupportedError where that is not known yet."""
    if source.name in messages:
        return messages[source.name]
    if source.op.spiking:
        return SPIKE
    if source.inputs:
        problem = "the numbers that it sends come back to it round a loop"
        raise UnsupportedError(
            "the chip's integers have no scale for them",
            [Finding(source.source or source.name, problem, "Let spikes come back, or leave the loop out.")],
        )
    bits = message_bits(source) or 0
    return Message(1.0, 1 << max(bits - 1, 0), bits > 0)
