"""A layer cut into boxes: a grid of intervals over `(C, H, W)`; each box is one piece, on one core."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import Bounds, even, lengths, parts_of

Box = tuple[int, int, int]
"""`(C, H, W)`; neurons without such a shape are `(n, 1, 1)`."""


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

    @cached_property
    def owner(self) -> Array:
        """The piece of each neuron, int64 `[C * H * W]`."""
        channels, rows, columns = (parts_of(bounds) for bounds in self.bounds)
        of_rows = channels[:, None] * self.shape[1] + rows
        return (of_rows[:, :, None] * self.shape[2] + columns).ravel()

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


def contracted(values: Array, matrices: list[Array]) -> Array:
    """`[..., C, H, W]` times one matrix on each of the three axes, float64 `[..., c, h, w]`."""
    channels, rows, columns = (matrix.astype(np.float64) for matrix in matrices)
    last = values.astype(np.float64) @ columns
    middle = np.swapaxes(np.swapaxes(last, -1, -2) @ rows, -1, -2)
    return np.moveaxis(np.moveaxis(middle, -3, -1) @ channels, -1, -3)
