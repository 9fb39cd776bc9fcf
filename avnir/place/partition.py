"""How a layer is cut: the fewest pieces that fit a core each, and of those the cheapest.

What a piece takes depends on how the layers that it feeds are cut (the cores that it must reach), in loops
even on itself. So layers are cut from the outputs to the inputs, again and again, until every piece fits; a
layer is only ever cut finer, so this ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avnir.ir.operation import Array
from avnir.place.axis import full
from avnir.place.grid import Grid, cut, whole
from avnir.place.memory import Grids
from avnir.place.network import Layer
from avnir.place.problem import Problem
from avnir.place.resources import pooled


class TooLargeError(Exception):
    """A layer of which not even single neurons fit a core each."""

    def __init__(self, layer: str) -> None:
        super().__init__(layer)
        self.layer = layer


def partition(problem: Problem) -> Grids:
    """A grid for every layer, each piece of which fits a core; TooLargeError where there is none."""
    grids = {name: whole(layer.box) for name, layer in problem.network.layers.items()}
    settled = False
    while not settled:
        settled = True
        for layer in reversed(list(problem.network.layers.values())):
            if not fits(problem, layer, grids):
                grids[layer.name] = finer(problem, layer, grids)
                settled = False
    return grids


def fits(problem: Problem, layer: Layer, grids: Grids) -> bool:
    """Whether every piece of the layer fits a core."""
    return bool(problem.core.fits(problem.rules.taken(problem.network, layer, grids)).all())


def finer(problem: Problem, layer: Layer, grids: Grids, least: int = 0) -> Grid:
    """The grid of the fewest pieces that fit, not fewer than the layer has now nor than `least`.

    Raises TooLargeError where there is none.
    """
    for parts in _choices(problem, layer, max(least, grids[layer.name].pieces)):
        grid = cut(layer.box, parts)
        if fits(problem, layer, {**grids, layer.name: grid}):
            return grid
    raise TooLargeError(layer.name)


def _choices(problem: Problem, layer: Layer, least: int) -> Iterator[tuple[int, int, int]]:
    """Parts on each axis whose largest piece may fit: fewest pieces first, then least memory in all."""
    parts = np.meshgrid(*(_distinct_parts(size) for size in layer.box), indexing="ij")
    flat = [axis.ravel() for axis in parts]
    pieces = flat[0] * flat[1] * flat[2]
    sizes = [-(-size // count) for size, count in zip(layer.box, flat, strict=True)]
    taken = problem.rules.least(problem.network, layer, sizes)
    may = problem.core.fits(taken) & (pieces >= least)
    memory = pieces * pooled(taken)
    order = np.lexsort((flat[0], flat[1], memory, pieces))
    for index in order[may[order]]:
        yield int(flat[0][index]), int(flat[1][index]), int(flat[2][index])


def _distinct_parts(size: int) -> Array:
    """The least number of parts for each length that a part can have, ascending."""
    lengths = np.unique(-(-size // np.arange(1, size + 1)))
    return np.unique(-(-size // lengths))


def packed_tight(problem: Problem, grids: Grids) -> Grids:
    """As many pieces, but each as long as fits on the axis of most parts, so that one small rest is left."""
    tight: dict[str, Grid] = dict(grids)
    for layer in problem.network.layers.values():
        for grid in _stretched(layer, tight[layer.name]):
            if fits(problem, layer, {**tight, layer.name: grid}):
                tight[layer.name] = grid
                break
    return tight if all_fit(problem, tight) else grids


def all_fit(problem: Problem, grids: Grids) -> bool:
    """Whether every piece of every layer fits a core."""
    return all(fits(problem, layer, grids) for layer in problem.network.layers.values())


def _stretched(layer: Layer, grid: Grid) -> Iterator[Grid]:
    """The grid with longer intervals on its most cut axis and a shorter last one, the longest first."""
    axis = int(np.argmax(grid.shape))
    size, parts = layer.box[axis], grid.shape[axis]
    if parts == 1:
        return
    shortest, longest = -(-size // parts), (size - 1) // (parts - 1)
    for length in range(longest, shortest, -1):
        bounds = [*grid.bounds]
        bounds[axis] = full(size, length)
        yield Grid(*bounds)
