"""Cores on the mesh of a chip, and the way of messages over it.

Tiles of a few cores each lie in rows of a mesh; core numbers run along the rows, back and forth, so that
neighbours in number are neighbours on the chip. A message goes along its row first, then along the column
(XY routing), one link a hop. Where the chip's own tools would put a core is not published: assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.ir.operation import Array
from avnir.target import Limits

EAST, WEST, SOUTH, NORTH = range(4)
"""The links that leave a tile."""


@dataclass(frozen=True)
class Mesh:
    """A chip's tiles; link `4 * tile + direction` leaves that tile."""

    columns: int
    rows: int
    cores_per_tile: int

    @property
    def tiles(self) -> int:
        return self.columns * self.rows

    def tile(self, core: int) -> int:
        """The tile `row * columns + column` of a core."""
        row, along = divmod(core // self.cores_per_tile, self.columns)
        return row * self.columns + (self.columns - 1 - along if row % 2 else along)

    @cached_property
    def routes(self) -> Array:
        """Which links a message from tile a to tile b takes: float64 `[a * tiles + b, links]`, 0 or 1."""
        taken = np.zeros((self.tiles * self.tiles, 4 * self.tiles))
        for a in range(self.tiles):
            for b in range(self.tiles):
                taken[a * self.tiles + b, list(self._links(a, b))] = 1
        return taken

    def _links(self, a: int, b: int) -> Iterator[int]:
        (row, column), (last_row, last_column) = divmod(a, self.columns), divmod(b, self.columns)
        while column != last_column:
            east = last_column > column
            yield 4 * (row * self.columns + column) + (EAST if east else WEST)
            column += 1 if east else -1
        while row != last_row:
            south = last_row > row
            yield 4 * (row * self.columns + column) + (SOUTH if south else NORTH)
            row += 1 if south else -1


def mesh(limits: Limits) -> Mesh:
    """The mesh of a chip."""
    return Mesh(limits.mesh_columns.value, limits.mesh_rows.value, limits.cores_per_tile.value)
