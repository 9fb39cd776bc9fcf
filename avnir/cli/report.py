"""`avnir report`: the report of a model or of an exported folder, as one HTML file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avnir.cli.bits import weight_bits_option
from avnir.cli.calibration import calibrate_option
from avnir.cli.chips import chip_options
from avnir.cli.compiled import compiled_for, program_option
from avnir.cli.deployment import compared_run, deployment_of
from avnir.cli.examples import examples_of
from avnir.cli.output import emit, json_option
from avnir.cli.progress import stage
from avnir.cli.source import Request, Source, model_options, open_source
from avnir.cli.stages import show

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.ir.operation import Array
    from avnir.report.deployment import Deployment, Run
    from avnir.target import Target

DEFAULT = "loihi2"
REPORT = "report.html"
MANIFEST = "manifest.json"


@click.command("report")
@model_options
@click.option("--target", "target_name", help=f"Chip; see `avnir targets` [default: {DEFAULT}].")
@click.option(
    "--backend", "backends", multiple=True, default=("cpu",), show_default=True, help="May be repeated."
)
@click.option("--samples", type=click.IntRange(1), help="Use the first N samples only.")
@weight_bits_option
@calibrate_option
@program_option
@chip_options
@click.option("--why", is_flag=True, help="Add which approximation of the chip loses which spikes.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write [default: MODEL_TARGET.html beside MODEL]."
)
@json_option
def command(
    request: Request,
    target_name: str | None,
    backends: tuple[str, ...],
    samples: int | None,
    weight_bits: int | None,
    calibrate: str | None,
    program: Path | None,
    chips: int,
    cores: int | None,
    why: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Write the report of MODEL on a chip as one HTML file, and nothing else.

    MODEL is what `avnir verify` takes, and is compared in the same way: over its examples or --inputs, with
    every --backend. It is also a folder that `avnir export` wrote: with --inputs its graph.nir and its
    program are compared on these; without, the report that lies in it is named. The report is written whether
    all is equal or not; where it is not, the exit status is 1.
    """
    from avnir import target
    from avnir.backend import REFERENCES, find, installed
    from avnir.files import atomic_path
    from avnir.report.html import report

    for name in backends:
        if name not in installed(REFERENCES):
            find(name)
    folder = Path(request.model)
    if folder.is_dir():
        _check_alone(target_name, weight_bits, calibrate, program, chips, cores)
        if request.inputs is None:
            _name_the_report(folder, as_json)
            return
        source, compiled = _exported(folder, request)
        chip = target.load(compiled.program.target)
    else:
        chip = target.load(target_name or DEFAULT)
        source = open_source(request)
        compiled = compiled_for(source, chip, weight_bits, calibrate, chips, cores, program)
    deployment = _deployment(source, compiled, chip, backends, samples, why)
    path = out or request.stem.with_name(f"{request.stem.name}_{chip.name}.html")
    with stage("report"), atomic_path(path) as temporary:
        temporary.write_text(report(deployment), encoding="utf-8")
    _tell(path, deployment, as_json)


def _deployment(
    source: Source,
    compiled: Compiled,
    chip: Target,
    backends: tuple[str, ...],
    samples: int | None,
    why: bool,
) -> Deployment:
    """Everything run and counted; without example inputs nothing is."""
    if source.inputs is None and not why:
        return deployment_of(source, compiled, chip, None, None)
    inputs, labels = examples_of(source, samples)
    run = compared_run(source, compiled.program, backends, inputs, labels)
    causes = _causes(source, compiled, inputs, run) if why else None
    return deployment_of(source, compiled, chip, run, inputs, causes)


def _causes(source: Source, compiled: Compiled, inputs: dict[str, Array], run: Run) -> dict[str, object]:
    from avnir.verify.attribution.attribute import attribute

    with stage("causes"):
        integers = run.stages.integer
        found = attribute(source.graph, compiled.nir_graph, compiled.program, inputs, integers, run.labels)
        return found.record()


def _tell(path: Path, deployment: Deployment, as_json: bool) -> None:
    """Print where the report is and the verdict in it; GateError where that is not good."""
    from avnir.cli.export import NOT_COMPARED

    run = deployment.run
    if as_json:
        known = {"report": str(path), "program": deployment.compiled.program.digest}
        emit(known | ({} if run is None else run.verification.record()))
    elif run is None:
        click.echo(NOT_COMPARED)
    else:
        show(run.verification)
    if not as_json:
        click.echo(f"wrote {path}")
    if run is not None:
        run.verification.gate()


def _check_alone(
    target_name: str | None,
    weight_bits: int | None,
    calibrate: str | None,
    program: Path | None,
    chips: int,
    cores: int | None,
) -> None:
    from avnir.errors import UserError

    given = {
        "--target": target_name,
        "--weight-bits": weight_bits,
        "--calibrate": calibrate,
        "--program": program,
        "--chips": chips if chips > 1 else None,
        "--cores": cores,
    }
    if surplus := [name for name, value in given.items() if value is not None]:
        raise UserError(
            f"an exported folder is compiled and placed already; leave out {' and '.join(surplus)}"
        )


def _name_the_report(folder: Path, as_json: bool) -> None:
    from avnir.errors import DataError

    path = folder / REPORT
    if not path.is_file():
        raise DataError(f"{folder} holds no {REPORT}, so `avnir export` did not write it; give a model")
    if as_json:
        emit({"report": str(path)})
        return
    click.echo(f"{path} was written by the export: open it in a browser")
    click.echo("--inputs FILE.npz compares the folder's program on other inputs, and writes another report")


def _exported(folder: Path, request: Request) -> tuple[Source, Compiled]:
    """The graph, the program and the placement of an exported folder, and the inputs given."""
    from avnir import target
    from avnir.compile import Compiled
    from avnir.errors import DataError
    from avnir.place import Placement
    from avnir.program import Program

    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder} holds no {MANIFEST}, so `avnir export` did not write it; give a model")
    if not (folder / "graph.nir").is_file():
        raise DataError(
            f"{folder} has no graph.nir to compare with, as NIR has no form for its network; "
            f"give the model, with --program {folder}"
        )
    program = Program.load(folder / "program")
    source = open_source(Request(str(folder / "graph.nir"), inputs=request.inputs, dt=request.dt))
    text = (folder / "placement.json").read_text(encoding="utf-8")
    placement = Placement.from_json(text, target.load(program.target))
    source = replace(source, name=folder.resolve().name)
    return source, Compiled(source.graph, program, placement, ())
