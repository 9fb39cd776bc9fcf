"""The option `--calibrate` of `export` and `verify`: which inputs the integers are chosen on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.ir.operation import Array
    from avnir.program import Program

EXAMPLES = "examples"
"""The option without a file: MODEL's own examples, or --inputs."""

calibrate_option = click.option(
    "--calibrate",
    metavar="[FILE.npz]",
    is_flag=False,
    flag_value=EXAMPLES,
    help="Choose the integers by their spikes on MODEL's examples or --inputs; or on FILE.npz. After MODEL.",
)


def calibration_inputs(
    source: Source, calibrate: str | None
) -> tuple[Mapping[str, Array] | None, Array | None]:
    """The inputs to calibrate on, `[T, B, *shape]` by name, and their labels `[B]` where they have some.

    None and None where that was not asked for. Raises DataError where there are none or they do not fit the
    network.
    """
    from avnir.cli.inputs import checked_labels, read_inputs
    from avnir.errors import DataError
    from avnir.trace import checked_inputs

    if calibrate is None:
        return None, None
    if calibrate != EXAMPLES:
        given, labels = read_inputs(Path(calibrate))
        inputs = checked_inputs(source.graph, given)
        return inputs, checked_labels(labels, next(iter(inputs.values())).shape[1])
    if source.inputs is None:
        raise DataError(
            f"{source.name} holds no example inputs to calibrate on; give --calibrate FILE.npz, "
            "[T, B, ...] per input"
        )
    return source.inputs, source.labels


def calibration_line(program: Program, calibrate: str | None) -> str:
    """What a person should know about it."""
    used = program.provenance["calibration"]
    seen = f"{used['samples']} samples x {used['steps']} steps"
    if used.get("declined"):
        return f"not calibrated: data-free integers decide more of {seen} right, and were kept"
    line = f"calibrated on {seen}"
    if calibrate != EXAMPLES:
        return f"{line} of {calibrate}"
    return f"{line}, the ones compared here: expect somewhat less agreement on others"
