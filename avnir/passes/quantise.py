"""Give every layer the chip's integers.

A leaky integrate-and-fire neuron does the same when weights, bias and threshold are multiplied by one
factor, so each layer has a free scale S: integer current = S * current, and the registers hold 64 S
times the membrane potential (`avnir.numerics.fixed.ALIGN`). S is the largest that keeps

- every weight in its bits: S |w| / 2^e <= 127 for 8 bits, with an exponent e from 0 to 7 for each
  synapse, so that one with small weights into the same layer still uses its bits,
- the threshold in 17 bits and the bias in a 13-bit mantissa with an exponent up to 7,
- the current free of overflow for every possible input: the worst sum of rounded weights < 2^17; where
  the current decays, what that sum builds up in all time, sum * 4096 / (4096 - kept), with `kept` the
  4096ths that a step keeps,

and then a little less, so that S * threshold is whole and the threshold exact. What is left is
rounding: of S w / 2^e, of 4096 alpha, of 4096 beta, of 64 S bias, each to the nearest integer (halves
to even). The pass notes each, and whether the potential can reach the end of its register.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Conv2d, Delay, Lif, Linear
from avnir.numerics import fixed
from avnir.passes.note import Note

CURRENT_LIMIT = fixed.STATE_LIMIT >> fixed.ALIGN
"""2^17: a summed input of this size overflows the 24-bit current."""


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

    @property
    def largest(self) -> float:
        return float(np.abs(self.op.weight).max())

    def worst(self, weight: Array) -> Array:
        """The largest |sum| of `weight` per row, over all inputs; binary messages add one sign only."""
        rows = weight.reshape(len(weight), -1)
        plus, minus = np.where(rows > 0, rows, 0).sum(axis=1), np.where(rows < 0, -rows, 0).sum(axis=1)
        return self.peak * (plus + minus if self.signed else np.maximum(plus, minus))


@dataclass(frozen=True)
class Layer:
    """One neuron layer of a merged graph with the synapses into it."""

    node: Node
    op: Lif
    shape: Shape
    synapses: tuple[Synapse, ...]

    @property
    def bias(self) -> Array:
        return np.zeros(()) if self.op.bias is None else self.op.bias

    @property
    def alpha(self) -> Array:
        return np.zeros(()) if self.op.alpha is None else self.op.alpha

    def accumulated(self, worst: int) -> int:
        """The largest |current| that a summed input of at most `worst` in every step builds up."""
        lost = fixed.DECAY_ONE - int(np.rint(fixed.DECAY_ONE * self.alpha.max()))
        return -(-worst * fixed.DECAY_ONE // lost)


@dataclass(frozen=True)
class Quantise:
    """The pass of this file, from merged synapses (`merge_synapses`) to the integer level.

    `weight_bits`, 2 to 8, is the width of the weights, sign included.
    """

    name: ClassVar[str] = "quantise"
    weight_bits: int = 8

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        findings = [_real_input(node) for node in graph.inputs if _message_bits(node) is None]
        if findings:
            raise UnsupportedError("the chip takes spikes and integers only", findings)
        largest = (1 << (self.weight_bits - 1)) - 1
        layers = [_layer(graph, neuron) for neuron in graph.neurons]
        findings = [finding for layer in layers for finding in _neuron_findings(layer, largest)]
        if findings:
            raise UnsupportedError("these neurons have no form in the chip's integers", findings)
        nodes = [
            Node(n.name, integer.Input(n.op.output_shape(()), _message_bits(n) or 0)) for n in graph.inputs
        ]
        notes: list[Note] = []
        for layer in layers:
            made = list(_integers(layer, choose_scale(layer, largest), largest))
            nodes += made
            notes += [Note(self.name, layer.node.name, text) for text in _account(layer, made)]
        for out in graph.outputs:
            shape = graph.shapes[out.name]
            nodes.append(
                Node(out.name, integer.Output(shape), (_origin(graph, out.inputs[0])[0],), out.source)
            )
        return graph.with_nodes(nodes, level="integer"), notes


def choose_scale(layer: Layer, largest: int) -> float:
    """S of the layer, `largest` the largest weight magnitude; the rule is in the module's docstring."""
    used = [synapse.largest for synapse in layer.synapses if synapse.largest > 0] or [1.0]
    threshold = layer.op.threshold
    bias_limit = (fixed.BIAS_MANTISSA.high << fixed.BIAS_EXPONENT.high) / (1 << fixed.ALIGN)
    scale = min(
        largest / min(used),
        (largest << fixed.WEIGHT_EXPONENT.high) / max(used),
        _ratio(fixed.THRESHOLD.high, float(threshold.max())),
        _ratio(bias_limit, float(np.abs(layer.bias).max())),
    )
    scale = _whole_threshold(scale, threshold)
    while (worst := layer.accumulated(_worst_sum(layer, scale, largest))) >= CURRENT_LIMIT:
        scale = _whole_threshold(scale * (CURRENT_LIMIT - 1) / worst, threshold)
    return scale


def _ratio(limit: float, value: float) -> float:
    return limit / value if value > 0 else math.inf


def _whole_threshold(scale: float, threshold: Array) -> float:
    """The next scale down with an integer S * threshold, where one threshold serves the whole layer."""
    one = float(threshold.flat[0])
    if scale * one < 1 or np.any(threshold != one):
        return scale
    return math.floor(scale * one) / one


def _worst_sum(layer: Layer, scale: float, largest: int) -> int:
    """The largest |summed input| of the rounded layer, over all inputs; an upper bound over its synapses."""
    total = 0
    for synapse in layer.synapses:
        weight, exponent = _weight(synapse, scale, largest)
        total += int(synapse.worst(weight.astype(np.int64)).max()) << exponent
    return total


def _weight(synapse: Synapse, scale: float, largest: int) -> tuple[Array, int]:
    """The rounded weights, int8, and their exponent."""
    exponent = 0
    while scale * synapse.largest / (1 << exponent) > largest * (1 + 1e-12):
        exponent += 1
    rounded = np.rint(synapse.op.weight * (scale / (1 << exponent)))
    return np.clip(rounded, -largest, largest).astype(np.int8), exponent


def _bias(layer: Layer, scale: float) -> tuple[Array, int]:
    """The mantissa, int32, and the smallest exponent that holds it."""
    wanted = layer.bias * scale * (1 << fixed.ALIGN)
    exponent = 0
    while not fixed.BIAS_MANTISSA.holds(np.rint(wanted / (1 << exponent))):
        exponent += 1
    return np.rint(wanted / (1 << exponent)).astype(np.int32), exponent


def _integers(layer: Layer, scale: float, largest: int) -> Iterator[Node]:
    for synapse in layer.synapses:
        weight, exponent = _weight(synapse, scale, largest)
        yield Node(synapse.name, _connection(synapse, weight, exponent), (synapse.source,), synapse.place)
    mantissa, bias_exponent = _bias(layer, scale)
    decay = (fixed.DECAY_ONE - np.rint(fixed.DECAY_ONE * layer.op.beta)).astype(np.int32)
    current_decay = (fixed.CURRENT_DECAY.high - np.rint(fixed.DECAY_ONE * layer.alpha)).astype(np.int32)
    lif = integer.Lif(
        shape=layer.shape,
        decay_u=_to_shape(current_decay, layer.shape),
        decay_v=_to_shape(decay, layer.shape),
        threshold=_to_shape(np.rint(layer.op.threshold * scale).astype(np.int32), layer.shape),
        bias_mantissa=_to_shape(mantissa, layer.shape),
        bias_exponent=bias_exponent,
        reset=layer.op.reset,
        scale=scale,
    )
    yield Node(layer.node.name, lif, tuple(s.name for s in layer.synapses), layer.node.source)


def _connection(synapse: Synapse, weight: Array, exponent: int) -> integer.Connection:
    op = synapse.op
    if isinstance(op, Linear):
        return integer.Dense(weight, exponent, lag=synapse.lag)
    window = {name: getattr(op, name) for name in ("stride", "padding", "dilation", "groups")}
    return integer.Conv(weight, exponent, lag=synapse.lag, **window)


def _to_shape(values: Array, shape: Shape) -> Array:
    """0-d where all are equal, else one value per neuron."""
    if np.all(values == values.flat[0]):
        return np.array(values.flat[0], values.dtype)
    return np.broadcast_to(values, shape).copy()


def _layer(graph: Graph, neuron: Node) -> Layer:
    assert isinstance(neuron.op, Lif)
    synapses = tuple(_synapse(graph, _synapse_node(graph, name)) for name in neuron.inputs)
    return Layer(neuron, neuron.op, graph.shapes[neuron.name], synapses)


def _synapse_node(graph: Graph, name: str) -> Node:
    return graph[graph[name].inputs[0]] if graph[name].op.kind == "Flatten" else graph[name]


def _synapse(graph: Graph, node: Node) -> Synapse:
    source, lag = _origin(graph, node.inputs[0])
    bits = 0 if graph[source].op.spiking else _message_bits(graph[source]) or 0
    assert isinstance(node.op, Linear | Conv2d)
    return Synapse(node.name, source, node.op, 1 << max(bits - 1, 0), bits > 0, node.source, lag)


def _origin(graph: Graph, name: str) -> tuple[str, int]:
    """The layer or input behind reshapes and a delay, and its steps."""
    node = graph[name]
    if node.op.spiking or not node.inputs:
        return name, 0
    source, lag = _origin(graph, node.inputs[0])
    return source, lag + (node.op.steps if isinstance(node.op, Delay) else 0)


def _message_bits(node: Node) -> int | None:
    return node.op.message_bits  # type: ignore[attr-defined]


def _real_input(node: Node) -> Finding:
    return Finding(
        node.source or node.name,
        "this input carries real numbers",
        "Encode it as spikes (0 or 1 each step), or as integers, before the network.",
    )


def _neuron_findings(layer: Layer, largest: int) -> Iterator[Finding]:
    place, op = layer.node.source or layer.node.name, layer.op
    if op.alpha is not None and np.rint(fixed.DECAY_ONE * op.alpha.max()) == fixed.DECAY_ONE:
        yield Finding(
            place,
            f"alpha = {float(op.alpha.max()):.6g} rounds to 1 in 12 bits, a current that never decays",
            f"Use an alpha of at most {fixed.CURRENT_DECAY.high / fixed.DECAY_ONE:.6f}.",
        )
    elif op.alpha is not None and _vanishes(layer, choose_scale(layer, largest), largest):
        yield Finding(
            place,
            f"with alpha = {float(op.alpha.max()):.6g} its current builds up so far that only weights or a "
            "threshold rounded to 0 would never overflow its 24 bits",
            "Use a smaller alpha, or fewer inputs to each neuron.",
        )


def _vanishes(layer: Layer, scale: float, largest: int) -> bool:
    """Whether a synapse that has weights, or a threshold above 0, rounds to nothing at this scale."""
    weights = any(s.largest > 0 and not _weight(s, scale, largest)[0].any() for s in layer.synapses)
    return weights or bool(np.any((layer.op.threshold > 0) & (np.rint(layer.op.threshold * scale) == 0)))


def _account(layer: Layer, made: list[Node]) -> Iterator[str]:
    """What rounding did, in words with numbers."""
    lif: integer.Lif = made[-1].op  # type: ignore[assignment]
    scale = lif.scale
    for synapse, node in zip(layer.synapses, made, strict=False):
        op: integer.Connection = node.op  # type: ignore[assignment]
        exact = synapse.op.weight * (scale / (1 << op.exponent))
        error = math.sqrt(float(np.mean((op.weight - exact) ** 2)))
        size = math.sqrt(float(np.mean(exact**2))) or 1.0
        yield f"weights of {synapse.name}: rms error {100 * error / size:.2f} % (exponent {op.exponent})"
    threshold = np.abs(lif.threshold - layer.op.threshold * scale).max()
    decay = np.abs((fixed.DECAY_ONE - lif.decay_v) / fixed.DECAY_ONE - layer.op.beta).max()
    kept = (fixed.CURRENT_DECAY.high - lif.decay_u) / fixed.DECAY_ONE
    bias = np.abs((lif.bias_mantissa << lif.bias_exponent) / (64 * scale) - layer.bias).max()
    yield (
        f"scale {scale:.6g}; threshold {int(lif.threshold.max())}, off by {threshold / scale:.3g}; "
        f"decay off by {max(decay, np.abs(kept - layer.alpha).max()):.3g}; bias off by {bias:.3g}"
    )
    worst = sum(
        int(s.worst(n.op.weight.astype(np.int64)).max()) << n.op.exponent  # type: ignore[attr-defined]
        for s, n in zip(layer.synapses, made, strict=False)
    )
    highest = layer.accumulated(worst)
    built_up = "" if layer.op.alpha is None else f", in all time {highest}"
    yield f"overflow of the current is impossible: worst sum {worst}{built_up} < {CURRENT_LIMIT}"
    yield _potential_account(lif, highest)


def _potential_account(lif: integer.Lif, worst: int) -> str:
    step = (worst << fixed.ALIGN) + int(np.abs(lif.bias_mantissa).max() << lif.bias_exponent)
    lost = int(lif.decay_v.min())
    highest = step * fixed.DECAY_ONE / lost if lost else math.inf
    if highest < fixed.STATE_LIMIT:
        return (
            f"the potential cannot reach the end of its register: at most {highest:.0f} < {fixed.STATE_LIMIT}"
        )
    reach = fixed.STATE_LIMIT / (64 * max(int(lif.threshold.max()), 1))
    return (
        f"an extreme input could drive the potential to the end of its register, {reach:.0f} thresholds away"
    )
