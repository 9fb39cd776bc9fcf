"""Compare two traces of one network: entry by entry, no tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avnir.errors import DataError
from avnir.ir.operation import Array
from avnir.trace import Trace


@dataclass(frozen=True, order=True)
class Divergence:
    """Where two traces first differ; steps, samples and neurons count from 0.

    Where both hold the presentations that went before the last, steps count from the first of them.
    """

    step: int
    layer: str
    neuron: tuple[int, ...]
    sample: int
    first: int
    second: int

    def __str__(self) -> str:
        return (
            f"{self.layer}, neuron {self.neuron}, step {self.step}, sample {self.sample}: "
            f"{self.first} against {self.second}"
        )


@dataclass(frozen=True)
class LayerAgreement:
    """How many of a layer's `slots` (neurons x steps x samples) are equal, and who spiked how often."""

    layer: str
    slots: int
    equal: int
    first_spikes: int
    second_spikes: int
    divergence: Divergence | None

    @property
    def agreement(self) -> float:
        """The share of equal slots, 1.0 only if all are."""
        return self.equal / self.slots if self.slots else 1.0


Layers = tuple[LayerAgreement, ...]


@dataclass(frozen=True)
class Comparison:
    """Two traces, layer by layer."""

    first: str
    second: str
    layers: Layers
    outputs_equal: bool

    @property
    def identical(self) -> bool:
        """Whether every spike of every layer and every output is equal."""
        return self.outputs_equal and all(layer.equal == layer.slots for layer in self.layers)

    @property
    def agreement(self) -> float:
        """The share of equal slots over all layers."""
        slots = sum(layer.slots for layer in self.layers)
        return sum(layer.equal for layer in self.layers) / slots if slots else 1.0

    @property
    def divergence(self) -> Divergence | None:
        """The first difference in time; of equals in time, that of the earlier layer."""
        found = [layer.divergence for layer in self.layers if layer.divergence]
        return min(found, key=lambda d: d.step) if found else None


def compare(first: Trace, second: Trace, names: tuple[str, str]) -> Comparison:
    """Compare the spikes of every layer that both traces have, and the outputs.

    Of a window that is shown several times every presentation is compared if both traces hold them, else the
    last one alone.

    Outputs that are real numbers in two precisions are left out: rounding parts them everywhere. That they
    are the model's is proved in its own precision when it is traced.

    Raises DataError where they have no layer in common or a layer's shapes differ.
    """
    layers = agreements(first, second, names)
    return Comparison(*names, layers, same_outputs(first.outputs, second.outputs))


def agreements(
    first: Trace, second: Trace, names: tuple[str, str], samples: Sequence[int] | None = None
) -> Layers:
    """How `compare` finds the layers; `samples` are the numbers of theirs, from 0 on by default."""
    every = bool(first.rehearsals and second.rehearsals)
    one, other = (trace.sent if every else trace.spikes for trace in (first, second))
    common = [layer for layer in first.spikes if layer in second.spikes]
    if not common:
        raise DataError(f"{names[0]} and {names[1]} have no layer in common to compare")
    found = tuple(_layer(layer, one, other, names) for layer in common)
    return found if samples is None else tuple(_numbered(layer, samples) for layer in found)


def added(parts: Sequence[Layers]) -> Layers:
    """The agreement over all samples from that over some of them at a time."""
    return tuple(map(_sum, zip(*parts, strict=True)))


def _sum(parts: Sequence[LayerAgreement]) -> LayerAgreement:
    found = [part.divergence for part in parts if part.divergence]
    return LayerAgreement(
        parts[0].layer,
        sum(part.slots for part in parts),
        sum(part.equal for part in parts),
        sum(part.first_spikes for part in parts),
        sum(part.second_spikes for part in parts),
        min(found, key=lambda d: (d.step, d.sample, d.neuron), default=None),
    )


def _numbered(layer: LayerAgreement, samples: Sequence[int]) -> LayerAgreement:
    """The same with the numbers that the samples have."""
    where = layer.divergence
    return layer if where is None else replace(layer, divergence=replace(where, sample=samples[where.sample]))


def same_outputs(first: Mapping[str, Array], second: Mapping[str, Array]) -> bool:
    """Whether all outputs are equal, as `compare` takes them."""
    return first.keys() == second.keys() and all(
        _same_output(array, second[name]) for name, array in first.items()
    )


def _same_output(first: Array, second: Array) -> bool:
    """Equal, or real numbers in two precisions."""
    real = any(array.dtype.kind == "f" and not np.all(array == np.round(array)) for array in (first, second))
    apart = real and first.dtype != second.dtype and first.shape == second.shape
    return apart or np.array_equal(first, second)


def _layer(
    name: str, first: Mapping[str, Array], second: Mapping[str, Array], names: tuple[str, str]
) -> LayerAgreement:
    a, b = first[name], second[name]
    if a.shape != b.shape:
        raise DataError(f"layer {name} is {a.shape} in {names[0]}, but {b.shape} in {names[1]}")
    same = np.asarray(a == b)
    return LayerAgreement(
        name,
        a.size,
        int(same.sum()),
        int(np.count_nonzero(a)),
        int(np.count_nonzero(b)),
        _first(name, a, b, same),
    )


def _first(name: str, a: Array, b: Array, same: Array) -> Divergence | None:
    if same.all():
        return None
    place = tuple(int(i) for i in np.unravel_index(int(np.argmin(same)), same.shape))
    step, sample, *neuron = place
    return Divergence(step, name, tuple(neuron), sample, int(a[place]), int(b[place]))
