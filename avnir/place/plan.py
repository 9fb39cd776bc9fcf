"""The mapping of a network onto cores: grids, and the core of every piece."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array
from avnir.place.balance import balanced
from avnir.place.cuts import Cuts, counted
from avnir.place.grid import cut
from avnir.place.memory import Grids
from avnir.place.pack import EXHAUSTIVE, busiest, pack
from avnir.place.partition import TooLargeError, finer, packed_tight, partition
from avnir.place.problem import Problem

MOST_CHOICES = 32
"""Mixtures of the two cuts of each layer that are tried for small networks."""

FEW_PIECES = 64
"""Layers of up to this many pieces are tried in finer cuts, whose pieces may fill what others leave."""


@dataclass(frozen=True)
class Plan:
    """The pieces of all layers, and the core of each, int64 `[P]`, layer by layer in grid order."""

    cuts: Cuts
    cores: Array

    @property
    def grids(self) -> Grids:
        """How each layer is cut."""
        return self.cuts.grids

    @property
    def used(self) -> int:
        """Cores that are used."""
        return int(self.cores.max()) + 1

    @property
    def cost(self) -> tuple[int, float]:
        """Cores, then work of the busiest: what is kept low."""
        return self.used, busiest(self.cores, self.cuts.work)


def plan(problem: Problem) -> Plan:
    """The best mapping found: fewest cores, then the least work on the busiest.

    Layers are cut evenly, or tight so that rests share a core; small networks try every mixture. Then layers
    of few pieces are cut finer where that helps, what shares no core is cut evenly, and cuts are moved to
    where the work is. Raises `avnir.place.partition.TooLargeError`.
    """
    even = partition(problem)
    best = _packed(problem, counted(problem, even))
    for grids in _mixtures(problem, even, packed_tight(problem, even)):
        best = _better(problem, best, grids)
    best = _filled(problem, best)
    best = _better(problem, best, _relaxed(problem, best))
    return _balanced(problem, best)


def _packed(problem: Problem, cuts: Cuts) -> Plan:
    return Plan(cuts, pack(cuts.counts, cuts.work, problem.core))


def _better(problem: Problem, made: Plan, grids: Grids) -> Plan:
    """The mapping with layers cut so, if they fit and it costs less; else the one that there is."""
    cuts = counted(problem, grids, made.cuts)
    if not cuts.fit(problem.core) or cuts.least(problem.core) >= made.cost:
        return made
    return min([made, _packed(problem, cuts)], key=lambda each: each.cost)


def _mixtures(problem: Problem, even: Grids, tight: Grids) -> Iterator[Grids]:
    """Some layers cut tight, the others evenly."""
    differ = [name for name in problem.network.layers if tight[name] != even[name]]
    pieces = sum(grid.pieces for grid in even.values())
    small = pieces <= EXHAUSTIVE and 2 ** len(differ) <= MOST_CHOICES
    choices = itertools.product((False, True), repeat=len(differ)) if small else [(True,) * len(differ)]
    for choice in choices:
        wanted = [name for name, tighter in zip(differ, choice, strict=True) if tighter]
        yield {**even, **{name: tight[name] for name in wanted}}


def _filled(problem: Problem, made: Plan) -> Plan:
    """The mapping with one layer after the other in finer cuts, where that costs less."""
    for layer in problem.network.layers.values():
        pieces = made.grids[layer.name].pieces
        extra = 1
        while pieces <= FEW_PIECES and extra <= pieces:
            try:
                grid = finer(problem, layer, made.grids, pieces + extra)
            except TooLargeError:
                break
            made = _better(problem, made, {**made.grids, layer.name: grid})
            extra *= 2
    return made


def _relaxed(problem: Problem, made: Plan) -> Grids:
    """The same cuts, but even in layers that share no core."""
    alone = np.bincount(made.cores)[made.cores] == 1
    ends = np.cumsum([made.grids[name].pieces for name in problem.network.layers])
    private = [bool(a.all()) for a in np.split(alone, ends[:-1])]
    return {
        name: cut(layer.box, made.grids[name].shape) if own else made.grids[name]
        for (name, layer), own in zip(problem.network.layers.items(), private, strict=True)
    }


def _balanced(problem: Problem, made: Plan) -> Plan:
    """The mapping with one layer after the other cut into pieces of equal work, where that costs less."""
    for name, layer in problem.network.layers.items():
        grid = balanced(problem.network, layer, made.grids[name], problem.mean)
        if grid != made.grids[name]:
            made = _better(problem, made, {**made.grids, name: grid})
    return made
