"""How synapses join neurons along one axis, and intervals of an axis.

A layer is a box `(C, H, W)` of neurons. Connections whose synapses are not listed are a product over the
three axes: the synapses from source `(c, h, w)` to target `(c', h', w')` are as many as the products of the
joins `c-c'`, `h-h'` and `w-w'`. So counts over boxes of neurons are products of counts over intervals, and no
array is ever as large as a layer's synapses.

Bounds `(0, b1, ..., n)`, ascending, cut an axis of n indices into intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from avnir.ir.operation import Array

Bounds = tuple[int, ...]


def even(size: int, parts: int) -> Bounds:
    """`parts` intervals of `size` indices whose lengths differ by at most 1, the longer ones first."""
    short, longer = divmod(size, parts)
    return tuple(i * short + min(i, longer) for i in range(parts + 1))


def full(size: int, length: int) -> Bounds:
    """Intervals of `length` indices each, but the last, which has what is left."""
    return (*range(0, size, length), size)


def lengths(bounds: Bounds) -> Array:
    """The length of each interval, int64."""
    return np.diff(np.asarray(bounds, np.int64))


class Axis(Protocol):
    """How the indices of a source axis are joined with those of a target axis."""

    @property
    def sources(self) -> int:
        """Indices of the source axis."""

    @property
    def targets(self) -> int:
        """Indices of the target axis."""

    def joined(self, source: Bounds, target: Bounds) -> Array:
        """Joined pairs between each source interval and each target interval, int64 `[S, T]`."""


@dataclass(frozen=True)
class Blocks:
    """Groups of `per_source` sources, each joined with all of its group's `per_target` targets."""

    groups: int
    per_source: int
    per_target: int

    @property
    def sources(self) -> int:
        return self.groups * self.per_source

    @property
    def targets(self) -> int:
        return self.groups * self.per_target

    def joined(self, source: Bounds, target: Bounds) -> Array:
        into = _overlaps(source, range(0, (self.groups + 1) * self.per_source, self.per_source))
        out_of = _overlaps(target, range(0, (self.groups + 1) * self.per_target, self.per_target))
        return into @ out_of.T


def _overlaps(bounds: Bounds, groups: range) -> Array:
    """Indices that each interval has in each group, int64 `[intervals, groups]`."""
    cuts, edges = np.asarray(bounds, np.int64), np.asarray(groups, np.int64)
    low = np.maximum(cuts[:-1, None], edges[None, :-1])
    high = np.minimum(cuts[1:, None], edges[None, 1:])
    return np.maximum(high - low, 0)


@dataclass(frozen=True)
class Window:
    """Target o is joined with source `o * stride - padding + j * dilation` for j in `[0, kernel)`."""

    sources: int
    targets: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    def joined(self, source: Bounds, target: Bounds) -> Array:
        from_, to = self._pairs()
        rows = np.searchsorted(source, from_, side="right") - 1
        columns = np.searchsorted(target, to, side="right") - 1
        shape = len(source) - 1, len(target) - 1
        flat = np.bincount(rows * shape[1] + columns, minlength=math.prod(shape))
        return flat.reshape(shape).astype(np.int64)

    def _pairs(self) -> tuple[Array, Array]:
        taps = np.arange(self.kernel) * self.dilation - self.padding
        sources = np.arange(self.targets)[:, None] * self.stride + taps
        inside = (sources >= 0) & (sources < self.sources)
        targets = np.broadcast_to(np.arange(self.targets)[:, None], sources.shape)
        return sources[inside], targets[inside]


def units(size: int) -> Bounds:
    """Intervals of one index each."""
    return tuple(range(size + 1))


def parts_of(bounds: Bounds) -> Array:
    """The interval of each index, int64 `[n]`."""
    return np.repeat(np.arange(len(bounds) - 1), lengths(bounds))


def member(bounds: Bounds) -> Array:
    """`[n, intervals]`: whether an index lies in an interval, 0 or 1."""
    return np.eye(len(bounds) - 1, dtype=np.int64)[parts_of(bounds)]
