"""The option `--weight-bits`: as asked for, or as the model was fine-tuned for (`avnir train --quantise`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.program import Program

DEFAULT = 8

weight_bits_option = click.option(
    "--weight-bits",
    type=click.IntRange(2, 8),
    help=f"Width of the weights, sign included [default: as MODEL was fine-tuned for, else {DEFAULT}].",
)


def bits_of(source: Source, asked: int | None) -> int:
    """The width to compile with."""
    return asked or int(source.tuned.get("weight_bits", DEFAULT))


def check_tuned(source: Source, program: Program) -> None:
    """GateError where the model was fine-tuned for other integers than it compiles to now.

    Another target, width or calibration than it was fine-tuned for is the user's choice, and passes.
    """
    from avnir.errors import GateError

    tuned, made = source.tuned, program.provenance
    alike = (tuned.get("target"), tuned.get("weight_bits")) == (program.target, made.get("weight_bits"))
    if alike and "calibration" not in made and tuned["program"] != program.digest:
        raise GateError(
            f"{source.name} was fine-tuned as program {tuned['program'][:12]}, but compiles to "
            f"{program.digest[:12]}; fine-tune it again with this version of avnir"
        )
