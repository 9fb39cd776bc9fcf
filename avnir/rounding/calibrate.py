"""Choose a layer's integers by the spikes that they give on example inputs.

The layers are taken in order. Each sees what really arrives, the spikes of the integer layers before it, and
is judged by the spikes of the real graph's own layer: in how many slots (neuron x step x sample) they
differ. Every other sample judges; feedback takes its moments from the rest, so that weights which suit only
the samples that they were made for are not chosen. Candidates differ in

- the scale: the data-free one (`scales`) times FRACTIONS,
- the weights: each to the nearest integer, or by feedback (`rounding`),
- the bias: the layer's own, or moved so that the mean error of the current over the data vanishes
  (M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-free quantization through weight equalization
  and bias correction", ICCV 2019, arXiv 1906.04721, section 4.2); not where there is a synaptic current,
- the threshold: the nearest integer, and then one lower or one higher.

Each group of neurons that has its own scale chooses for itself, and keeps the data-free integers unless
another candidate is strictly better. Where labels are known, of candidates of the layer that decides that
agree in equally many slots the one is taken with which more judging samples are decided right (`Counts`);
and if data-free integers decide more of them right in the end, the pass keeps those for the whole program.
A candidate whose current could overflow is none. A layer that no rounding changes has nothing to choose.

Weights are chosen for the data: for inputs unlike the examples they can be worse than data-free ones. All is
deterministic, but as its sums are made in float64 by the machine's linear algebra, another machine may
decide a near tie differently.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from avnir.ir.operation import Array
from avnir.ir.real_sparse import Sparse
from avnir.numerics import fixed
from avnir.rounding.decision import Counts
from avnir.rounding.examples import Examples
from avnir.rounding.layer_run import different, stepped, summed
from avnir.rounding.moments import MAX_INPUTS, Bundle, bundles
from avnir.rounding.neuron_layer import Layer
from avnir.rounding.rounded import Rounded, neurons, rounded, rounded_nearest
from avnir.rounding.scales import BIAS_LIMIT, CURRENT_LIMIT, Scales, whole_thresholds

FRACTIONS = (1.0, 1.05, 1.1, 1.2, 1.3, 0.95, 0.9, 0.85, 0.8, 0.7)
"""Of the data-free scale; above 1 the largest weights are clipped."""
SAME = 1e-12
"""float64's own rounding of a scale."""
MAX_PLACES = 1 << 27
"""Places for a weight that are searched of listed synapses: a matrix of 1 GiB in float64."""


def calibrated(
    layer: Layer, scales: Scales, largest: int, examples: Examples
) -> tuple[Layer, Rounded, tuple[str, ...]]:
    """The layer, its best integers, and what to tell about them; their spikes join `examples.arrived`.

    `scales` are the data-free ones, `largest` is the largest magnitude of a weight. Listed synapses are
    given back as matrices where they were searched: feedback may give a weight to a place that has none.
    """
    told: tuple[str, ...]
    first = rounded_nearest(layer, scales, largest)
    if reason := _kept(layer, first):
        chosen, told = first, (f"not calibrated: {reason}",)
    else:
        layer = layer.filled()
        told = tuple(_left_alone(layer, examples))
        search, first = _Search(layer, largest, examples), rounded_nearest(layer, scales, largest)
        chosen = search.best(first)
        before, now = (f"{100 * search.agreement(integers):.3f} %" for integers in (first, chosen))
        steps, samples = examples.extent
        seen = f"{samples} samples x {steps} steps"
        told = (f"calibrated on {seen}: {now} of its spike slots agree, {before} with data-free ones", *told)
    examples.arrived[layer.node.name] = _sent(layer, chosen, examples, examples.arrived)
    if examples.labels is not None:
        examples.free[layer.node.name] = _sent(layer, first, examples, examples.free)
    return layer, chosen, told


def _kept(layer: Layer, first: Rounded) -> str:
    """Why a layer's data-free integers stay, if they do."""
    if unrounded(layer, first):
        return "rounding changes no weight and no threshold"
    places = max((math.prod(s.op.size) for s in layer.synapses if isinstance(s.op, Sparse)), default=0)
    return f"its listed synapses have {places} places, more than {MAX_PLACES}" if places > MAX_PLACES else ""


def _sent(layer: Layer, integers: Rounded, examples: Examples, before: Mapping[str, Array]) -> Array:
    """The spikes of a layer's integers behind the layers that sent `before`."""
    arriving = [examples.arriving(synapse, before) for synapse in layer.synapses]
    return stepped(neurons(layer, integers), delivered(layer, integers, arriving).astype(np.int64))


def delivered(layer: Layer, integers: Rounded, arriving: Sequence[Array]) -> Array:
    """What a layer's connections make of the spikes that arrive, whole float64 numbers `[T, B, *shape]`."""
    pairs = zip(integers.weights, integers.scales.exponents, strict=True)
    return summed(layer, [weight * 2.0**exponent for weight, exponent in pairs], arriving)


def _left_alone(layer: Layer, examples: Examples) -> Iterator[str]:
    for synapse in layer.synapses:
        if synapse.op.weight[0].size > MAX_INPUTS:
            yield f"{synapse.name} has more than {MAX_INPUTS} weights a row: no feedback between them"
        if synapse.source not in examples.arrived:
            yield f"{synapse.source} is chosen later: calibrated with its spikes in the model"


def unrounded(layer: Layer, chosen: Rounded) -> bool:
    """Whether rounding changed no weight and no threshold, but for float64's own rounding of the scale."""
    scales = chosen.scales
    exact = [layer.scaled(s, scales.values, e) for s, e in zip(layer.synapses, scales.exponents, strict=True)]
    exact.append(np.broadcast_to(layer.threshold * layer.for_neurons(scales.values), layer.shape))
    made = (*chosen.weights, chosen.threshold)
    return all(np.allclose(a, b, rtol=SAME, atol=SAME) for a, b in zip(made, exact, strict=True))


class _Search:
    """The candidates of one layer, and their spikes on the examples."""

    def __init__(self, layer: Layer, largest: int, examples: Examples) -> None:
        self.layer, self.largest = layer, largest
        fitted, judged = examples.halves
        self.wanted = examples.real[layer.node.name][:, judged]
        self.fitted = [examples.arriving(synapse)[:, fitted] for synapse in layer.synapses]
        self.arriving = [examples.arriving(synapse)[:, judged] for synapse in layer.synapses]
        modelled = (examples.modelled(synapse)[:, judged] for synapse in layer.synapses)
        self.decision: Counts | None = None
        if examples.labels is not None and examples.decides == layer.node.name:
            self.decision = Counts(layer, examples.labels[judged])
        self.mean_current = self._mean(summed(layer, (s.op.weight for s in layer.synapses), modelled))

    def best(self, first: Rounded) -> Rounded:
        """The best of all candidates, for each group of neurons."""
        spikes = self._spikes(first, self._current(first))
        chosen, least = first, different(self.layer, spikes, self.wanted)
        if self.decision is not None:
            self.decision.start(spikes)
        for candidate in self._candidates(first):
            current = self._current(candidate)
            for tried in self._biases(candidate, current):
                chosen, least = self._better(chosen, least, tried, current)
        current = self._current(chosen)
        for step in (-1, 1):
            tried = replace(chosen, threshold=np.clip(chosen.threshold + step, 0, fixed.THRESHOLD.high))
            chosen, least = self._better(chosen, least, tried, current)
        return chosen

    def agreement(self, integers: Rounded) -> float:
        """The share of slots that are equal in the real graph."""
        return 1 - float(self.different(integers).sum()) / self.wanted.size

    def different(self, integers: Rounded) -> Array:
        """Slots that differ from the real graph's, `[groups]`."""
        return different(self.layer, self._spikes(integers, self._current(integers)), self.wanted)

    def _spikes(self, integers: Rounded, current: Array) -> Array:
        return stepped(neurons(self.layer, integers), current.astype(np.int64))

    def _current(self, integers: Rounded) -> Array:
        return delivered(self.layer, integers, self.arriving)

    def _better(self, chosen: Rounded, least: Array, tried: Rounded, current: Array) -> tuple[Rounded, Array]:
        """The better of two for each group; the current is that of the one that is tried."""
        spikes = self._spikes(tried, current)
        found = different(self.layer, spikes, self.wanted)
        fits = self.layer.accumulated(tried.worst_sum(self.layer)) < CURRENT_LIMIT
        better = fits & (found < least)
        if self.decision is not None:
            self.decision.take(better, spikes)
            better |= self.decision.take_improving(fits & (found == least), spikes)
        return chosen.where(better, self.layer, tried), np.where(better, found, least)

    def _candidates(self, first: Rounded) -> Iterator[Rounded]:
        """Every scale with every way to round the weights."""
        exponents = first.scales.exponents
        made = bundles(self.layer, exponents, self.fitted)
        for fraction in FRACTIONS:
            scales = whole_thresholds(self.layer, first.scales.times(fraction))
            plain = rounded_nearest(self.layer, scales, self.largest)
            yield plain
            yield self._by_feedback(made, plain)

    def _by_feedback(self, made: Sequence[Bundle], plain: Rounded) -> Rounded:
        """The weights of `plain` where there is no bundle."""
        scales, weights = plain.scales, list(plain.weights)
        pairs = zip(self.layer.synapses, scales.exponents, strict=True)
        exact = [self.layer.scaled(synapse, scales.values, exponent) for synapse, exponent in pairs]
        for bundle in made:
            chosen = bundle.rounded([exact[index] for index in bundle.members], self.largest)
            for index, weight in zip(bundle.members, chosen, strict=True):
                weights[index] = weight
        return rounded(self.layer, scales, tuple(weights))

    def _biases(self, candidate: Rounded, current: Array) -> Iterator[Rounded]:
        """The candidate itself, and with a bias that makes up for the mean error of its current."""
        yield candidate
        if self.layer.op.alpha is None:
            error = self.mean_current - self._mean(current) / candidate.scales.values
            limit = self.layer.for_neurons(BIAS_LIMIT / candidate.scales.values)
            moved = np.clip(candidate.bias + self.layer.for_neurons(error), -limit, limit)
            yield replace(candidate, bias=moved)

    def _mean(self, current: Array) -> Array:
        """Over steps, samples and the neurons of a group: float64 `[groups]`."""
        return np.asarray(current.reshape(*current.shape[:2], self.layer.groups, -1).mean(axis=(0, 1, 3)))
