"""What `avnir export --explain` prints: each pass's account, what roundings cost, the cores of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.output import table

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.compile import Compiled
    from avnir.rounding.costs import RoundingCost
    from avnir.target import Target
    from avnir.verify.where import Part

ROUNDINGS = ("weights", "threshold", "decay", "bias", "together")


def explained(source: Source, compiled: Compiled, chip: Target) -> dict[str, Any]:
    """The account as plain values, for JSON; what roundings cost is empty without inputs."""
    from avnir.place.table import layer_rows

    head, rows = layer_rows(compiled.placement, chip)
    return {
        "notes": [str(note) for note in compiled.notes],
        "roundings": [vars(cost) for cost in _roundings(source, compiled)],
        "runs_where": [part.record() for part in _parts(compiled)],
        "layers_on_cores": [dict(zip(head, row, strict=True)) for row in rows],
    }


def show_explained(account: Mapping[str, Any], compiled: Compiled, chip: Target) -> None:
    """Print what `explained` gave: lines, then tables."""
    from avnir.verify.where import COLUMNS

    for line in account["notes"]:
        click.echo(line)
    table("what runs where", COLUMNS, [part.row() for part in _parts(compiled)])
    if costs := account["roundings"]:
        columns = ("layer", "slots", *ROUNDINGS)
        title = "spike slots that each rounding changes, alone and together"
        table(title, columns, [[str(cost[name]) for name in columns] for cost in costs])
    layers = account["layers_on_cores"]
    table(f"layers on the cores of {chip.title}", tuple(layers[0]), [tuple(row.values()) for row in layers])


def _parts(compiled: Compiled) -> tuple[Part, ...]:
    from avnir.verify.where import parts

    return parts(compiled.program.graph, compiled.notes, compiled.program.decision)


def _roundings(source: Source, compiled: Compiled) -> tuple[RoundingCost, ...]:
    from avnir.compile import run_passes
    from avnir.passes.merge_synapses import MergeSynapses
    from avnir.rounding.costs import rounding_costs

    if source.inputs is None:
        return ()
    merged, _ = run_passes(compiled.nir_graph, (MergeSynapses(),))
    return rounding_costs(merged, compiled.program.graph, source.inputs)
