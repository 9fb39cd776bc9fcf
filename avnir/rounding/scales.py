"""Choose the scales of a layer: how many integer steps make one unit of its potential.

The rule is in `avnir.passes.quantise`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.rounding.feedback import nearest
from avnir.rounding.neuron_layer import Layer, Synapse

CURRENT_LIMIT = fixed.STATE_LIMIT >> fixed.ALIGN
"""2^17: a summed input of this size overflows the 24-bit current."""
BIAS_LIMIT = (fixed.BIAS_MANTISSA.high << fixed.BIAS_EXPONENT.high) / (1 << fixed.ALIGN)
"""The largest S * |bias| that mantissa and exponent hold."""
REACH = 16
"""Thresholds, upwards and downwards, that the potential's register has room for at least."""
FINE = 256
"""Steps that each threshold should have at least, so that a whole one leaves S its choice."""
CLIPPED = np.geomspace(1, 4, 33)[1:]
"""Fractions above 1 that are tried: the largest weight is clipped to a quarter at most."""
FEW = 31
"""Magnitudes of a weight up to which clipping is tried: 6 bits. With more, rounding costs less than it."""
SAMPLED = 256
"""Weights of a row, evenly spread, by which the fractions are judged."""


@dataclass(frozen=True)
class Scales:
    """S of each group and the most it may be, both `[groups]`, and the exponent of each synapse."""

    values: Array
    limit: Array
    exponents: tuple[int, ...]

    def times(self, factors: Array | float) -> Scales:
        """Each S by its factor, up to its limit."""
        return replace(self, values=np.minimum(self.values * factors, self.limit))


def choose_scales(layer: Layer, largest: int) -> Scales:
    """The scales by the rule in the module's docstring; `largest` magnitude of a weight."""
    limit = np.minimum.reduce(
        [
            _ratio(fixed.THRESHOLD.high, layer.per_neuron(layer.threshold)),
            _ratio(BIAS_LIMIT, layer.per_neuron(layer.bias)),
            _ratio(CURRENT_LIMIT, _reached(layer)),
        ]
    )
    full = np.minimum(_weight_limit(layer, largest), limit)
    full = np.where(np.isfinite(full), full, 1.0)
    sizes = [float((layer.per_row(s.largest) * full).max()) for s in layer.synapses]
    scales = Scales(full, limit, tuple(_exponent(size, largest) for size in sizes))
    scales = whole_thresholds(layer, _finer(layer, _least_lost(layer, scales, largest)))
    while np.any((worst := layer.accumulated(_worst_sum(layer, scales, largest))) >= CURRENT_LIMIT):
        smaller = (CURRENT_LIMIT - 1) / np.maximum(worst, CURRENT_LIMIT - 1)
        scales = whole_thresholds(layer, scales.times(smaller))
    return scales


def _finer(layer: Layer, scales: Scales) -> Scales:
    """The scales and all exponents raised together until each threshold is whole or has FINE steps.

    Where that does not fit they stay; the weights' steps are the same, in units of the model.
    """
    room = np.minimum(scales.limit, _ratio(CURRENT_LIMIT, _built_up(layer))) / 2
    steps = layer.per_neuron(layer.threshold) * scales.values
    coarse = (np.abs(steps - np.rint(steps)) > 1e-9) & (steps < FINE)
    highest = max(scales.exponents)
    if not np.any(coarse) or highest == fixed.WEIGHT_EXPONENT.high or np.any(scales.values > room):
        return scales
    exponents = tuple(exponent + 1 for exponent in scales.exponents)
    return _finer(layer, replace(scales, values=2 * scales.values, exponents=exponents))


def _least_lost(layer: Layer, full: Scales, largest: int) -> Scales:
    """The scales at which rounding loses least, among fractions of the full ones; the largest of equals."""
    fractions = [k / largest for k in range(largest, largest // 2, -1)]
    fractions += list(CLIPPED) if largest <= FEW else []
    sampled = [synapse.sampled(SAMPLED) for synapse in layer.synapses]
    best, least = full, np.full(layer.groups, math.inf)
    for fraction in fractions:
        tried = full.times(fraction)
        lost = _lost(layer, sampled, tried, largest)
        better = lost < least * (1 - 1e-9)
        best = replace(full, values=np.where(better, tried.values, best.values))
        least = np.where(better, lost, least)
    return best


def _lost(layer: Layer, synapses: Sequence[Synapse], scales: Scales, largest: int) -> Array:
    """The squared rounding error of the sampled weights, in units of the model, `[groups]`."""
    total = np.zeros(layer.groups)
    for synapse, exponent in zip(synapses, scales.exponents, strict=True):
        scaled = layer.scaled(synapse, scales.values, exponent)
        error = (scaled - np.clip(np.rint(scaled), -largest, largest)) * (1 << exponent)
        total += synapse.op.synapses_summed(error**2).reshape(layer.groups, -1).sum(axis=1)
    return total / scales.values**2


def _ratio(limit: float, values: Array) -> Array:
    return np.divide(limit, values, out=np.full(values.shape, math.inf), where=values > 0)


def _weight_limit(layer: Layer, largest: int) -> Array:
    """The scales at which the synapse with the smallest weights uses all its bits without an exponent."""
    used = [float(s.largest.max()) for s in layer.synapses if np.any(s.largest)] or [1.0]
    common = min(largest / min(used), (largest << fixed.WEIGHT_EXPONENT.high) / max(used))
    scales = np.full(layer.groups, common)
    limits = [
        _ratio(
            largest << _exponent(common * float(s.largest.max()), largest),
            layer.per_row(s.largest),
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
    lost = 1 - float(layer.op.beta.max())
    highest = _ratio(1.0, np.full(1, lost)) * (_built_up(layer) + layer.per_neuron(layer.bias))
    enough = REACH * layer.per_neuron(layer.threshold)
    return np.where(enough > 0, np.minimum(highest, enough), np.where(np.isfinite(highest), highest, 0))


def _built_up(layer: Layer) -> Array:
    """The largest |current| of the model over all inputs in all time, `[groups]`."""
    step = np.sum([layer.per_row(s.worst(s.op.weight)) for s in layer.synapses], axis=0)
    return np.asarray(_ratio(1.0, np.full(1, 1 - float(layer.alpha.max()))) * step)


def whole_thresholds(layer: Layer, scales: Scales) -> Scales:
    """The next scales down with an integer S * threshold, where one threshold serves a whole group."""
    thresholds = np.broadcast_to(layer.threshold, layer.shape).reshape(layer.groups, -1)
    one, values = thresholds[:, 0], scales.values
    exact = np.all(thresholds == thresholds[:, :1], axis=1) & (values * one >= 1)
    whole = np.floor(values * one * (1 + 1e-12))
    return replace(scales, values=np.divide(whole, one, out=values.copy(), where=exact))


def _worst_sum(layer: Layer, scales: Scales, largest: int) -> Array:
    """The largest |summed input| of the rounded layer over all inputs, int64 `[groups]`; an upper bound."""
    total = np.zeros(layer.groups, np.int64)
    for synapse, exponent in zip(layer.synapses, scales.exponents, strict=True):
        weight = nearest(layer.scaled(synapse, scales.values, exponent), largest)
        total += layer.per_row(synapse.worst(weight.astype(np.int64))) << exponent
    return total
