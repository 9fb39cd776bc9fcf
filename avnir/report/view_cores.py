"""The cores of each chip as they lie on its mesh, with how full they are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from avnir.cost.latency import Latency
from avnir.place.mesh import Mesh, mesh
from avnir.place.placement import Placement
from avnir.place.resources import capacity
from avnir.place.table import core_rows
from avnir.report.figures import TIMES, Table, counted, listed, percent, size, table, whole
from avnir.target import Target

CELL = 46
"""Pixels of a core's side."""
TILE_GAP = 8
CHIPS = 8
"""Chips that are drawn."""
SHADES = 5


@dataclass(frozen=True)
class CoreView:
    """A core: its place in pixels, its shade 1 to SHADES or 0 where it is free."""

    left: int
    top: int
    number: str
    share: str
    shade: int
    busiest: bool
    title: str


@dataclass(frozen=True)
class ChipView:
    """The map of one chip."""

    title: str
    width: int
    height: int
    cores: tuple[CoreView, ...]


@dataclass(frozen=True)
class CoresView:
    """Maps of the chips, sentences about them, and the table of all cores."""

    chips: tuple[ChipView, ...]
    summary: tuple[str, ...]
    shades: tuple[str, ...]
    table: Table


def cores_view(placement: Placement, chip: Target, timed: Latency | None) -> CoresView:
    """The maps; `timed` says which core is the busiest."""
    busiest = None if timed is None else placement.addresses[timed.busiest[0]]
    used = sorted({number for number, _ in placement.addresses})[:CHIPS]
    return CoresView(
        tuple(_chip(number, placement, chip, busiest) for number in used),
        tuple(_summary(placement, chip, timed)),
        tuple(f"{100 * i // SHADES} to {100 * (i + 1) // SHADES} %" for i in range(SHADES)),
        table("Every core that is used", *core_rows(placement, chip)),
    )


def _summary(placement: Placement, chip: Target, timed: Latency | None) -> Iterator[str]:
    there = (
        f"{placement.chips}{TIMES}{placement.cores_per_chip}"
        if placement.chips > 1
        else placement.cores_per_chip
    )
    core = capacity(chip.limits)
    shares = {address: float(core.share(placement.taken(address))) for address in placement.addresses}
    fullest = max(shares, key=lambda address: shares[address])
    yield (
        f"{whole(placement.neurons)} neurons and {whole(placement.synaptic_words)} words of synaptic memory "
        f"take {placement.cores} of {there} cores. The fullest is core {_named(fullest, placement)}, "
        f"{percent(shares[fullest], 1)} of its memory."
    )
    if timed is not None:
        index, by = timed.busiest
        address = placement.addresses[index]
        layers = listed(dict.fromkeys(piece.layer for piece in placement.on(address)))
        yield (
            f"The busiest is core {_named(address, placement)}, by its {by}: it holds {layers}, and is what "
            "a chip step waits for the longest."
        )
    drawn = len({number for number, _ in placement.addresses})
    if drawn > CHIPS:
        yield f"Drawn are the first {CHIPS} of {drawn} chips; the table has all."


def _named(address: tuple[int, int], placement: Placement) -> str:
    return f"{address[1]} of chip {address[0]}" if placement.chips > 1 else str(address[1])


def _chip(number: int, placement: Placement, chip: Target, busiest: tuple[int, int] | None) -> ChipView:
    lie = mesh(chip.limits)
    cores = tuple(
        _core((number, core), placement, chip, busiest, lie) for core in range(placement.cores_per_chip)
    )
    return ChipView(
        f"{chip.title}, chip {number}: {size((lie.columns, lie.rows))} tiles of {lie.cores_per_tile} cores",
        max(core.left for core in cores) + CELL + 2,
        max(core.top for core in cores) + CELL + 2,
        cores,
    )


def _core(
    address: tuple[int, int], placement: Placement, chip: Target, busiest: tuple[int, int] | None, lie: Mesh
) -> CoreView:
    left, top = _corner(address[1], lie)
    if address not in placement.addresses:
        return CoreView(left, top, str(address[1]), "", 0, False, f"core {address[1]}: free")
    share = float(capacity(chip.limits).share(placement.taken(address)))
    pieces = "; ".join(
        f"{piece.layer}: {counted(piece.neurons, 'neuron')}" for piece in placement.on(address)
    )
    return CoreView(
        left,
        top,
        str(address[1]),
        f"{math.floor(100 * share)}%",
        min(SHADES, 1 + int(share * SHADES)),
        address == busiest,
        f"core {address[1]}: {percent(share, 1)} full{', the busiest' * (address == busiest)}. {pieces}",
    )


def _corner(core: int, lie: Mesh) -> tuple[int, int]:
    """Where a core is drawn: its tile on the mesh, then its place in the tile."""
    row, column = divmod(lie.tile(core), lie.columns)
    across = math.isqrt(lie.cores_per_tile)
    inner_row, inner_column = divmod(core % lie.cores_per_tile, across)
    tall = math.ceil(lie.cores_per_tile / across)
    return (
        1 + (column * across + inner_column) * CELL + column * TILE_GAP,
        1 + (row * tall + inner_row) * CELL + row * TILE_GAP,
    )
