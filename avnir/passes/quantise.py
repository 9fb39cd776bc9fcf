"""Give every layer the chip's integers.

A leaky integrate-and-fire neuron does the same when weights, bias and threshold are multiplied by one
factor, so each neuron has a free scale S: integer current = S * current, and the registers hold 64 S
times the membrane potential (`avnir.numerics.fixed.ALIGN`). What must share a scale is what shares
weights, the channel of a convolution; `granularity` "layer" shares one in the whole layer. S is at most
what keeps

- every weight in its bits: S |w| / 2^e <= 127 for 8 bits, with an exponent e from 0 to 7 for each
  synapse, so that one with small weights into the same layer still uses its bits,
- the threshold in 17 bits and the bias in a 13-bit mantissa with an exponent up to 7,
- room in the potential's 24-bit register for all that it can reach, or for REACH thresholds,
- the current free of overflow for every possible input: the worst sum of rounded weights < 2^17; where
  the current decays, what that sum builds up in all time, sum * 4096 / (4096 - kept), with `kept` the
  4096ths that a step keeps,

From there S is the fraction at which the weights lose least by rounding, (S w / 2^e - integer)^2 / S^2
summed, so that weights which are multiples of one step stay what they are; few bits gain by more than the
full S, where the largest weights are clipped. Then a little less, so that S * threshold is whole and the
threshold exact. What is left is rounding: of S w / 2^e, of 4096 alpha, of 4096 beta, of 64 S bias, each to
the nearest integer (halves to even). The pass notes each, and whether the potential can reach the end of
its register.
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
GRANULARITIES = ("channel", "layer")
REACH = 16
"""Thresholds, upwards and downwards, that the potential's register has room for at least."""
CLIPPED = np.geomspace(1, 4, 33)[1:]
"""Fractions above 1 that are tried: the largest weight is clipped to a quarter at most."""
FEW = 31
"""Magnitudes of a weight up to which clipping is tried: 6 bits. With more, rounding costs less than it."""
SAMPLED = 256
"""Weights of a row, evenly spread, by which the fractions are judged."""


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
    """One neuron layer of a merged graph with the synapses into it; `groups` of neurons share a scale."""

    node: Node
    op: Lif
    shape: Shape
    synapses: tuple[Synapse, ...]
    groups: int

    @property
    def bias(self) -> Array:
        return np.zeros(()) if self.op.bias is None else self.op.bias

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

    def accumulated(self, worst: Array) -> Array:
        """The largest |current| that a summed input of at most `worst` in every step builds up."""
        lost = fixed.DECAY_ONE - int(np.rint(fixed.DECAY_ONE * self.alpha.max()))
        return -(-worst * fixed.DECAY_ONE // lost)


@dataclass(frozen=True)
class Quantise:
    """The pass of this file, from merged synapses (`merge_synapses`) to the integer level.

    `weight_bits`, 2 to 8, is the width of the weights, sign included; `granularity`, one of
    GRANULARITIES, says which neurons share a scale.
    """

    name: ClassVar[str] = "quantise"
    weight_bits: int = 8
    granularity: str = "channel"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        findings = [_real_input(node) for node in graph.inputs if _message_bits(node) is None]
        if findings:
            raise UnsupportedError("the chip takes spikes and integers only", findings)
        largest = (1 << (self.weight_bits - 1)) - 1
        layers = [_layer(graph, neuron, self.granularity) for neuron in graph.neurons]
        findings = [finding for layer in layers for finding in _neuron_findings(layer, largest)]
        if findings:
            raise UnsupportedError("these neurons have no form in the chip's integers", findings)
        nodes = [
            Node(n.name, integer.Input(n.op.output_shape(()), _message_bits(n) or 0)) for n in graph.inputs
        ]
        notes: list[Note] = []
        for layer in layers:
            scales = choose_scales(layer, largest)
            made = list(_integers(layer, scales, largest))
            nodes += made
            notes += [Note(self.name, layer.node.name, text) for text in _account(layer, scales.values, made)]
        for out in graph.outputs:
            shape = graph.shapes[out.name]
            nodes.append(
                Node(out.name, integer.Output(shape), (_origin(graph, out.inputs[0])[0],), out.source)
            )
        return graph.with_nodes(nodes, level="integer"), notes


@dataclass(frozen=True)
class Scales:
    """S of each group, `[groups]`, and the exponent of each synapse."""

    values: Array
    exponents: tuple[int, ...]

    def times(self, factors: Array | float, limit: Array) -> Scales:
        """Each S by its factor, up to its limit."""
        return Scales(np.minimum(self.values * factors, limit), self.exponents)


def choose_scales(layer: Layer, largest: int) -> Scales:
    """The scales by the rule in the module's docstring; `largest` magnitude of a weight."""
    bias_limit = (fixed.BIAS_MANTISSA.high << fixed.BIAS_EXPONENT.high) / (1 << fixed.ALIGN)
    limit = np.minimum.reduce(
        [
            _ratio(fixed.THRESHOLD.high, layer.per_neuron(layer.op.threshold)),
            _ratio(bias_limit, layer.per_neuron(layer.bias)),
            _ratio(CURRENT_LIMIT, _reached(layer)),
        ]
    )
    full = np.minimum(_weight_limit(layer, largest), limit)
    full = np.where(np.isfinite(full), full, 1.0)
    sizes = [float((layer.per_row(s.op.weight) * full).max()) for s in layer.synapses]
    scales = Scales(full, tuple(_exponent(size, largest) for size in sizes))
    scales = _whole_thresholds(layer, _least_lost(layer, scales, limit, largest))
    while np.any((worst := layer.accumulated(_worst_sum(layer, scales, largest))) >= CURRENT_LIMIT):
        smaller = (CURRENT_LIMIT - 1) / np.maximum(worst, CURRENT_LIMIT - 1)
        scales = _whole_thresholds(layer, scales.times(smaller, limit))
    return scales


def _least_lost(layer: Layer, full: Scales, limit: Array, largest: int) -> Scales:
    """The scales at which rounding loses least, among fractions of the full ones; the largest of equals."""
    fractions = [k / largest for k in range(largest, largest // 2, -1)]
    fractions += list(CLIPPED) if largest <= FEW else []
    best, least = full, np.full(layer.groups, math.inf)
    for fraction in fractions:
        tried = full.times(fraction, limit)
        lost = _lost(layer, tried, largest)
        better = lost < least * (1 - 1e-9)
        best = Scales(np.where(better, tried.values, best.values), full.exponents)
        least = np.where(better, lost, least)
    return best


def _lost(layer: Layer, scales: Scales, largest: int) -> Array:
    """The squared rounding error of the sampled weights, in units of the model, `[groups]`."""
    total = np.zeros(layer.groups)
    for synapse, exponent in zip(layer.synapses, scales.exponents, strict=True):
        rows = synapse.op.weight.reshape(len(synapse.op.weight), -1)
        rows = rows[:, :: max(1, rows.shape[1] // SAMPLED)]
        scaled = rows * layer.for_rows(scales.values, rows) / (1 << exponent)
        error = (scaled - np.clip(np.rint(scaled), -largest, largest)) * (1 << exponent)
        total += (error**2).reshape(layer.groups, -1).sum(axis=1)
    return total / scales.values**2


def _ratio(limit: float, values: Array) -> Array:
    return np.divide(limit, values, out=np.full(values.shape, math.inf), where=values > 0)


def _weight_limit(layer: Layer, largest: int) -> Array:
    """The scales at which the synapse with the smallest weights uses all its bits without an exponent."""
    used = [float(np.abs(s.op.weight).max()) for s in layer.synapses if np.any(s.op.weight)] or [1.0]
    common = min(largest / min(used), (largest << fixed.WEIGHT_EXPONENT.high) / max(used))
    scales = np.full(layer.groups, common)
    limits = [
        _ratio(
            largest << _exponent(common * float(np.abs(s.op.weight).max()), largest),
            layer.per_row(s.op.weight),
        )
        for s in layer.synapses
    ]
    return np.minimum.reduce(limits) if limits else scales


def _exponent(weight: float, largest: int) -> int:
    """The smallest exponent with which a weight of this size fits its bits."""
    exponent = 0
    while weight / (1 << exponent) > largest * (1 + 1e-12):
        exponent += 1
    return exponent


def _reached(layer: Layer) -> Array:
    """How far from 0 the potential can get, `[groups]`; no further than REACH thresholds, if there is one."""
    step = np.sum([layer.per_row(s.worst(s.op.weight)) for s in layer.synapses], axis=0)
    if layer.op.alpha is not None:
        step = _ratio(1.0, np.full(1, 1 - float(layer.alpha.max()))) * step
    lost = 1 - float(layer.op.beta.max())
    highest = _ratio(1.0, np.full(1, lost)) * (step + layer.per_neuron(layer.bias))
    enough = REACH * layer.per_neuron(layer.op.threshold)
    return np.where(enough > 0, np.minimum(highest, enough), np.where(np.isfinite(highest), highest, 0))


def _whole_thresholds(layer: Layer, scales: Scales) -> Scales:
    """The next scales down with an integer S * threshold, where one threshold serves a whole group."""
    thresholds = np.broadcast_to(layer.op.threshold, layer.shape).reshape(layer.groups, -1)
    one, values = thresholds[:, 0], scales.values
    exact = np.all(thresholds == thresholds[:, :1], axis=1) & (values * one >= 1)
    whole = np.floor(values * one * (1 + 1e-12))
    return Scales(np.divide(whole, one, out=values.copy(), where=exact), scales.exponents)


def _worst_sum(layer: Layer, scales: Scales, largest: int) -> Array:
    """The largest |summed input| of the rounded layer over all inputs, int64 `[groups]`; an upper bound."""
    total = np.zeros(layer.groups, np.int64)
    for synapse, exponent in zip(layer.synapses, scales.exponents, strict=True):
        weight = _weight(layer, synapse, scales.values, exponent, largest).astype(np.int64)
        total += layer.per_row(synapse.worst(weight)) << exponent
    return total


def _weight(layer: Layer, synapse: Synapse, scales: Array, exponent: int, largest: int) -> Array:
    """The rounded weights, int8."""
    exact = synapse.op.weight * layer.for_rows(scales, synapse.op.weight)
    return np.clip(np.rint(exact / (1 << exponent)), -largest, largest).astype(np.int8)


def _bias(layer: Layer, scales: Array) -> tuple[Array, int]:
    """The mantissa, int32, and the smallest exponent that holds it."""
    wanted = layer.bias * layer.for_neurons(scales) * (1 << fixed.ALIGN)
    exponent = 0
    while not fixed.BIAS_MANTISSA.holds(np.rint(wanted / (1 << exponent))):
        exponent += 1
    return np.rint(wanted / (1 << exponent)).astype(np.int32), exponent


def _integers(layer: Layer, chosen: Scales, largest: int) -> Iterator[Node]:
    scales = chosen.values
    for synapse, exponent in zip(layer.synapses, chosen.exponents, strict=True):
        weight = _weight(layer, synapse, scales, exponent, largest)
        yield Node(synapse.name, _connection(synapse, weight, exponent), (synapse.source,), synapse.place)
    mantissa, bias_exponent = _bias(layer, scales)
    decay = (fixed.DECAY_ONE - np.rint(fixed.DECAY_ONE * layer.op.beta)).astype(np.int32)
    current_decay = (fixed.CURRENT_DECAY.high - np.rint(fixed.DECAY_ONE * layer.alpha)).astype(np.int32)
    threshold = np.rint(layer.op.threshold * layer.for_neurons(scales)).astype(np.int32)
    lif = integer.Lif(
        shape=layer.shape,
        decay_u=_to_shape(current_decay, layer.shape),
        decay_v=_to_shape(decay, layer.shape),
        threshold=_to_shape(threshold, layer.shape),
        bias_mantissa=_to_shape(mantissa, layer.shape),
        bias_exponent=bias_exponent,
        reset=layer.op.reset,
        scale=_to_shape(layer.for_neurons(scales), layer.shape),
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


def _layer(graph: Graph, neuron: Node, granularity: str) -> Layer:
    assert isinstance(neuron.op, Lif)
    synapses = tuple(_synapse(graph, _synapse_node(graph, name)) for name in neuron.inputs)
    groups = math.gcd(*(len(s.op.weight) for s in synapses)) if granularity == "channel" else 1
    return Layer(neuron, neuron.op, graph.shapes[neuron.name], synapses, groups)


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
    elif op.alpha is not None and _vanishes(layer, choose_scales(layer, largest), largest):
        yield Finding(
            place,
            f"with alpha = {float(op.alpha.max()):.6g} its current builds up so far that only weights or a "
            "threshold rounded to 0 would never overflow its 24 bits",
            "Use a smaller alpha, or fewer inputs to each neuron.",
        )


def _vanishes(layer: Layer, chosen: Scales, largest: int) -> bool:
    """Whether a synapse that has weights, or a threshold above 0, rounds to nothing at this scale."""
    threshold, scales = layer.op.threshold, chosen.values
    if np.any((threshold > 0) & (np.rint(threshold * layer.for_neurons(scales)) == 0)):
        return True
    pairs = zip(layer.synapses, chosen.exponents, strict=True)
    return any(np.any(s.op.weight) and not _weight(layer, s, scales, e, largest).any() for s, e in pairs)


def _account(layer: Layer, scales: Array, made: list[Node]) -> Iterator[str]:
    """What rounding did, in words with numbers."""
    lif: integer.Lif = made[-1].op  # type: ignore[assignment]
    for synapse, node in zip(layer.synapses, made, strict=False):
        op: integer.Connection = node.op  # type: ignore[assignment]
        exact = synapse.op.weight * layer.for_rows(scales, synapse.op.weight)
        error = math.sqrt(float(np.mean((op.weight * 2.0**op.exponent - exact) ** 2)))
        size = math.sqrt(float(np.mean(exact**2))) or 1.0
        yield f"weights of {synapse.name}: rms error {100 * error / size:.2f} % (exponent {op.exponent})"
    threshold = np.abs(lif.threshold / lif.scale - layer.op.threshold).max()
    decay = np.abs((fixed.DECAY_ONE - lif.decay_v) / fixed.DECAY_ONE - layer.op.beta).max()
    kept = (fixed.CURRENT_DECAY.high - lif.decay_u) / fixed.DECAY_ONE
    bias = np.abs((lif.bias_mantissa << lif.bias_exponent) / (64 * lif.scale) - layer.bias).max()
    yield (
        f"scale {_range(scales)}; threshold {_range(lif.threshold)}, off by {threshold:.3g}; "
        f"decay off by {max(decay, np.abs(kept - layer.alpha).max()):.3g}; bias off by {bias:.3g}"
    )
    worst = _worst_of(layer, made)
    highest = int(layer.accumulated(worst).max())
    built_up = "" if layer.op.alpha is None else f", in all time {highest}"
    yield f"overflow of the current is impossible: worst sum {int(worst.max())}{built_up} < {CURRENT_LIMIT}"
    yield _potential_account(lif, highest)


def _worst_of(layer: Layer, made: list[Node]) -> Array:
    """The largest |summed input| of the integers as made, int64 `[groups]`."""
    sums = [
        layer.per_row(s.worst(n.op.weight.astype(np.int64))) << n.op.exponent  # type: ignore[attr-defined]
        for s, n in zip(layer.synapses, made, strict=False)
    ]
    return np.asarray(np.sum(sums, axis=0, dtype=np.int64))


def _range(values: Array) -> str:
    low, high = values.min(), values.max()
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


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
