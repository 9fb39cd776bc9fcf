"""Linear maps of the real level that are stored synapse by synapse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import GraphError
from avnir.ir.operation import Array, Shape, require
from avnir.ir.real import RealOperation


@dataclass(frozen=True, eq=False)
class Sparse(RealOperation):
    """y[target[k]] += weight[k] * x[source[k]] for every synapse k, of a sample flattened row by row.

    `size` is (out, in); `weight` floating point, `source` and `target` int32, all of one length; sorted by
    target, then source, no pair twice, so that equal maps have equal arrays. Moves and repeats of values,
    sums of some of them: whatever is linear and mostly zeros.
    """

    linear: ClassVar[bool] = True
    size: tuple[int, int]
    source: Array
    target: Array
    weight: Array

    @classmethod
    def of(cls, size: tuple[int, int], source: Array, target: Array, weight: Array) -> Sparse:
        """The map of these synapses in any order; those of one pair add up, and 0 is left out."""
        place = target.astype(np.int64) * size[1] + source
        kept, inverse = np.unique(place, return_inverse=True)
        total = np.zeros(len(kept))
        np.add.at(total, inverse.reshape(-1), weight)
        kept, total = kept[total != 0], total[total != 0]
        return cls(size, (kept % size[1]).astype(np.int32), (kept // size[1]).astype(np.int32), total)

    @classmethod
    def moved(cls, inputs: int, places: Array) -> Sparse:
        """y[i] = x[places[i]]: values moved, repeated or left out."""
        flat = places.reshape(-1)
        return cls.of((flat.size, inputs), flat, np.arange(flat.size), np.ones(flat.size))

    def check(self) -> None:
        require(min(self.size) > 0, self, "size", "(out, in), above 0")
        for name, limit in (("target", self.size[0]), ("source", self.size[1])):
            places = getattr(self, name)
            listed = places.dtype == np.int32 and places.ndim == 1 and places.shape == self.weight.shape
            require(listed, self, name, f"int32[{self.weight.size}], one for each weight")
            inside = not places.size or (places.min() >= 0 and places.max() < limit)
            require(bool(inside), self, name, f"in [0, {limit - 1}]")
        place = self.target.astype(np.int64) * self.size[1] + self.source
        require(bool(np.all(np.diff(place) > 0)), self, "target", "sorted, then by source, no pair twice")

    def synapses_summed(self, values: Array) -> Array:
        """The sum over each output of `values`, one for each synapse."""
        sums = np.zeros(self.size[0], values.dtype)
        np.add.at(sums, self.target, values)
        return sums

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.size[1:]:
            raise GraphError(f"Sparse takes {self.size[1:]}, but its input is {shape}")
        return self.size[:1]

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        y = np.zeros((self.size[0], len(x)))
        np.add.at(y, self.target, (x[:, self.source] * self.weight.astype(np.float64)).T)
        return np.ascontiguousarray(y.T)
