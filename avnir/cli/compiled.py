"""The program of a source, as `export`, `verify` and `bench` make it from the same options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avnir.cli.bits import bits_of, check_tuned
from avnir.cli.calibration import calibration_inputs
from avnir.cli.progress import stage

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.compile import Compiled
    from avnir.target import Target


def compiled_for(
    source: Source,
    chip: Target,
    weight_bits: int | None,
    calibrate: str | None,
    chips: int,
    cores: int | None,
) -> Compiled:
    """Compile it for a chip; the integers of a fine-tuned model are those that were trained.

    Raises what `compile_graph` and `check_tuned` raise, and DataError where it cannot be calibrated.
    """
    from avnir.compile import compile_graph

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
