"""Tiles and routes by hand."""

from __future__ import annotations

import numpy as np
import pytest

from avnir import target
from avnir.place.mesh import EAST, NORTH, SOUTH, WEST, Mesh, mesh


def test_cores_run_back_and_forth() -> None:
    small = Mesh(3, 2, 4)
    assert [small.tile(core) for core in (0, 3, 4, 8, 12, 16, 20)] == [0, 0, 1, 2, 5, 4, 3]


@pytest.mark.parametrize("name", target.names())
def test_every_core_of_a_chip_has_a_tile(name: str) -> None:
    limits = target.load(name).limits
    chip = mesh(limits)
    tiles = [chip.tile(core) for core in range(chip.tiles * chip.cores_per_tile)]
    assert np.bincount(tiles).tolist() == [chip.cores_per_tile] * chip.tiles
    assert limits.cores.value <= len(tiles)


def test_a_message_goes_along_the_row_first() -> None:
    chip = Mesh(3, 3, 1)
    links = chip.routes[0 * 9 + 8].nonzero()[0]  # from (0, 0) to (2, 2)
    assert links.tolist() == [4 * 0 + EAST, 4 * 1 + EAST, 4 * 2 + SOUTH, 4 * 5 + SOUTH]
    back = chip.routes[8 * 9 + 0].nonzero()[0]
    assert sorted(back) == sorted([4 * 8 + WEST, 4 * 7 + WEST, 4 * 6 + NORTH, 4 * 3 + NORTH])


def test_a_route_is_as_long_as_the_way() -> None:
    chip = Mesh(4, 3, 2)
    for a in range(12):
        for b in range(12):
            way = abs(a // 4 - b // 4) + abs(a % 4 - b % 4)
            assert chip.routes[a * 12 + b].sum() == way
