"""Give every layer the chip's integers.

A leaky integrate-and-fire neuron does the same when weights, bias and threshold are multiplied by one
factor, so each neuron has a free scale S: integer current = S * current, and the registers hold 64 S
times the membrane potential (`avnir.numerics.fixed.ALIGN`). What must share a scale is what shares
weights, the channel of a convolution; `granularity` "layer" shares one in the whole layer. S is at most
what keeps

- every weight in its bits: S |w| / 2^e <= 127 for 8 bits, with an exponent e from 0 to 7 for each
  synapse, so that one with small weights into the same layer still uses its bits; all exponents are raised
  together, and S with them, until each S * threshold is whole or FINE, as far as the rest lets them,
- the threshold in 17 bits and the bias in a 13-bit mantissa with an exponent up to 7,
- room in the potential's 24-bit register for all that it can reach, or for REACH thresholds,
- the current free of overflow for every possible input: the worst sum of rounded weights < 2^17; where
  the current decays, what that sum builds up in all time, sum * 4096 / (4096 - kept), with `kept` the
  4096ths that a step keeps.

From there S is the fraction at which the weights lose least by rounding, (S w / 2^e - integer)^2 / S^2
summed, so that weights which are multiples of one step stay what they are; few bits gain by more than the
full S, where the largest weights are clipped. Then a little less, so that S * threshold is whole and the
threshold exact (`scales`). What is left is rounding: of S w / 2^e, of 4096 alpha, of 4096 beta, of 64 S bias,
each to the nearest integer (halves to even); or, given examples, to the integers whose spikes agree best with
the model's (`calibrate`). Layers that send numbers, products among them, have no free scale (`messages`). The
pass notes each, and whether the potential can reach the end of its register.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from avnir.decision import Decision
from avnir.errors import Finding, UnsupportedError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.ir.integer_graded import Readout
from avnir.ir.operation import Array
from avnir.ir.real import Li
from avnir.numerics import fixed
from avnir.passes.note import Note
from avnir.rounding.calibrate import SAME, calibrated, unrounded
from avnir.rounding.examples import Examples
from avnir.rounding.layer_choice import Choices, LayerChoice
from avnir.rounding.messages import message_layer
from avnir.rounding.neuron_layer import SPIKE, Layer, Message, layer_of, message_bits, origin
from avnir.rounding.rounded import Rounded, operations, rounded_nearest
from avnir.rounding.scales import CURRENT_LIMIT, Scales, choose_scales


@dataclass(frozen=True)
class Quantise:
    """The pass of this file, from merged synapses (`merge_synapses`) to the integer level.

    `weight_bits`, 2 to 8, is the width of the weights, sign included; `granularity`, one of
    GRANULARITIES, says which neurons share a scale; `calibration`, example inputs `[T, B, *shape]` by name,
    has the integers chosen by the spikes that they give on them (`calibrate`); with their `labels`, `[B]`,
    data-free ones are kept if those decide more of the samples right, as `decision` reads them. `layers` says
    which layers have weights of another width.
    """

    name: ClassVar[str] = "quantise"
    weight_bits: int = 8
    granularity: str = "channel"
    calibration: Mapping[str, Array] | None = None
    labels: Array | None = None
    decision: Decision = field(default_factory=Decision)
    layers: Choices = field(default_factory=dict)

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        findings = [_real_input(node) for node in graph.inputs if message_bits(node) is None]
        if findings:
            raise UnsupportedError("the chip takes spikes and integers only", findings)
        findings = list(_score_findings(graph, self.decision))
        nodes = [
            Node(n.name, integer.Input(n.op.output_shape(()), message_bits(n) or 0)) for n in graph.inputs
        ]
        notes: list[Note] = []
        messages: dict[str, Message] = {}
        examples = self._examples(graph)
        for node in graph.select(lambda op: op.sends):  # type: ignore[attr-defined]
            try:
                made, told, exact = self._layer(graph, node, messages, self._largest(node), examples)
            except UnsupportedError as error:
                findings += error.findings
                messages[node.name] = SPIKE  # so that the layers behind it are asked too
                continue
            nodes += made
            notes += [Note(self.name, node.name, text, exact=exact) for text in told]
        if findings:
            raise UnsupportedError("these neurons have no form in the chip's integers", findings)
        if examples is not None and (decided := _decided(examples)):
            if decided.declined:
                plain, account = replace(self, calibration=None, labels=None)(graph)
                return plain, [decided, *account]
            notes.append(decided)
        notes += self._labels_unused(graph)
        for out in graph.outputs:
            shape = graph.shapes[out.name]
            nodes.append(
                Node(out.name, integer.Output(shape), (origin(graph, out.inputs[0])[0],), out.source)
            )
        return graph.with_nodes(nodes, level="integer"), notes

    def _largest(self, node: Node) -> int:
        """The largest magnitude of the weights into a layer."""
        bits = self.layers.get(node.name, LayerChoice()).weight_bits or self.weight_bits
        return (1 << (bits - 1)) - 1

    def _examples(self, graph: Graph) -> Examples | None:
        """What calibration looks at."""
        if self.calibration is None:
            return None
        return Examples.of(graph, self.calibration, self.labels, self.decision)

    def _labels_unused(self, graph: Graph) -> Iterator[Note]:
        """Where the host weighs the steps, a class is not read from the sum of what one layer sends."""
        if self.calibration is not None and self.labels is not None and self.decision.scores is not None:
            text = f"labels take no part: the host weighs the steps by {self.decision.scores}"
            yield Note(self.name, self.decision.read(node.name for node in graph.outputs), text)

    def _layer(
        self,
        graph: Graph,
        node: Node,
        messages: dict[str, Message],
        largest: int,
        examples: Examples | None,
    ) -> tuple[list[Node], Iterable[str], bool | None]:
        """The layer's connections and neurons in integers, what to tell, and whether its numbers are exact.

        Its messages join `messages`; of a layer that spikes there are none, and the last is None. Raises
        UnsupportedError with what has no form in integers.
        """
        if not node.op.stateful:
            made, messages[node.name], account = message_layer(graph, node, messages, largest)
            return made, account, messages[node.name].exact
        layer = layer_of(graph, node, self.granularity, messages)
        if findings := list(_neuron_findings(layer, largest)):
            raise UnsupportedError("this layer has no form in the chip's integers", findings)
        layer, chosen, told = self._chosen(layer, largest, examples)
        made = list(operations(layer, chosen))
        messages |= _potentials(made[-1])
        return made, [*told, *_account(layer, chosen, made[-1])], _exact(layer, chosen, made[-1])

    def _chosen(
        self, layer: Layer, largest: int, examples: Examples | None
    ) -> tuple[Layer, Rounded, tuple[str, ...]]:
        """The layer, its integers, and what calibration has to tell about them."""
        scales = choose_scales(layer, largest)
        if isinstance(layer.op, Li):
            return layer, rounded_nearest(layer, scales, largest), ("a read-out: its potentials are sent",)
        if examples is None:
            return layer, rounded_nearest(layer, scales, largest), ()
        if any(synapse.source not in examples.real for synapse in layer.synapses):
            told = ("not calibrated: numbers feed it, not spikes",)
            return layer, rounded_nearest(layer, scales, largest), told
        return calibrated(layer, scales, largest, examples)


def _decided(examples: Examples) -> Note | None:
    """How many samples the integers decide right; declined where data-free ones decide more so."""
    free, chosen = examples.right(examples.free), examples.right(examples.arrived)
    if free is None or chosen is None:
        return None
    judging = len(range(examples.extent[1])[examples.halves[1]])
    text = f"of {judging} judging samples {chosen} are decided right, {free} with data-free integers"
    if free > chosen:
        return Note(Quantise.name, examples.decides, f"not calibrated: {text}", declined=True)
    return Note(Quantise.name, examples.decides, text)


def _potentials(node: Node) -> dict[str, Message]:
    """What the messages of a read-out mean to those that it feeds: its potential in 64ths of its scale."""
    if not isinstance(node.op, Readout):
        return {}
    unit = 1 / (float(node.op.scale.max()) * (1 << fixed.ALIGN))
    return {node.name: Message(unit, fixed.STATE_LIMIT, True)}


def _exact(layer: Layer, chosen: Rounded, node: Node) -> bool | None:
    """Whether a read-out's potentials are the model's: nothing is rounded, at once or by a decay."""
    made = node.op
    if not isinstance(made, Readout):
        return None
    kept = np.isin(made.decay_v, (0, fixed.DECAY_ONE)) & (made.decay_u == fixed.CURRENT_DECAY.high)
    bias = (made.bias_mantissa << made.bias_exponent) / (made.scale * (1 << fixed.ALIGN))
    return unrounded(layer, chosen) and bool(kept.all()) and np.allclose(bias, layer.bias, rtol=SAME, atol=0)


def _score_findings(graph: Graph, decision: Decision) -> Iterator[Finding]:
    """The host must know what one step of a score is in the model: that of a spike, or of a read-out."""
    if decision.scores is None:
        return
    layer = graph[origin(graph, graph[decision.scores].inputs[0])[0]]
    if not layer.op.stateful:
        yield Finding(
            layer.source or layer.name,
            f"the host weighs the steps by its numbers, as {decision.scores!r}, and their unit is not kept",
            "Let them pass through a Linear layer.",
        )


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
    widest = max(synapse.peak for synapse in layer.synapses)
    if op.alpha is None and widest > 1 and _vanishes(layer, choose_scales(layer, largest), largest):
        yield Finding(
            place,
            f"messages of up to {widest} reach it, so large that only weights or a threshold rounded to 0 "
            "would never overflow the current's 24 bits",
            "Divide them further in front of it, or sum fewer of them.",
        )


def _vanishes(layer: Layer, chosen: Scales, largest: int) -> bool:
    """Whether a synapse that has weights, or a threshold above 0, rounds to nothing at this scale."""
    nearest = rounded_nearest(layer, chosen, largest)
    if np.any((layer.threshold > 0) & (nearest.threshold == 0)):
        return True
    pairs = zip(layer.synapses, nearest.weights, strict=True)
    return any(np.any(synapse.op.weight) and not weight.any() for synapse, weight in pairs)


def _account(layer: Layer, chosen: Rounded, made: Node) -> Iterator[str]:
    """What rounding did, in words with numbers."""
    lif: integer.Lif | Readout = made.op  # type: ignore[assignment]
    scales = chosen.scales
    for synapse, weight, exponent in zip(layer.synapses, chosen.weights, scales.exponents, strict=True):
        exact = synapse.op.weight * layer.for_rows(scales.values, synapse)
        error = math.sqrt(float(np.mean((weight * 2.0**exponent - exact) ** 2)))
        size = math.sqrt(float(np.mean(exact**2))) or 1.0
        yield f"weights of {synapse.name}: rms error {100 * error / size:.2f} % (exponent {exponent})"
    decay = np.abs((fixed.DECAY_ONE - lif.decay_v) / fixed.DECAY_ONE - layer.op.beta).max()
    kept = (fixed.CURRENT_DECAY.high - lif.decay_u) / fixed.DECAY_ONE
    bias = np.abs((lif.bias_mantissa << lif.bias_exponent) / (64 * lif.scale) - layer.bias).max()
    yield (
        f"scale {_range(scales.values)}; {_threshold_account(layer, lif)}"
        f"decay off by {max(decay, np.abs(kept - layer.alpha).max()):.3g}; bias off by {bias:.3g}"
    )
    worst = chosen.worst_sum(layer)
    highest = int(layer.accumulated(worst).max())
    built_up = "" if layer.op.alpha is None else f", in all time {highest}"
    yield f"overflow of the current is impossible: worst sum {int(worst.max())}{built_up} < {CURRENT_LIMIT}"
    yield _potential_account(lif, highest)


def _range(values: Array) -> str:
    low, high = values.min(), values.max()
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _threshold_account(layer: Layer, lif: integer.Lif | Readout) -> str:
    if isinstance(lif, Readout):
        return ""
    off = np.abs(lif.threshold / lif.scale - layer.threshold).max()
    return f"threshold {_range(lif.threshold)}, off by {off:.3g}; "


def _potential_account(lif: integer.Lif | Readout, worst: int) -> str:
    step = (worst << fixed.ALIGN) + int(np.abs(lif.bias_mantissa).max() << lif.bias_exponent)
    lost = int(lif.decay_v.min())
    highest = step * fixed.DECAY_ONE / lost if lost else math.inf
    if highest < fixed.STATE_LIMIT:
        return (
            f"the potential cannot reach the end of its register: at most {highest:.0f} < {fixed.STATE_LIMIT}"
        )
    if isinstance(lif, Readout):
        away = f"{fixed.STATE_LIMIT / (64 * float(lif.scale.max())):.4g} away in the model's units"
    else:
        away = f"{fixed.STATE_LIMIT / (64 * max(int(lif.threshold.max()), 1)):.0f} thresholds away"
    return f"an extreme input could drive the potential to the end of its register, {away}"
