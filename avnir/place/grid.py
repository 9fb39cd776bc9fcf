"""A layer cut into boxes: a grid of intervals over `(C, H, W)`; each box is one piece, on one core."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import Bounds, even, lengths
from avnir.place.network import Box, Link


@dataclass(frozen=True)
class Grid:
    """The bounds of the intervals on each axis; pieces are numbered row-major over `(C, H, W)`."""

    channels: Bounds
    rows: Bounds
    columns: Bounds

    @property
    def bounds(self) -> tuple[Bounds, Bounds, Bounds]:
        return self.channels, self.rows, self.columns

    @property
    def shape(self) -> tuple[int, int, int]:
        """Intervals on each axis."""
        return len(self.channels) - 1, len(self.rows) - 1, len(self.columns) - 1

    @property
    def pieces(self) -> int:
        return math.prod(self.shape)

    def boxes(self) -> Iterator[tuple[tuple[int, int], ...]]:
        """The `(start, stop)` of each piece on each axis, in the order of the pieces."""
        for at in np.ndindex(*self.shape):
            yield tuple((b[i], b[i + 1]) for b, i in zip(self.bounds, at, strict=True))


def whole(box: Box) -> Grid:
    """One piece."""
    return cut(box, (1, 1, 1))


def cut(box: Box, parts: Sequence[int]) -> Grid:
    """So many intervals on each axis, of lengths that differ by at most 1."""
    channels, rows, columns = (even(size, count) for size, count in zip(box, parts, strict=True))
    return Grid(channels, rows, columns)


def product(vectors: Sequence[Array]) -> Array:
    """`[C, H, W]`: the products of one entry of each of three vectors."""
    channels, rows, columns = vectors
    return np.asarray(channels)[:, None, None] * np.asarray(rows)[:, None] * np.asarray(columns)


def neurons(grid: Grid) -> Array:
    """Neurons of each piece, int64 `[C, H, W]`."""
    return product([lengths(bounds) for bounds in grid.bounds])


def synapses(link: Link, target: Grid) -> Array:
    """Stored synapses of a link in each piece of its target, weights of zero included, int64 `[C, H, W]`."""
    every = [
        axis.joined((0, axis.sources), bounds)[0]
        for axis, bounds in zip(link.axes, target.bounds, strict=True)
    ]
    return product(every)


def reached(link: Link, source: Grid, target: Grid) -> Array:
    """Target pieces that each source piece can reach, int64 `[C, H, W]` of the source grid."""
    counts = [
        (axis.joined(s, t) > 0).sum(axis=1)
        for axis, s, t in zip(link.axes, source.bounds, target.bounds, strict=True)
    ]
    return product(counts)
