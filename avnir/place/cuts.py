"""How all layers are cut, with what every piece takes and does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from avnir.ir.operation import Array
from avnir.place.memory import Grids
from avnir.place.problem import Problem
from avnir.place.resources import NAMES, Capacity
from avnir.place.work import layer_work


@dataclass(frozen=True)
class Cuts:
    """By layer: its grid, and of each of its pieces the resources `[C, H, W, 7]` and the work `[C, H, W]`."""

    grids: Grids
    taken: Mapping[str, Array]
    done: Mapping[str, Array]

    @cached_property
    def counts(self) -> Array:
        """Resources of all pieces, int64 `[P, 7]`, layer by layer in grid order."""
        return np.concatenate([each.reshape(-1, len(NAMES)) for each in self.taken.values()])

    @cached_property
    def work(self) -> Array:
        """Work of all pieces, float64 `[P]`."""
        return np.concatenate([each.ravel() for each in self.done.values()])

    def fit(self, core: Capacity) -> bool:
        """Whether each piece fits a core."""
        return bool(core.fits(self.counts).all())

    def least(self, core: Capacity) -> tuple[int, float]:
        """No packing of the pieces has fewer cores, and none less work on its busiest core."""
        return core.least(self.counts), float(self.work.max())


UNCUT = Cuts({}, {}, {})
"""Nothing is counted yet."""


def counted(problem: Problem, grids: Grids, known: Cuts = UNCUT) -> Cuts:
    """The layers cut so; counted anew are only those cut otherwise than in `known`, and what feeds them.

    What a piece takes depends on how its own layer and the layers that it feeds are cut, what it does on how
    its own layer is.
    """
    network = problem.network
    cut = {name for name in network.layers if grids[name] != known.grids.get(name)}
    feeding = {link.source for link in network.links if link.target in cut}
    taken = {
        name: problem.rules.taken(network, layer, grids) if name in cut | feeding else known.taken[name]
        for name, layer in network.layers.items()
    }
    done = {
        name: layer_work(network, layer, grids[name], problem.mean) if name in cut else known.done[name]
        for name, layer in network.layers.items()
    }
    return Cuts(grids, taken, done)
