"""The network whose runs `avnir compare` compares, as far as the user says which it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.bits import weight_bits_option

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.export.examples import Time
    from avnir.ir.graph import Graph
    from avnir.ir.operation import Array
    from avnir.program import Program

REAL_LEVEL, INTEGER_LEVEL = "real", "integer"


@dataclass(frozen=True)
class Asked:
    """What the user said about the network, its inputs, and how much of them counts."""

    model: str | None
    weights: Path | None
    time: Time | None
    dt: float | None
    program: Path | None
    target: str
    weight_bits: int | None
    inputs: Path | None
    samples: int | None
    steps: int | None


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which network it is, handed over as one `asked`."""

    @wraps(command)
    def packed(**given: Any) -> Any:
        own = {name: given.pop(name) for name in Asked.__dataclass_fields__}
        return command(asked=Asked(**own), **given)

    path = click.Path(path_type=Path)
    options = (
        click.option("--model", help="The network: a model.pt, package.module:build, or a NIR file."),
        click.option("--weights", type=path, help="For module:build: a state_dict (.pt) or .safetensors."),
        click.option(
            "--time",
            type=click.Choice(["step", "window"]),
            help="For module:build: what one call of the model gets [default: step].",
        ),
        click.option("--dt", type=float, help="For a NIR file that doesn't say it: seconds a time step."),
        click.option("--program", type=path, help="Its integers: an exported folder, or a program.nir."),
        click.option(
            "--target", default="loihi2", show_default=True, help="Chip that --model is compiled for."
        ),
        weight_bits_option,
        click.option(
            "--inputs", type=path, help="An .npz, [T, B, ...] per input, instead of the model's examples."
        ),
        click.option("--samples", type=click.IntRange(1), help="Compare the first N samples only."),
        click.option("--steps", type=click.IntRange(1), help="Compare the first N steps only."),
    )
    made: Callable[..., Any] = packed
    for option in reversed(options):
        made = option(made)
    return made


@dataclass(frozen=True)
class Network:
    """What the runs are of: a model's graph, its integers, inputs `[T, B, *shape]`; None where unknown."""

    source: Source | None = None
    program: Program | None = None
    inputs: Mapping[str, Array] | None = None

    def graph(self, level: str | None) -> Graph | None:
        """The graph of a level, None where it is not known."""
        if level == INTEGER_LEVEL:
            return self.program.graph if self.program else None
        return self.source.graph if self.source and level == REAL_LEVEL else None


def network_of(asked: Asked, integers: bool) -> Network:
    """The network that the user asked for; compiled if `integers` are compared and no program is given.

    Its inputs are the first steps and samples of `--inputs`, else of the model's examples. Raises UserError
    where something cannot be read or does not fit.
    """
    from avnir.cli.source import Request, open_source

    program = loaded(asked.program) if asked.program is not None else None
    source = None
    if asked.model is not None:
        request = Request(asked.model, asked.weights, asked.inputs, asked.time, asked.dt)
        source = open_source(request)
        program = _compiled(source, asked) if program is None and integers else program
    return _shown(Network(source, program), asked)


def _compiled(source: Source, asked: Asked) -> Program:
    from avnir import target
    from avnir.cli.compiled import compiled_for

    chip = target.load(asked.target)
    return compiled_for(source, chip, asked.weight_bits, None, 1, None).program


def _shown(network: Network, asked: Asked) -> Network:
    """With its inputs, and the recorded run of the model cut to them; without, where there are none."""
    from avnir.cli.inputs import read_inputs
    from avnir.trace import checked_inputs
    from avnir.trace_check import cropped

    source, program = network.source, network.program
    given = source.inputs if source else None
    if asked.inputs is not None and source is None:
        given = read_inputs(asked.inputs)[0]
    if given is None:
        return network
    shown = {name: array[: asked.steps, : asked.samples] for name, array in given.items()}
    if source is not None and source.recorded is not None:
        source = replace(source, recorded=cropped(source.recorded, asked.steps, asked.samples))
    for graph in (source and source.graph, program and program.graph):
        shown = checked_inputs(graph, shown) if graph else shown
    return Network(source, program, shown)


def loaded(program: Path) -> Program:
    """The program of an exported folder, of its folder `program`, or of a program.nir."""
    from avnir.export.nir_program import read_program_nir
    from avnir.program import Program

    if program.is_file():
        return read_program_nir(program)
    return Program.load(program / "program" if (program / "program").is_dir() else program)
