"""`avnir why`: which approximation of the chip costs which spikes, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.bits import weight_bits_option
from avnir.cli.calibration import EXAMPLES, calibrate_option, calibration_inputs
from avnir.cli.chips import chip_options
from avnir.cli.compiled import compiled_for, program_option
from avnir.cli.examples import examples_of
from avnir.cli.output import json_option
from avnir.cli.progress import stage
from avnir.cli.source import Request, Source, model_options, open_source
from avnir.cli.verdict import emit_with
from avnir.cli.why_tables import show_causes, show_mending

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.errors import GateError
    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.target import Target
    from avnir.trace import Trace
    from avnir.verify.attribution.attribute import Attribution
    from avnir.verify.attribution.judged import Samples
    from avnir.verify.attribution.mend import Compile, Mending

SAMPLES = 50


@dataclass(frozen=True)
class _Case:
    """A deployment `compiled` of a source, `inputs` `[T, B, *shape]` to run it on, `labels` `[B]` or None."""

    source: Source
    chip: Target
    compiled: Compiled
    inputs: Mapping[str, Array]
    labels: Array | None


@click.command("why")
@model_options
@click.option(
    "--target", "target_name", default="loihi2", show_default=True, help="Chip; see `avnir targets`."
)
@click.option(
    "--samples",
    type=click.IntRange(2),
    default=SAMPLES,
    show_default=True,
    help="Use the first N samples only; every other one chooses what mends, the rest judge it.",
)
@weight_bits_option
@calibrate_option
@program_option
@chip_options
@click.option("--fix", type=click.Path(path_type=Path), help="Write the mended deployment to this folder.")
@click.option(
    "--max-core-growth",
    type=click.FloatRange(0),
    default=0.1,
    show_default=True,
    help="Cores that mending may add, as a share of those taken now.",
)
@json_option
def command(
    request: Request,
    target_name: str,
    samples: int,
    weight_bits: int | None,
    calibrate: str | None,
    program: Path | None,
    chips: int,
    cores: int | None,
    fix: Path | None,
    max_core_growth: float,
    as_json: bool,
) -> None:
    """Say which approximation of the chip costs MODEL which spikes, what mends it, and apply that.

    Each approximation is switched on alone in the float64 network, and off alone in the integer one, over the
    examples or --inputs. Then changes are tried: wider weights in single layers, integers chosen by their
    spikes, thresholds and decays one step off. Every other sample chooses, the rest judge. With --fix the
    mended deployment is written as `avnir export` writes one; where nothing helps, nothing is written (exit
    status 1).
    """
    from avnir import target
    from avnir.verify.attribution.mend import halves

    chip = target.load(target_name)
    source = open_source(request)
    inputs, labels = examples_of(source, samples)
    halves(next(iter(inputs.values())).shape[1])  # refuses a single sample, before anything is run
    compiled = compiled_for(source, chip, weight_bits, calibrate, chips, cores, program)
    case = _Case(source, chip, compiled, inputs, labels)
    causes = _causes(case, compiled)
    if not as_json:
        show_causes(source.name, chip, compiled, causes)
    mending = None
    if not causes.lost.nothing:
        most = int(compiled.placement.cores * (1 + max_core_growth))
        mending = _mending(case, causes, calibrate, chips, cores, most)
    mended = None if mending is None else mending.compiled
    if mending is not None and not as_json:
        show_mending(mending)
    failed = None if fix is None or mended is not None else _unwritten(fix, causes)
    written = {} if fix is None or mended is None else _written(case, mended, fix)
    if as_json:
        told = {"model": source.name, "target": chip.name, "program": compiled.program.digest}
        tried = None if mending is None else mending.record()
        emit_with({**told, **causes.record(), "mending": tried, **written}, failed)
    elif failed is not None:
        raise failed
    elif mended is not None:
        hint = "give --fix FOLDER to write the mended deployment"
        click.echo(hint if fix is None else f"wrote {fix}; verify it with --program {fix}")


def _causes(case: _Case, compiled: Compiled) -> Attribution:
    from avnir.verify.attribution.attribute import attribute

    with stage("causes"):
        run = _ran(compiled.program, case.inputs)
        return attribute(
            case.source.graph, compiled.nir_graph, compiled.program, case.inputs, run, case.labels
        )


def _ran(program: Program, inputs: Mapping[str, Array]) -> Trace:
    from avnir.backend import find

    with find("cpu").session(program) as session:
        return session.run(inputs)


def _mending(
    case: _Case, causes: Attribution, calibrate: str | None, chips: int, cores: int | None, most: int
) -> Mending:
    """What changes win back, at most `most` cores taken; calibrated on the file given, or on what chooses."""
    from avnir.verify.attribution.judged import Samples
    from avnir.verify.attribution.mend import halves, mend

    graph, program = case.source.graph, case.compiled.program

    def half(part: slice) -> Samples:
        inputs = {name: array[:, part] for name, array in case.inputs.items()}
        labels = None if case.labels is None else case.labels[part]
        return Samples.of(graph, program, inputs, labels, _ran)

    choosing, judging = map(half, halves(next(iter(case.inputs.values())).shape[1]))
    data: Mapping[str, Array] | None = choosing.inputs
    if calibrate not in (None, EXAMPLES):
        data, _ = calibration_inputs(case.source, calibrate)
    with stage("changes"):
        make = _maker(case, chips, cores, data)
        return mend(case.compiled, causes, choosing, judging, make, most)


def _maker(case: _Case, chips: int, cores: int | None, data: Mapping[str, Array] | None) -> Compile:
    """Compiles the case's model with choices for its layers; calibrated, if so, on `data`."""
    from avnir.compile import compile_graph
    from avnir.verify.attribution.mend import weight_bits

    source, bits = case.source, weight_bits(case.compiled.program)

    def make(choices: Any, calibrated: bool) -> Compiled:
        return compile_graph(
            source.graph,
            case.chip,
            bits,
            data if calibrated else None,
            decision=source.decision,
            chips=chips,
            cores=cores,
            layers=choices,
        )

    return make


def _unwritten(folder: Path, causes: Attribution) -> GateError:
    """Why there is nothing to write."""
    from avnir.errors import GateError

    why = "nothing is lost" if causes.lost.nothing else "nothing that was tried helps"
    return GateError(f"{folder} was not written: {why}")


def _written(case: _Case, mended: Compiled, folder: Path) -> dict[str, Any]:
    """Write the mended deployment, with its own causes in the report."""
    from avnir.cli.deployment import compared_run, deployment_of
    from avnir.cli.export import write_folder

    source = case.source
    run = compared_run(source, mended.program, ["cpu"], source.inputs or {}, source.labels)
    run.verification.gate()
    attribution = _causes(case, mended).record()
    deployment = deployment_of(source, mended, case.chip, run, source.inputs, attribution)
    manifest = write_folder(folder, source, deployment, onnx=False, netx=False, nir_form="standard")
    return {"folder": str(folder), "manifest": manifest}
