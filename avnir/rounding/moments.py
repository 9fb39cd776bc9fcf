"""Second moments of what arrives at a layer, by which feedback rounding judges the errors of weights.

The potential sums the errors of the weights over its memory. With the inputs low-passed as the neuron does
it, s~ <- beta s~ + s (after i <- alpha i + s where there is a current), the potential's error since the last
reset is (q - w) s~, and its expected square (q - w) H (q - w)' with H = E[s~ s~'].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array
from avnir.ir.real import Conv2d
from avnir.rounding.feedback import Feedback
from avnir.rounding.neuron_layer import Layer, Synapse

MAX_INPUTS = 4096
"""Weights of a row up to which a covariance is made: its factor takes their cube, seconds at this size."""
MAX_ROWS = 1 << 13
"""About as many sums, evenly spread over steps, samples and positions, are looked at for a covariance."""


@dataclass(frozen=True)
class Bundle:
    """Synapses of a layer whose rows are rounded together: `members`, their places in it.

    `feedback` has an entry for each group of the synapses' channels.
    """

    members: tuple[int, ...]
    feedback: tuple[Feedback, ...]

    def rounded(self, weights: Sequence[Array], largest: int) -> Iterator[Array]:
        """The members' weights, given in integer steps, as int8."""
        groups = len(self.feedback)
        rows = np.concatenate([w.reshape(groups, len(w) // groups, -1) for w in weights], axis=2)
        made = np.stack([way.rounded(row, largest) for way, row in zip(self.feedback, rows, strict=True)])
        start = 0
        for weight in weights:
            stop = start + weight[0].size
            yield made[:, :, start:stop].reshape(weight.shape).astype(np.int8)
            start = stop


def bundles(layer: Layer, exponents: Sequence[int], arriving: Sequence[Array]) -> tuple[Bundle, ...]:
    """The synapses with their moments; without those of more than MAX_INPUTS weights a row.

    `arriving`: what each synapse gets, `[T, B, *source]`.
    """
    low_passed = [_low_passed(layer, spikes) * 2.0**e for spikes, e in zip(arriving, exponents, strict=True)]
    made = []
    for members in _together(layer.synapses):
        inputs = np.concatenate([_columns(layer.synapses[i], low_passed[i]) for i in members], axis=2)
        moments = (group.T @ group / len(group) for group in inputs)
        made.append(Bundle(members, tuple(Feedback.of(moment) for moment in moments)))
    return tuple(made)


def _together(synapses: Sequence[Synapse]) -> Iterator[tuple[int, ...]]:
    """Synapses with rows for the same neurons, as far as one covariance holds them; else each by itself."""
    alike: dict[tuple[int, int, bool], list[int]] = {}
    for index, synapse in enumerate(synapses):
        key = (len(synapse.op.weight), _channel_groups(synapse), isinstance(synapse.op, Conv2d))
        alike.setdefault(key, []).append(index)
    for members in alike.values():
        sizes = [synapses[index].op.weight[0].size for index in members]
        if sum(sizes) <= MAX_INPUTS:
            yield tuple(members)
        else:
            yield from ((i,) for i, size in zip(members, sizes, strict=True) if size <= MAX_INPUTS)


def _low_passed(layer: Layer, spikes: Array) -> Array:
    """What a potential that never spikes keeps of each input, float64 `[T, B, *source]`."""
    kept = spikes.astype(np.float64)
    for decay in (float(layer.alpha.mean()), float(layer.op.beta.mean())):
        for step in range(1, len(kept)):
            kept[step] += decay * kept[step - 1]
    return kept


def _columns(synapse: Synapse, x: Array) -> Array:
    """The inputs of some of the sums, float64 `[channel groups, sums, inputs of a sum]`."""
    flat = x.reshape(-1, *x.shape[2:])
    if not isinstance(synapse.op, Conv2d):
        return _spread(flat, MAX_ROWS).reshape(1, -1, synapse.op.weight.shape[1])
    op = synapse.op
    positions = math.prod(op.output_shape(flat.shape[1:])[1:])
    flat = _spread(flat, MAX_ROWS // positions)
    (ph, pw), (sh, sw), (dh, dw) = op.padding, op.stride, op.dilation
    extent = tuple((k - 1) * d + 1 for k, d in zip(op.weight.shape[2:], op.dilation, strict=True))
    padded = np.pad(flat, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(2, 3))
    windows = windows[:, :, ::sh, ::sw, ::dh, ::dw]
    grouped = windows.reshape(len(flat), op.groups, -1, *windows.shape[2:])
    return np.asarray(grouped.transpose(1, 0, 3, 4, 2, 5, 6).reshape(op.groups, -1, op.weight[0].size))


def _spread(values: Array, count: int) -> Array:
    """About `count` of the entries, at least one, evenly spread."""
    return values[np.unique(np.linspace(0, len(values) - 1, max(1, count)).astype(np.int64))]


def _channel_groups(synapse: Synapse) -> int:
    return synapse.op.groups if isinstance(synapse.op, Conv2d) else 1
