"""Synapses of the integer level that are stored one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avnir.errors import GraphError
from avnir.ir.geometry import reshaped
from avnir.ir.integer import Connection
from avnir.ir.operation import Array, Shape, require


@dataclass(frozen=True, eq=False, kw_only=True)
class Sparse(Connection):
    """Synapses in coordinate form: synapse k leads with `weight[k]` from `source[k]` to `target[k]`.

    `size` is (out, in); `weight` int8, `source` and `target` int32, all of one length, at least 1; sorted by
    source, then target, no pair twice, so that equal synapses have equal arrays. A synapse may weigh 0.
    The arithmetic is that of the Dense that has weight 0 everywhere else.
    """

    size: tuple[int, int]
    source: Array
    target: Array

    @classmethod
    def of(cls, matrix: Array, exponent: int = 0, delay: int = 0, lag: int = 0) -> Sparse:
        """The synapses that are not 0 of int8 `[out, in]`."""
        source, target = (places.astype(np.int32) for places in np.nonzero(matrix.T))
        weight = matrix[target, source]
        out, inputs = matrix.shape
        return cls(weight, exponent, delay, lag, size=(out, inputs), source=source, target=target)

    def check(self) -> None:
        if self.weight.ndim != 1 or not self.weight.size:
            raise GraphError(f"Sparse.weight is {self.weight.shape}, but must be [synapses], at least one")
        super().check()
        require(min(self.size) > 0, self, "size", "(out, in), above 0")
        for name, limit in (("target", self.size[0]), ("source", self.size[1])):
            places = getattr(self, name)
            listed = places.dtype == np.int32 and places.shape == self.weight.shape
            require(listed, self, name, f"int32[{self.weight.size}], one for each weight")
            require(places.min() >= 0 and places.max() < limit, self, name, f"in [0, {limit - 1}]")
        place = self.source.astype(np.int64) * self.size[0] + self.target
        require(bool(np.all(np.diff(place) > 0)), self, "source", "sorted, then by target, no pair twice")

    def output_shape(self, shape: Shape) -> Shape:
        reshaped(self, shape, self.size[1:])
        return self.size[:1]

    def synapses_summed(self, values: Array) -> Array:
        sums = np.zeros(self.size[0], np.int64)
        np.add.at(sums, self.target, values)
        return sums

    def fan_out(self, shape: Shape, nonzero: bool) -> Array:
        counted = self.source[self.weight != 0] if nonzero else self.source
        return np.bincount(counted, minlength=self.size[1]).astype(np.int64).reshape(shape)

    def synaptic_words(self, bits: int) -> int:
        """One list for each source that has synapses; each names its target in 12 bits, as in a Dense."""
        lists = np.unique(self.source, return_counts=True)[1]
        return sum(math.ceil((int(synapses) * (bits + 12) + 16) / 64) for synapses in lists)

    def step(self, x: Array, state: dict[str, Array]) -> Array:
        arriving = x.reshape(len(x), -1)[:, self.source] * self.weight.astype(np.int64)
        total = np.zeros((len(x), self.size[0]), np.int64)
        np.add.at(total.T, self.target, arriving.T)
        return total << self.exponent
