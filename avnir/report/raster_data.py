"""The spikes that a page carries for its script to draw: bits, compressed, as text.

Of each layer one string: base64 of zlib of the bits `[planes, samples, T, neurons]`, the highest of a byte
first. Plane 0 are the spikes of the reference, plane 1 is where the two runs differ, which together give the
spikes of the other run. Of messages, which may differ and both not be 0, those of the other are plane 2.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.ir.operation import Array
from avnir.report.deployment import Run
from avnir.report.figures import called, percent

BUDGET = 1_500_000
"""Bytes of bits, before they are compressed, that a page carries."""


@dataclass(frozen=True)
class Pair:
    """The reference and the deployed run: spikes `[T, B, *shape]` by layer, the worst agreement first."""

    first: Mapping[str, Array]
    second: Mapping[str, Array]
    agreement: Mapping[str, float]
    names: tuple[str, str]

    @classmethod
    def of(cls, run: Run) -> Pair:
        """The two runs whose difference is what quantisation costs."""
        compared = run.verification.quantisation
        layers = sorted(compared.layers, key=lambda layer: layer.agreement)
        first, second = run.reference.spikes, run.trace(compared.second).spikes
        return cls(
            {layer.layer: first[layer.layer] for layer in layers},
            {layer.layer: second[layer.layer] for layer in layers},
            {layer.layer: layer.agreement for layer in layers},
            (called(compared.first), called(compared.second)),
        )

    def apart(self, layer: str) -> Array:
        """Slots of a layer that differ, `[B]`."""
        differ = self.first[layer] != self.second[layer]
        return np.asarray(differ.sum(axis=(0, *range(2, differ.ndim))))

    def planes(self, layer: str) -> int:
        """Planes of bits that a layer takes: 3 where it sends messages."""
        both = (self.first[layer], self.second[layer])
        return 3 if any(bool(np.any((array != 0) & (array != 1))) for array in both) else 2

    def size(self, layer: str) -> int:
        """Bytes of one sample's bits."""
        array = self.first[layer]
        return math.ceil(array[:, 0].size * self.planes(layer) / 8)


@dataclass(frozen=True)
class RasterData:
    """`record`: plain values for the script; `left_out`: the layers that are too large for it."""

    record: Mapping[str, Any]
    left_out: tuple[str, ...]
    graded: bool


def raster_data(pair: Pair, labels: Array | None, sample: int) -> RasterData:
    """As many samples as there is room for, `sample` among them, then as many layers, the worst first."""
    kept = _kept(pair, sample)
    carried, room = [], BUDGET
    for layer in pair.first:
        if (size := pair.size(layer) * len(kept)) <= room:
            room -= size
            carried.append(layer)
    layers = [_layer(pair, layer, kept) for layer in carried]
    record = {
        "steps": len(next(iter(pair.first.values()))),
        "samples": kept,
        "sample": sample,
        "notes": ["" if labels is None else f", labelled {labels[each]}" for each in kept],
        "layers": layers,
        "runs": [name.removeprefix("the ") for name in pair.names],
    }
    left_out = tuple(layer for layer in pair.first if layer not in carried)
    return RasterData(record, left_out, any(layer["planes"] == 3 for layer in layers))


def _kept(pair: Pair, shown: int) -> list[int]:
    """The sample that is shown first and those with the most differences, ascending."""
    apart = np.sum([pair.apart(layer) for layer in pair.first], axis=0)
    apart[shown] = apart.max() + 1
    count = max(1, BUDGET // max(1, sum(pair.size(layer) for layer in pair.first)))
    return sorted(int(sample) for sample in np.argsort(-apart, kind="stable")[:count])


def _layer(pair: Pair, name: str, kept: list[int]) -> dict[str, Any]:
    first, second = pair.first[name][:, kept], pair.second[name][:, kept]
    planes = [first != 0, first != second, second != 0][: pair.planes(name)]
    bits = np.packbits(np.stack(planes).swapaxes(1, 2).reshape(-1))
    return {
        "name": name,
        "shape": list(first.shape[2:]),
        "planes": len(planes),
        "agreement": percent(pair.agreement[name]),
        "bits": base64.b64encode(zlib.compress(bits.tobytes())).decode("ascii"),
    }
