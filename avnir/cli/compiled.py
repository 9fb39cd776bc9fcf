"""The program of a source, as `export`, `verify` and others make it from the same options; or a given one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from avnir.cli.bits import bits_of, check_tuned
from avnir.cli.calibration import calibration_inputs
from avnir.cli.progress import stage

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.compile import Compiled
    from avnir.target import Target

program_option = click.option(
    "--program",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Take the integers of this exported folder, instead of compiling MODEL.",
)


def compiled_for(
    source: Source,
    chip: Target,
    weight_bits: int | None,
    calibrate: str | None,
    chips: int,
    cores: int | None,
    program: Path | None = None,
) -> Compiled:
    """Compile it for a chip; the integers of a fine-tuned model are those that were trained.

    With `program`, a folder, the integers are those that it holds. Raises what `compile_graph` and
    `check_tuned` raise, DataError where it cannot be calibrated or the folder holds another network.
    """
    from avnir.compile import compile_graph

    if program is not None:
        _check_alone(weight_bits, calibrate)
        return _given(source, chip, program, chips, cores)

    calibration, labels = calibration_inputs(source, calibrate)
    with stage("compile"):
        compiled = compile_graph(
            source.graph,
            chip,
            bits_of(source, weight_bits),
            calibration,
            labels=labels,
            decision=source.decision,
            chips=chips,
            cores=cores,
        )
    check_tuned(source, compiled.program)
    return compiled


def _check_alone(weight_bits: int | None, calibrate: str | None) -> None:
    from avnir.errors import UserError

    given = {"--weight-bits": weight_bits, "--calibrate": calibrate}
    if surplus := [name for name, value in given.items() if value is not None]:
        named = " and ".join(surplus)
        raise UserError(
            f"--program holds integers that are made already; leave out {named}, in avnir.toml too"
        )


def _given(source: Source, chip: Target, folder: Path, chips: int, cores: int | None) -> Compiled:
    """The program of an exported folder, or of the `program` folder in it, as if it were compiled."""
    from avnir.compile import TO_NIR, Compiled, run_passes
    from avnir.errors import DataError
    from avnir.passes.merge_synapses import MergeSynapses
    from avnir.place import place
    from avnir.program import Program
    from avnir.verify.attribution.mixed import check_alike

    inside = folder / "program"
    program = Program.load(inside if inside.is_dir() else folder)
    if program.target != chip.name:
        raise DataError(f"{folder} is a program for {program.target}; give --target {program.target}")
    nir_graph, notes = run_passes(source.graph, TO_NIR)
    check_alike(MergeSynapses()(nir_graph)[0], program.graph)
    return Compiled(nir_graph, program, place(program, chip, chips=chips, cores=cores), tuple(notes))
