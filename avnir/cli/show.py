"""`avnir show`: what a file holds, in the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from avnir.cli.output import json_option
from avnir.cli.show_open import opened
from avnir.cli.shown import Part

WIDTH = 160
"""Neurons of a raster unless others are asked for."""


def _range(ctx: click.Context, param: click.Parameter, value: str | None) -> slice | None:
    """`A:B`: from A up to but without B; either may be left out."""
    if value is None:
        return None
    parts = value.split(":")
    if len(parts) != 2 or not all(part == "" or part.isdecimal() for part in parts):
        raise click.BadParameter(f"{value!r} is no range; give A:B, for example 0:100", ctx, param)
    start, stop = (int(part) if part else None for part in parts)
    return slice(start, stop)


@click.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--layer", help="Of a trace: draw this layer's spikes.")
@click.option("--sample", type=click.IntRange(0), default=0, show_default=True, help="Of which sample.")
@click.option(
    "--steps",
    metavar="A:B",
    callback=_range,
    default=":",
    help="Draw the steps from A up to B [default: all].",
)
@click.option(
    "--neurons",
    metavar="A:B",
    callback=_range,
    help=f"Draw the neurons from A up to B [default: the first {WIDTH}].",
)
@click.option(
    "--text", "as_text", is_flag=True, help="Of a graph or program: the graph as text that reads back."
)
@json_option
def command(
    file: Path,
    layer: str | None,
    sample: int,
    steps: slice,
    neurons: slice | None,
    as_text: bool,
    as_json: bool,
) -> None:
    """Print what FILE holds: a graph, a program, a placement, or a recorded run.

    FILE is a model.pt (needs torch) or a .nir file: its graph; a folder that `avnir export` wrote, or its
    program: layers, connections, cores; a placement.json; or what `avnir run --out` wrote: how much each
    layer sends and, with --layer, which neuron spikes when. What it is, is told by its content.
    """
    from avnir.errors import UserError

    found = opened(file)
    part = Part(layer, sample, steps, neurons or slice(WIDTH))
    given = {"--layer": layer is not None, "--text": as_text}
    for option, asked in given.items():
        if asked and option not in found.options:
            raise UserError(f"{option} is not for {found.what}, which {file} holds; leave it out")
    found.show(part, as_text, as_json)
