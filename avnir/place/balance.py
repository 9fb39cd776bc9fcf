"""Cuts that give every piece about the same work, where some neurons have more to do than others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import Bounds, units
from avnir.place.grid import Grid, whole
from avnir.place.network import Layer, Network
from avnir.place.work import Spikes, layer_work

_AXES = ("channels", "rows", "columns")


def balanced(network: Network, layer: Layer, grid: Grid, mean: Spikes | None) -> Grid:
    """As many intervals on each axis as `grid` has, of about equal work."""
    for axis, name in enumerate(_AXES):
        if grid.shape[axis] > 1:
            slices = replace(whole(layer.box), **{name: units(layer.box[axis])})
            bounds = equal(layer_work(network, layer, slices, mean).ravel(), grid.shape[axis])
            grid = replace(grid, **{name: bounds})
    return grid


def equal(work: Array, parts: int) -> Bounds:
    """`parts` intervals, none empty, whose work is as near to equal as cuts at the quantiles make it."""
    size, total = len(work), np.cumsum(work)
    wanted = total[-1] * np.arange(1, parts) / parts
    before = np.concatenate([[0], total[:-1]])
    cuts = [0, *np.searchsorted((total + before) / 2, wanted).tolist(), size]
    for index in range(1, parts):
        cuts[index] = min(max(cuts[index], cuts[index - 1] + 1), size - parts + index)
    return tuple(cuts)
