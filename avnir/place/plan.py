"""The mapping of a network onto cores: grids, and the core of every piece."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avnir.ir.operation import Array
from avnir.place.balance import balanced
from avnir.place.grid import cut
from avnir.place.memory import Grids
from avnir.place.pack import EXHAUSTIVE, busiest, pack
from avnir.place.partition import TooLargeError, all_fit, finer, packed_tight, partition, resources
from avnir.place.problem import Problem
from avnir.place.resources import NAMES
from avnir.place.work import work

MOST_CHOICES = 32
"""Mixtures of the two cuts of each layer that are tried for small networks."""

FEW_PIECES = 64
"""Layers of up to this many pieces are tried in finer cuts, whose pieces may fill what others leave."""


@dataclass(frozen=True)
class Plan:
    """`counts` `[P, 7]`, `work` `[P]` and `cores` `[P]` of all pieces, layer by layer in grid order."""

    grids: Grids
    counts: Array
    work: Array
    cores: Array

    @property
    def used(self) -> int:
        """Cores that are used."""
        return int(self.cores.max()) + 1


def plan(problem: Problem) -> Plan:
    """The best mapping found: fewest cores, then the least work on the busiest.

    Layers are cut evenly, or tight so that rests share a core; small networks try every mixture. Then layers
    of few pieces are cut finer where that helps, what shares no core is cut evenly, and cuts are moved to
    where the work is. Raises `avnir.place.partition.TooLargeError`.
    """
    even = partition(problem)
    tight = packed_tight(problem, even)
    tried = [_packed(problem, grids) for grids in _mixtures(problem, even, tight)]
    best = _filled(problem, min(tried, key=_cost))
    best = min([best, _relaxed(problem, best)], key=_cost)
    return _balanced(problem, best)


def _cost(made: Plan) -> tuple[int, float]:
    return made.used, busiest(made.cores, made.work)


def _mixtures(problem: Problem, even: Grids, tight: Grids) -> Iterator[Grids]:
    yield even
    differ = [name for name in problem.network.layers if tight[name] != even[name]]
    pieces = sum(grid.pieces for grid in even.values())
    small = pieces <= EXHAUSTIVE and 2 ** len(differ) <= MOST_CHOICES
    choices = itertools.product((False, True), repeat=len(differ)) if small else [(True,) * len(differ)]
    for choice in choices:
        wanted = [name for name, tighter in zip(differ, choice, strict=True) if tighter]
        mixed = {**even, **{name: tight[name] for name in wanted}}
        if wanted and all_fit(problem, mixed):
            yield mixed


def _packed(problem: Problem, grids: Grids) -> Plan:
    counts = np.concatenate([c.reshape(-1, len(NAMES)) for c in resources(problem, grids).values()])
    done = np.concatenate([each.ravel() for each in work(problem.network, grids, problem.mean).values()])
    return Plan(grids, counts, done, pack(counts, done, problem.core))


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
            grids = {**made.grids, layer.name: grid}
            if all_fit(problem, grids):
                made = min([made, _packed(problem, grids)], key=_cost)
            extra *= 2
    return made


def _relaxed(problem: Problem, made: Plan) -> Plan:
    """The same with layers that share no core cut evenly."""
    alone = np.bincount(made.cores)[made.cores] == 1
    ends = np.cumsum([made.grids[name].pieces for name in problem.network.layers])
    private = [bool(a.all()) for a in np.split(alone, ends[:-1])]
    grids = {
        name: cut(layer.box, made.grids[name].shape) if own else made.grids[name]
        for (name, layer), own in zip(problem.network.layers.items(), private, strict=True)
    }
    if not all_fit(problem, grids):
        return made
    return _packed(problem, grids)


def _balanced(problem: Problem, made: Plan) -> Plan:
    """The mapping with one layer after the other cut into pieces of equal work, where that costs less."""
    for name, layer in problem.network.layers.items():
        grids = {**made.grids, name: balanced(problem.network, layer, made.grids[name], problem.mean)}
        if grids[name] != made.grids[name] and all_fit(problem, grids):
            made = min([made, _packed(problem, grids)], key=_cost)
    return made
