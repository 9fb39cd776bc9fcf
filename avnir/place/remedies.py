"""Why a program does not fit, limit by limit and layer by layer, and what would make it fit: all tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from avnir.errors import Finding
from avnir.ir.operation import Array
from avnir.place.axis import Blocks
from avnir.place.grid import Grid, whole
from avnir.place.joins import AllToAll
from avnir.place.memory import Grids
from avnir.place.network import Layer, Link
from avnir.place.partition import finer
from avnir.place.plan import Plan, plan
from avnir.place.problem import Problem
from avnir.place.resources import COLUMNS, NAMES, only, pooled
from avnir.program import Program
from avnir.target import Limit, Target

FEWEST_BITS = 2
LARGEST = 5
"""Layers that are named when the chip has too few cores: those with the most pieces."""


def beyond_the_chip(program: Program, target: Target) -> Iterator[Finding]:
    """What no placement can change: values that are too large, and neurons that the chip does not have."""
    for node in program.graph:
        place = node.source or node.name
        for name, value in node.op.needs().items():  # type: ignore[attr-defined]
            limit: Limit = getattr(target.limits, name)
            if value > limit.value:
                excess = f"{value}, more than the limit of {limit.value} ({limit.source})"
                problem = f"{name.replace('_', ' ')}: {excess}"
                yield Finding(place, problem, "Reduce it, or choose another target.")
    for node in program.graph.neurons:
        if not (node.op.native or target.programmable):  # type: ignore[attr-defined]
            what: str = node.op.microcode  # type: ignore[attr-defined]
            retrained = 'Train with reset_mechanism="zero", reset_delay=False, or choose'
            yield Finding(
                node.source or node.name,
                f"{what} is not the chip's, whose fixed neuron resets to zero and sends binary spikes",
                f"{retrained if node.op.kind == 'Lif' else 'Choose'} a programmable target.",
            )


def too_large(problem: Problem, layer: Layer) -> Finding:
    """Why one neuron of a layer alone does not fit a core, and the most inputs with which it does."""
    core, counts = problem.core, _one_neuron(problem, layer)
    over = [f"{c} {n} of {most}" for c, n, most in zip(COLUMNS, counts, core.each, strict=True) if n > most]
    if pooled(counts) > core.pool:
        parts = ", ".join(f"{c} {n}" for c, n in zip(COLUMNS, counts, strict=True) if n)
        over.append(f"{pooled(counts)} words of the pool of {core.pool} ({parts})")
    taken = f"one neuron alone takes {' and '.join(over) or 'more than a core holds'}"
    return Finding(layer.place, taken, _fewer_inputs(problem, layer))


def _one_neuron(problem: Problem, layer: Layer) -> Array:
    """What the neuron in the middle takes, alone on a core and every other layer on one of its own, `[7]`."""
    bounds = [tuple(sorted({0, size // 2, size // 2 + 1, size})) for size in layer.box]
    at = tuple(b.index(size // 2) for b, size in zip(bounds, layer.box, strict=True))
    grids = {name: whole(other.box) for name, other in problem.network.layers.items()}
    grids[layer.name] = Grid(*bounds)
    return problem.rules.taken(problem.network, layer, grids)[at]


def _fewer_inputs(problem: Problem, layer: Layer) -> str:
    """The most inputs that fit, found by halving, for the largest of the dense links into the layer."""
    dense = [link for link in problem.network.into(layer.name) if link.kind == "dense"]
    if not dense:
        return "Use smaller kernels, fewer channels or fewer listed synapses."
    largest = max(dense, key=lambda link: link.joins.sources)
    low, high = 0, largest.joins.sources
    while high - low > 1:
        middle = (low + high) // 2
        fits = problem.core.fits(_one_neuron(_with_inputs(problem, largest, middle), layer))
        low, high = (middle, high) if fits else (low, middle)
    if low == 0:
        return "Give it fewer connections."
    return f"With at most {low} inputs instead of {largest.joins.sources} through {largest.name} it fits."


def _with_inputs(problem: Problem, link: Link, sources: int) -> Problem:
    """The problem with one link from so many neurons to one."""
    joins = AllToAll(Blocks(1, sources, 1), Blocks(1, 1, 1), Blocks(1, 1, 1))
    links = tuple(
        dataclasses.replace(link, joins=joins) if other is link else other for other in problem.network.links
    )
    return problem.but(dataclasses.replace(problem.network, links=links))


def too_many(problem: Problem, made: Plan, usable: int, chips: int) -> list[Finding]:
    """One finding for the whole program, and one for each of the layers with the most pieces."""
    layers = problem.network.layers.values()
    largest = sorted(layers, key=lambda layer: -made.grids[layer.name].pieces)[:LARGEST]
    cut = [layer for layer in largest if made.grids[layer.name].pieces > 1]
    found = [_layer(problem, layer, made, chips * usable) for layer in cut]
    return [_whole(problem, made, usable, chips), *found]


def _whole(problem: Problem, made: Plan, usable: int, chips: int) -> Finding:
    """Cores in all; tried: fewer bits for all weights, then more cores and chips."""
    lent = chips * usable
    needed = _counted(-(-made.used // usable), "chip")
    remedies = [f"{_counted(made.used - lent, 'more core')} would, that is {needed}"]
    bits, less = _most_bits(problem, problem.network.links, lent)
    if bits is not None:
        remedies.insert(
            0,
            f"{bits}-bit weights would fit ({_counted(less.used, 'core')}, {_words(less)} words of SynMem)",
        )
    neurons = sum(layer.neurons for layer in problem.network.layers.values())
    there = f"one chip has {usable}" if chips == 1 else f"{chips} chips have {lent}"
    ones = "one" if lent == 1 else "ones"
    taken = f"takes {made.used} cores ({neurons} neurons, {_words(made)} words of SynMem)"
    return Finding("the whole program", f"{taken}, but {there} usable {ones}", _sentence(remedies))


def _layer(problem: Problem, layer: Layer, made: Plan, lent: int) -> Finding:
    """What binds in one layer; tried: fewer bits for its weights alone."""
    pieces = made.grids[layer.name].pieces
    bound = _bound(list(binding(problem, layer, made.grids)))
    bits, less = _most_bits(problem, problem.network.into(layer.name), lent)
    saved = made.used - less.used
    if bits is not None:
        words = _words(less, layer)
        cores = _counted(less.used, "core")
        remedy = f"{bits}-bit weights here would fit the program ({cores}; {words} words here)."
    elif saved > 0:
        remedy = f"{FEWEST_BITS}-bit weights here save {_counted(saved, 'core')}, not enough alone."
    else:
        remedy = "Fewer bits here save no core; use fewer neurons."
    return Finding(layer.place, f"{bound}: {pieces} pieces of {layer.neurons} neurons in all", remedy)


def binding(problem: Problem, layer: Layer, grids: Grids) -> Mapping[str, int]:
    """The columns that alone would need the most pieces, with that number; tried one column at a time.

    None where the layer fits a core whole, and was cut so that its pieces fill what others leave.
    """
    start = {**grids, layer.name: whole(layer.box)}
    alone = {
        column: finer(dataclasses.replace(problem, core=only(problem.core, column)), layer, start).pieces
        for column in (*COLUMNS, "Pool")
    }
    most = max(alone.values())
    return {column: pieces for column, pieces in alone.items() if pieces == most > 1}


def _bound(columns: list[str]) -> str:
    if not columns:
        return "it fits a core, and is cut to fill others"
    return f"{' and '.join(columns)} {'bind' if len(columns) > 1 else 'binds'}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _most_bits(problem: Problem, links: tuple[Link, ...], lent: int) -> tuple[int | None, Plan]:
    """The most bits of some links' weights with which the program fits, None if not even the fewest do.

    With the mapping of that width, or of the fewest bits.
    """
    fewest = plan(_with_bits(problem, links, FEWEST_BITS))
    if fewest.used > lent:
        return None, fewest
    for bits in range(max(link.bits for link in links) - 1, FEWEST_BITS, -1):
        less = plan(_with_bits(problem, links, bits))
        if less.used <= lent:
            return bits, less
    return FEWEST_BITS, fewest


def _with_bits(problem: Problem, links: tuple[Link, ...], bits: int) -> Problem:
    """The problem with at most so many bits for the weights of some links."""
    changed = tuple(
        dataclasses.replace(link, bits=min(link.bits, bits)) if link in links else link
        for link in problem.network.links
    )
    return problem.but(dataclasses.replace(problem.network, links=changed))


def _words(made: Plan, layer: Layer | None = None) -> int:
    """Words of SynMem of the program, or of one layer."""
    words = made.cuts.counts[:, NAMES.index("synaptic_words")]
    owner = np.repeat(list(made.grids), [grid.pieces for grid in made.grids.values()])
    return int(words.sum() if layer is None else words[owner == layer.name].sum())


def _sentence(remedies: list[str]) -> str:
    text = ", or ".join(remedies)
    return f"{text[0].upper()}{text[1:]}."
