"""One layer of a deployed network, with each approximation of the chip switched on or off.

Where a kind is on, a parameter is what the integers say, or the registers do what the chip's do; where it is
off, the model's. What the integers of a layer of scale S say (`avnir.passes.quantise`):

    weight * 2^exponent / S,   threshold / S,   mantissa * 2^exponent / (64 S),   (4096 - decay) / 4096

A parameter that rounding left alone, up to float64's own rounding, is the model's either way. Layers that
send numbers (products, sums over the window, inverse roots) are switched as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from avnir.ir import integer
from avnir.ir.graph import Node
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Array
from avnir.ir.real import Li, RealOperation
from avnir.numerics import fixed
from avnir.rounding.messages import INVERSE_ROOT_ONE
from avnir.rounding.neuron_layer import Synapse
from avnir.verify.attribution.mixed_neuron import MixedLi, MixedLif, Registers, Sender

WEIGHTS, THRESHOLD, BIAS, DECAY = "weights", "threshold", "bias", "decay"
STATES, OVERFLOW, RESET, MESSAGES = "state rounding", "overflow", "reset", "messages"
AT_THRESHOLD = "at the threshold"
"""A neuron fires where its potential is the threshold, too: what neither the model nor the chip does."""
KINDS = (WEIGHTS, THRESHOLD, BIAS, DECAY, STATES, OVERFLOW, RESET, MESSAGES)
"""What can be switched, in the order in which it is told."""
SAME = 1e-9
"""Relative, and of one integer step: what float64's rounding of a scale may change."""


@dataclass(frozen=True)
class MixedLayer:
    """A layer of the merged graph, `node`, beside its integers, `chip`.

    `ports` are the synapses into each port; `weights` of each synapse weight * 2^exponent, int64 of the shape
    of the model's; `units` what 1 of the integers that its sources send is in the model, 1 for spikes.
    """

    node: Node
    chip: integer.Neurons
    ports: tuple[tuple[Synapse, ...], ...]
    weights: Mapping[str, Array]
    units: Mapping[str, float]

    @property
    def steps(self) -> Array:
        """Register steps to one unit of the model's potential, 0-d or the layer's shape."""
        scale: Array = self.chip.scale  # type: ignore[attr-defined]
        return scale * (1 << fixed.ALIGN)

    @property
    def whole(self) -> frozenset[str]:
        """What of KINDS a layer of this sort has."""
        return frozenset(KINDS) - {MESSAGES} if self.node.op.stateful else frozenset({MESSAGES})

    @cached_property
    def kinds(self) -> frozenset[str]:
        """What of KINDS can change anything here."""
        return frozenset({OVERFLOW, *_rounded(self)}) if self.node.op.stateful else self.whole

    @cached_property
    def unit(self) -> float:
        """What 1 of the integers that it sends is in the model."""
        if self.node.op.spiking:
            return 1.0
        return UNITS[self.chip.kind](self)

    def sends_integers(self, on: frozenset[str]) -> bool:
        """Whether what it sends counts in `unit`s."""
        return MESSAGES in on or WEIGHTS in on

    def replaced(self, on: frozenset[str], sent: Mapping[str, float]) -> Iterator[tuple[str, RealOperation]]:
        """Its synapses and neurons by name, with the kinds `on`; `sent`: the units that its sources use."""
        for synapse in self.synapses:
            unit = sent[synapse.source]
            weight = synapse.op.weight * unit
            if self.sends_integers(on):
                weight = self.weights[synapse.name] * (unit / self.units[synapse.source])
            yield synapse.name, synapse.op.replace(weight=weight)
        if self.node.op.stateful and on:
            yield self.node.name, neurons(self, on)
        elif MESSAGES in on:
            yield self.node.name, Sender(self.chip)

    @property
    def synapses(self) -> tuple[Synapse, ...]:
        """Those into every port."""
        return tuple(synapse for port in self.ports for synapse in port)

    def port_unit(self, port: int) -> float:
        """What 1 of the integer sum into a port is in the model: the largest weight tells it best."""
        pairs = [(s.op.weight * self.units[s.source], self.weights[s.name]) for s in self.ports[port]]
        model, whole = (max(float(np.abs(pair[k]).max()) for pair in pairs) for k in (0, 1))
        return model / whole if whole else 1.0


UNITS: Mapping[str, Callable[[MixedLayer], float]] = {
    "Readout": lambda layer: 1 / float(layer.steps.max()),
    "Product": lambda layer: layer.port_unit(0) * layer.port_unit(1) * 2.0**layer.chip.exponent,  # type: ignore[attr-defined]
    "WindowSum": lambda layer: layer.port_unit(0),
    "InverseRoot": lambda layer: 1 / (INVERSE_ROOT_ONE * math.sqrt(layer.port_unit(0))),
}
"""What 1 that a layer sends is in the model, by the kind of its integer form (`avnir.rounding.messages`)."""


def paired(synapse: Synapse, connection: integer.Connection) -> tuple[Synapse, Array]:
    """The synapse, and weight * 2^exponent of the connection, int64, laid out as its weights are.

    Of listed synapses the places of both, with weight 0 where one has none.
    """
    weight = connection.weight.astype(np.int64) << connection.exponent
    if not isinstance(connection, Sparse):
        return synapse, weight
    op: Any = synapse.op
    if op.kind != "Sparse":
        matrix = np.zeros(connection.size, np.int64)
        matrix[connection.target, connection.source] = weight
        return synapse, matrix
    columns = connection.size[1]
    own, other = (sparse.target.astype(np.int64) * columns + sparse.source for sparse in (op, connection))
    places = np.union1d(own, other)
    model, whole = np.zeros(len(places)), np.zeros(len(places), np.int64)
    model[np.searchsorted(places, own)] = op.weight
    whole[np.searchsorted(places, other)] = weight
    target, source = (part.astype(np.int32) for part in np.divmod(places, columns))
    return replace(synapse, op=op.replace(source=source, target=target, weight=model)), whole


def neurons(layer: MixedLayer, on: frozenset[str]) -> RealOperation:
    """The layer's neurons with the kinds `on`: in register steps with integer weights, else in model units.

    AT_THRESHOLD is for all of it in integers: above half a step below is at or above.
    """
    model, chip = _integration(layer)
    in_steps = WEIGHTS in on
    beta, alpha = (_chosen(a, b, DECAY in on) for a, b in zip(model.decays, chip.decays, strict=True))
    shared: dict[str, Any] = {
        "beta": beta,
        "alpha": alpha,
        "gain": np.array(float(1 << fixed.ALIGN) if in_steps else 1.0),
        "bias": _in_unit(layer, model.bias, chip.bias, BIAS in on, in_steps),
        "registers": Registers(np.array(1.0) if in_steps else layer.steps, STATES in on, OVERFLOW in on),
    }
    if isinstance(layer.node.op, Li):
        return MixedLi(**shared)
    threshold = _in_unit(layer, model.threshold, chip.threshold, THRESHOLD in on, in_steps)
    if AT_THRESHOLD in on:
        threshold = threshold - 0.5
    return MixedLif(**shared, threshold=threshold, reset=(chip if RESET in on else model).reset)


@dataclass(frozen=True)
class _Integration:
    """How one level integrates: the decays of potential and current, and what is in units or in steps."""

    decays: tuple[Array, Array]
    bias: Array
    threshold: Array
    reset: str


def _integration(layer: MixedLayer) -> tuple[_Integration, _Integration]:
    """Of the model, in its units, and of the chip, in register steps; a read-out has no threshold."""
    op: Any = layer.node.op
    chip: Any = layer.chip
    none = np.zeros(())
    alpha, bias = (none if given is None else given for given in (op.alpha, op.bias))
    model = _Integration((op.beta, alpha), bias, getattr(op, "threshold", none), getattr(op, "reset", "none"))
    kept = (fixed.DECAY_ONE - chip.decay_v) / fixed.DECAY_ONE
    current_kept = (fixed.CURRENT_DECAY.high - chip.decay_u) / fixed.DECAY_ONE
    mantissa = chip.bias_mantissa * 2.0**chip.bias_exponent
    threshold = getattr(chip, "threshold", none) * float(1 << fixed.ALIGN)
    return model, _Integration((kept, current_kept), mantissa, threshold, getattr(chip, "reset", "none"))


def _rounded(layer: MixedLayer) -> Iterator[str]:
    """The kinds by which a layer with states differs from the model's, registers' ends aside."""
    model, chip = _integration(layer)
    scale = layer.steps / (1 << fixed.ALIGN)
    weights = (_same(layer.weights[s.name], _scaled(layer, s, scale)).all() for s in layer.synapses)
    if not all(weights):
        yield WEIGHTS
    if not _same(chip.threshold, model.threshold * layer.steps).all():
        yield THRESHOLD
    if not _same(chip.bias, model.bias * layer.steps).all():
        yield BIAS
    if not all(_same(a, b).all() for a, b in zip(chip.decays, model.decays, strict=True)):
        yield DECAY
    if any(np.any((kept != 0) & (kept != 1)) for kept in chip.decays):
        yield STATES
    if chip.reset != model.reset:
        yield RESET


def _scaled(layer: MixedLayer, synapse: Synapse, scale: Array) -> Array:
    """The model's weights in integer steps, not rounded; all neurons of a row share a scale."""
    weight = synapse.op.weight * layer.units[synapse.source]
    of_rows = np.broadcast_to(scale, layer.chip.shape).reshape(synapse.rows, -1)[:, 0][synapse.row]
    return np.asarray(weight * of_rows.reshape(-1, *(1,) * (weight.ndim - 1)))


def _same(chip: Array, model: Array) -> Array:
    """Where they are equal up to float64's rounding."""
    return np.isclose(chip, model, rtol=SAME, atol=SAME)


def _chosen(model: Array, chip: Array, on: bool) -> Array:
    """The chip's where that is on and not the model's own."""
    return np.where(_same(chip, model), model, chip) if on else model


def _in_unit(layer: MixedLayer, model: Array, chip: Array, on: bool, in_steps: bool) -> Array:
    """A parameter in register steps, or in units of the model; `model` is in these, `chip` in those."""
    same = _same(chip, model * layer.steps)
    if in_steps:
        return np.where(same | on, chip, model * layer.steps)
    return np.where(same | (not on), model, chip / layer.steps)
