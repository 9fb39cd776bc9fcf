"""How the neurons of two boxes are joined by synapses: what is asked of a connection, and products of axes.

A dense connection or a convolution is a product over the three axes (`avnir.place.axis`): the synapses of a
source and a target are as many as the products of the joins of their indices. Synapses that are listed one
by one are no product: `avnir.place.listed`.

A list of n synapses of one axon takes `ceil((n x bits + 16) / 64)` words (`avnir.place.memory`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import Axis, Blocks, Bounds, member, units
from avnir.place.grid import Grid, contracted, neurons, product

WORD = 64
HEADER_BITS = 16


def list_words(synapses: Array, bits: int) -> Array:
    """Words of the list of an axon with so many synapses of `bits` each; none without synapses."""
    return np.where(synapses > 0, -(-(synapses * bits + HEADER_BITS) // WORD), 0)


class Joins(Protocol):
    """The synapses between two boxes of neurons; each neuron pair has one at most."""

    @property
    def sources(self) -> int:
        """Neurons of the source."""

    def fewest(self, count: Array) -> Array:
        """No `count` neurons of the target have fewer stored synapses than this, int64 as `count`."""

    def least_words(self, count: Array, bits: int) -> Array:
        """No `count` neurons of the target have lists of fewer words than this, int64 as `count`."""

    def synapses(self, target: Grid) -> Array:
        """Stored synapses in each piece of the target, weights of zero included, int64 `[C, H, W]`."""

    def axons(self, target: Grid) -> Array:
        """Source neurons that reach each piece of the target, int64 `[C, H, W]`."""

    def words(self, target: Grid, bits: int) -> Array:
        """Words of the lists of synapses of each piece's axons, int64 `[C, H, W]`."""

    def reached(self, source: Grid, target: Grid) -> Array:
        """Target pieces that each source piece can reach, int64 `[C, H, W]` of the source grid."""

    def axons_out(self, source: Grid, target: Grid) -> Array:
        """Target pieces that each neuron reaches, summed over each source piece, int64 `[C, H, W]`."""

    def operations(self, target: Grid, sent: Array) -> Array:
        """Synaptic operations of spikes `[..., C, H, W]` in each piece, float64 `[..., c, h, w]`."""

    def messages(self, source: Grid, target: Grid, sent: Array) -> Array:
        """Spikes `[B, C, H, W]` that each source piece sends to each target piece, float64 `[B, S, T]`."""


@dataclass(frozen=True)
class Product:
    """The axes whose product the synapses are: channels, rows and columns."""

    channels: Blocks
    rows: Axis
    columns: Axis

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        return self.channels, self.rows, self.columns

    @property
    def sources(self) -> int:
        return math.prod(axis.sources for axis in self.axes)

    def fewest(self, count: Array) -> Array:
        each = (axis.joined((0, axis.sources), units(axis.targets)).min() for axis in self.axes)
        return count * math.prod(int(fan_in) for fan_in in each)

    def least_words(self, count: Array, bits: int) -> Array:
        return self.fewest(count) * bits // WORD

    def synapses(self, target: Grid) -> Array:
        cuts = zip(self.axes, target.bounds, strict=True)
        return product([axis.joined((0, axis.sources), bounds)[0] for axis, bounds in cuts])

    def axons(self, target: Grid) -> Array:
        return product([(joined > 0).sum(axis=0) for joined in self._fan_out(target)])

    def words(self, target: Grid, bits: int) -> Array:
        words = np.zeros(target.shape, np.int64)
        spread = [
            [np.unique(column, return_counts=True) for column in joined.T] for joined in self._fan_out(target)
        ]
        for at in np.ndindex(*target.shape):
            values, counts = zip(*(axis[i] for axis, i in zip(spread, at, strict=True)), strict=True)
            words[at] = (list_words(product(values), bits) * product(counts)).sum()
        return words

    def reached(self, source: Grid, target: Grid) -> Array:
        cuts = zip(self.axes, source.bounds, target.bounds, strict=True)
        return product([(axis.joined(s, t) > 0).sum(axis=1) for axis, s, t in cuts])

    def axons_out(self, source: Grid, target: Grid) -> Array:
        into = [(joined > 0).sum(axis=1) for joined in self._fan_out(target)]
        sums = [np.add.reduceat(n, bounds[:-1]) for n, bounds in zip(into, source.bounds, strict=True)]
        return product(sums)

    def operations(self, target: Grid, sent: Array) -> Array:
        """Exact: every sum is below 2^53."""
        return contracted(sent, self._fan_out(target))

    def messages(self, source: Grid, target: Grid, sent: Array) -> Array:
        pairs = [
            _paired(joined > 0, bounds)
            for joined, bounds in zip(self._fan_out(target), source.bounds, strict=True)
        ]
        found = contracted(sent, pairs)
        split = [size for pair in zip(source.shape, target.shape, strict=True) for size in pair]
        apart = found.reshape(len(sent), *split).transpose(0, 1, 3, 5, 2, 4, 6)
        return apart.reshape(len(sent), source.pieces, target.pieces)

    def _fan_out(self, target: Grid) -> list[Array]:
        """On each axis: synapses of each source index into each interval of the target, `[sources, T]`."""
        cuts = zip(self.axes, target.bounds, strict=True)
        return [axis.joined(units(axis.sources), bounds) for axis, bounds in cuts]


def _paired(reach: Array, source: Bounds) -> Array:
    """`[n, S * T]`: whether index n lies in source interval S and reaches target interval T."""
    own = member(source)
    return (own[:, :, None] * reach[:, None, :]).reshape(len(reach), -1)


class AllToAll(Product):
    """Every source neuron with every target neuron: each axon's list has all neurons of the piece."""

    def least_words(self, count: Array, bits: int) -> Array:
        return self.sources * list_words(count, bits)

    def axons(self, target: Grid) -> Array:
        return np.full(target.shape, self.sources)

    def words(self, target: Grid, bits: int) -> Array:
        return self.least_words(neurons(target), bits)
