"""How much memory it takes to make the costs of a run of its traces: bounds, held by a test."""

from __future__ import annotations

import math
from collections.abc import Mapping

from avnir.ir.latency import latencies
from avnir.ir.operation import Array
from avnir.ir.presentations import presentations
from avnir.pieces import Need, row_bytes
from avnir.place.mesh import mesh
from avnir.place.network import Network, network_of
from avnir.place.placement import Placement
from avnir.program import Program
from avnir.target import Target

NUMBER = 8
"""Bytes of a number, float64 or int64."""
SPIKES = 3
"""Times that all spikes are there: every presentation in a row, which are not 0, and that in a row."""
MOVED = 3
"""Numbers for each neuron or listed synapse whose spikes of a step are added up."""
JOINED = 2
"""Numbers for each pair of channels, or neurons of a dense connection, that it joins or may join."""
PAIRS = 4
"""Numbers for each pair of tiles: all messages of a step, those of a connection, those within a chip."""
LINKS = 4
"""Of a tile (`avnir.place.mesh`)."""
TIMED = 16
"""Numbers of a chip step, beside one for each link: what is timed, twice while it is put together."""


def cost_need(
    program: Program, placement: Placement, chip: Target, inputs: Mapping[str, Array], room: int
) -> Need:
    """What a run with states and its costs take; `inputs` `[T, B, *shape]`, `room` beside its trace."""
    shown = _shown(program, inputs)
    updated = NUMBER * MOVED * len(next(iter(inputs.values()))) * _moved(program, _network(program, chip))
    traced = Need(shown * row_bytes(program.graph, states=True), room + updated)
    return timed_need(program, placement, chip, inputs) + traced


def timed_need(program: Program, placement: Placement, chip: Target, inputs: Mapping[str, Array]) -> Need:
    """What `avnir.cost.latency.latency` takes beside the trace."""
    network, tiles = _network(program, chip), placement.chips * mesh(chip.limits).tiles
    row = row_bytes(program.graph, states=False) + sum(array[0, 0].nbytes for array in inputs.values())
    pieces = max(map(len, placement.layers.values()))
    step = PAIRS * tiles**2 + 2 * pieces**2 + (2 + len(network.links)) * placement.cores
    step += MOVED * _moved(program, network)
    numbers = step + _steps(program, inputs) * (TIMED + 2 * LINKS * tiles)
    joins = max(network.box(link.source)[0] * network.box(link.target)[0] for link in network.links)
    return Need(SPIKES * _shown(program, inputs) * row + NUMBER * numbers, NUMBER * JOINED * joins)


def timed_bytes(program: Program, placement: Placement, chip: Target, inputs: Mapping[str, Array]) -> int:
    """Bytes of a sample's latencies of two placements, each with a copy made where samples are joined."""
    links = LINKS * placement.chips * mesh(chip.limits).tiles
    return 2 * NUMBER * (TIMED * _steps(program, inputs) + 2 * links)


def _steps(program: Program, inputs: Mapping[str, Array]) -> int:
    return _shown(program, inputs) + max(latencies(program.graph).values())


def _shown(program: Program, inputs: Mapping[str, Array]) -> int:
    return presentations(program.graph) * len(next(iter(inputs.values())))


def _network(program: Program, chip: Target) -> Network:
    return network_of(program.graph, chip.limits.delay_steps.value.bit_length())


def _moved(program: Program, network: Network) -> int:
    """Neurons of both ends of the largest connection, with its synapses where they are listed one by one."""
    return max(
        math.prod(network.box(link.source))
        + math.prod(network.box(link.target))
        + (program.graph[link.name].op.weight.size if link.kind == "sparse" else 0)  # type: ignore[attr-defined]
        for link in network.links
    )
