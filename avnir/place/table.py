"""A placement as rows of text, for the command line and the report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avnir.place.placement import Piece, Placement
from avnir.place.resources import COLUMNS, NAMES, Capacity, capacity
from avnir.target import Target

Row = tuple[str, ...]


def core_rows(placement: Placement, target: Target) -> tuple[Row, list[Row]]:
    """Head and one row a core: chip, core, pieces, count of each limited column, share of the core."""
    core = capacity(target.limits)
    shown = _limited(core)
    head = ("chip", "core", "pieces", *(COLUMNS[i] for i in shown), "total %")
    rows = []
    for address in placement.addresses:
        taken = placement.taken(address)
        pieces = ", ".join(_text(piece, placement) for piece in placement.on(address))
        counts = (str(taken[i]) for i in shown)
        rows.append((str(address[0]), str(address[1]), pieces, *counts, f"{100 * core.share(taken):.2f}"))
    return head, rows


def layer_rows(placement: Placement, target: Target) -> tuple[Row, list[Row]]:
    """Head and one row a layer: largest piece, pieces, the most of each column in one, the scarcest."""
    core = capacity(target.limits)
    shown = _limited(core)
    head = ("layer", "largest piece", "pieces", *(COLUMNS[i] for i in shown), "scarcest", "total %")
    rows = []
    for name, pieces in placement.layers.items():
        most = np.array([piece.resources for piece in pieces], np.int64).max(axis=0)
        shares = core.shares(most)
        scarcest = max(shares, key=lambda column: shares[column])
        share = max(float(core.share(np.array(piece.resources, np.int64))) for piece in pieces)
        counts = (str(most[i]) for i in shown)
        largest = max(pieces, key=lambda piece: piece.neurons)
        rows.append((name, _size(largest), str(len(pieces)), *counts, scarcest, f"{100 * share:.2f}"))
    return head, rows


def _limited(core: Capacity) -> list[int]:
    return [i for i in range(len(NAMES)) if core.each[i] != np.iinfo(np.int64).max]


def _size(piece: Piece) -> str:
    return " x ".join(str(stop - start) for start, stop in (piece.channels, piece.rows, piece.columns))


def _text(piece: Piece, placement: Placement) -> str:
    """The layer, and its ranges on the axes that are cut."""
    grid = placement.grids[piece.layer]
    named = zip("CHW", (piece.channels, piece.rows, piece.columns), grid.shape, strict=True)
    cuts = list(_ranges(named))
    return f"{piece.layer}[{', '.join(cuts)}]" if cuts else piece.layer


def _ranges(named: Iterator[tuple[str, tuple[int, int], int]]) -> Iterator[str]:
    return (f"{axis} {start}:{stop}" for axis, (start, stop), parts in named if parts > 1)
