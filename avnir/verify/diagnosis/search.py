"""Hypotheses about single synapses: the weight is solved for.

The first neuron that differs says which numbers are possible: all are tried at once on that neuron alone, and
only those that give every one of its spikes, in every sample, are tried on the whole layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from avnir.ir.operation import Array
from avnir.numerics import fixed
from avnir.verify.diagnosis.case import Case, Hypothesis, wire_with
from avnir.verify.diagnosis.neuron import Cell, integrate
from avnir.verify.diagnosis.parameters import INTEGER, INTEGRATING
from avnir.verify.diagnosis.site import Site, Wire
from avnir.verify.diagnosis.synapses import Synapses, synapses

Place = tuple[int, ...]

CHUNK = 1 << 20
"""Values of one step of all numbers at once, times the steps: what is held in memory."""
TRIED = 24
"""Of the numbers that explain the first neuron, so many are tried on the layer, the smallest first."""


@dataclass(frozen=True)
class Edit:
    """A weight of one synapse into the first neuron that differs: `change` is added to it."""

    wire: int
    synapse: int
    change: int


def single_weights(wanted: Callable[[int, int], bool], words: str) -> Callable[[Site], Iterator[Case]]:
    """Single synapses by whose change the first differing neuron is explained; `wanted(weight, change)`."""

    def cases(site: Site) -> Iterator[Case]:
        neuron = site.place[2:]
        known = [synapses(wire, _flat(site, neuron)) for wire in site.wires]
        fitting = [e for e in edits(site) if wanted(int(known[e.wire].weights[e.synapse]), e.change)]
        for edit in fitting[:TRIED]:
            yield _weight_case(site.wires[edit.wire], known[edit.wire], edit, words)

    return cases


def _weight_case(wire: Wire, into: Synapses, edit: Edit, words: str) -> Case:
    own = int(into.weights[edit.synapse])
    detail = f"{wire.name}, {into.named(edit.synapse)}: {words.format(new=own + edit.change, own=own)}"
    place, made = into.places[edit.synapse], np.int8(own + edit.change)

    def change(wire: Wire) -> Wire:
        weight = wire.op.weight.copy()
        weight[place] = made
        return wire.altered(weight=weight)

    return Case(detail, wire_with(edit.wire, change))


def silent_sources(site: Site) -> Iterator[Case]:
    """All synapses from one source neuron, or channel of a convolution, are missing."""
    neuron = site.place[2:]
    for index, wire in enumerate(site.wires):
        into = synapses(wire, _flat(site, neuron))
        for source in _dispensable(site, neuron, into)[:TRIED]:
            detail = f"{wire.name}: no synapse from {into.word} {source} of {wire.source}"
            yield Case(detail, wire_with(index, _without(into.without_source, source)))


def _dispensable(site: Site, neuron: Place, into: Synapses) -> list[int]:
    """The sources without which the first differing neuron is explained."""
    sources, which = np.unique(into.sources, return_inverse=True)
    brought = np.zeros((*into.sent.shape[:2], len(sources)), np.int64)
    np.add.at(np.moveaxis(brought, -1, 0), which, np.moveaxis(into.sent * into.weights, -1, 0))
    arriving = column(site.arriving, neuron)
    cell = Cell.of(site.node.op).of_neuron(site.shape, neuron)  # type: ignore[arg-type]

    def left(sample: int, chosen: Array) -> Array:
        lost = brought[:, sample][:, chosen] << into.exponent
        return integrate(cell, arriving[:, sample, None] - lost).sent

    return [int(sources[k]) for k in surviving(site, neuron, np.arange(len(sources)), left)]


def silent_targets(site: Site) -> Iterator[Case]:
    """All synapses into the first differing neuron, or channel, are missing in one connection."""
    neuron = site.place[2:]
    for index, wire in enumerate(site.wires):
        into = synapses(wire, _flat(site, neuron))
        detail = f"{wire.name}: no synapse into {into.word} {into.target}"
        yield Case(detail, wire_with(index, _without(into.without_target, into.target)))


def _without(remove: Callable[[Wire, int], Wire], number: int) -> Callable[[Wire], Wire]:
    return lambda wire: remove(wire, number)


@lru_cache(maxsize=2)
def edits(site: Site) -> list[Edit]:
    """Every change of one synapse that explains the first differing neuron, the smallest first."""
    step, sample, *neuron = site.place
    found: list[Edit] = []
    for index, wire in enumerate(site.wires):
        into = synapses(wire, _flat(site, tuple(neuron)))
        active = np.flatnonzero(np.any(into.sent[: step + 1, sample], axis=0))
        which, change = _changes(into, active)
        added = into.sent.astype(np.int64)
        kept = _fitting(site, tuple(neuron), _Added(added, which, change, into.exponent))
        found += [Edit(index, int(which[k]), int(change[k])) for k in kept]
    return sorted(found, key=lambda edit: (abs(edit.change), edit.wire, edit.synapse))


def _changes(into: Synapses, active: Array) -> tuple[Array, Array]:
    """Every other weight of these synapses: which synapse, and the difference."""
    values = np.arange(fixed.WEIGHT.low, fixed.WEIGHT.high + 1)
    which = np.repeat(active, len(values))
    change = np.tile(values, len(active)) - into.weights[which].astype(np.int64)
    return which[change != 0], change[change != 0]


@dataclass(frozen=True)
class _Added:
    """What candidate changes add to what reaches one neuron: `sent` `[T, B, synapses]`."""

    sent: Array
    which: Array
    change: Array
    exponent: int

    def of(self, sample: int, chosen: Array) -> Array:
        """`[T, chosen]`."""
        return (self.sent[:, sample][:, self.which[chosen]] * self.change[chosen]) << self.exponent


def _fitting(site: Site, neuron: Place, added: _Added) -> Array:
    """The changes that give every spike of a neuron in all samples; the differing samples are tried first."""
    arriving = column(site.arriving, neuron)
    cell = Cell.of(site.node.op).of_neuron(site.shape, neuron)  # type: ignore[arg-type]

    def explained(sample: int, chosen: Array) -> Array:
        return integrate(cell, arriving[:, sample, None] + added.of(sample, chosen)).sent

    return surviving(site, neuron, np.arange(len(added.which)), explained)


def surviving(site: Site, neuron: Place, left: Array, sent: Callable[[int, Array], Array]) -> Array:
    """What of `left` gives a neuron's every answer; `sent(sample, chosen)` `[T, chosen]`."""
    theirs, ours = (column(a, neuron) for a in (site.theirs["sent"], site.plain.sent))
    unlike = np.any(theirs != ours, axis=0)
    size = max(CHUNK // len(theirs), 1)
    for sample in [*np.flatnonzero(unlike), *np.flatnonzero(~unlike)]:
        parts = [left[k : k + size] for k in range(0, len(left), size)]
        right = [np.all(sent(sample, part) == theirs[:, sample, None], axis=0) for part in parts]
        kept = [part[fits] for part, fits in zip(parts, right, strict=True)]
        left = np.concatenate([left[:0], *kept])
    return left


def column(array: Array, neuron: Place) -> Array:
    """One neuron's values, int64 `[T, B]`."""
    place: tuple[slice | int, ...] = (slice(None), slice(None), *neuron)
    return np.asarray(array[place], np.int64)


def _flat(site: Site, neuron: Place) -> int:
    return int(np.ravel_multi_index(neuron, site.shape))


SYNAPSES = (
    Hypothesis(
        "one weight off by one",
        "one synapse has a weight that is one step off",
        "Compare this weight with the program's: a rounding, or a bit that was lost on the way.",
        single_weights(lambda own, change: abs(change) == 1, "weight {new} in place of {own}"),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "synapse missing",
        "one synapse is not there",
        "Build every synapse, and look whether a small weight was taken for none.",
        single_weights(lambda own, change: own + change == 0, "it is not there; ours weighs {own}"),
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "synapses from one source missing",
        "no synapse of one source is there",
        "Look for the axon of this source: whether it was placed, and whether its spikes are sent.",
        silent_sources,
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "synapses into one target missing",
        "a connection reaches one target not at all",
        "Look for the synapses of this target: whether its core holds them.",
        silent_targets,
        INTEGRATING,
        INTEGER,
    ),
    Hypothesis(
        "one weight",
        "one synapse has another weight",
        "Compare this weight with the program's.",
        single_weights(
            lambda own, change: abs(change) > 1 and own + change != 0, "weight {new} in place of {own}"
        ),
        INTEGRATING,
        INTEGER,
    ),
)
