"""`avnir export`: a model to a folder for a chip."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.bits import weight_bits_option
from avnir.cli.calibration import calibrate_option, calibration_line
from avnir.cli.chips import chip_options
from avnir.cli.compiled import compiled_for
from avnir.cli.explain import explained, show_explained
from avnir.cli.netx import NETX_FILE, for_netx, netx_option, netx_record, show_netx
from avnir.cli.output import emit, json_option
from avnir.cli.source import Request, Source, model_options, open_source, sha256

if TYPE_CHECKING:
    from avnir.export.nir_schema import Form
    from avnir.report.deployment import Deployment

MANIFEST = "manifest.json"
PLACEMENT = "placement.json"
FORMAT = "avnir-export-1"
SILICON = "not tested on silicon"
TOLD_LINES = 4
"""Lines of a reason that are printed."""
NOT_COMPARED = "nothing was compared: no example inputs were given (--inputs)"


@click.command("export")
@model_options
@click.option("--target", "target_name", required=True, help="Chip; see `avnir targets`.")
@click.option(
    "--out",
    "out",
    type=click.Path(path_type=Path),
    help="Folder to write [default: MODEL_TARGET beside MODEL].",
)
@weight_bits_option
@calibrate_option
@chip_options
@click.option(
    "--nir-form",
    type=click.Choice(["standard", "strict"]),
    default="standard",
    show_default=True,
    help="graph.nir as other frameworks write it, soft resets in the metadata; or all in NIR's operations.",
)
@click.option("--onnx", is_flag=True, help="Write step.onnx too: one time step, the caller keeps the states.")
@netx_option
@click.option(
    "--explain", is_flag=True, help="Print what each pass did or left alone and why, and each layer's cores."
)
@json_option
def command(
    request: Request,
    target_name: str,
    out: Path | None,
    weight_bits: int | None,
    calibrate: str | None,
    chips: int,
    cores: int | None,
    nir_form: Form,
    onnx: bool,
    netx: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Turn MODEL into a folder: graph.nir, program/, placement.json, lava.py, report.html, manifest.json.

    graph.nir and program.nir hold the network and its integers for other frameworks, where NIR has a form for
    all of it. MODEL is a model.pt, package.module:build (imports and runs your own code, with --weights,
    --inputs and --time), or a NIR file.
    The integers are run on the CPU engine over MODEL's examples, or --inputs, and compared with the
    reference; a graph that does not reproduce the reference in every spike is not written (exit status 1). A
    NIR file without --inputs is written with nothing compared, and says so.
    """
    from avnir import target
    from avnir.cli.deployment import compared_run, deployment_of
    from avnir.cli.stages import show
    from avnir.cost.cores import cores_record, cores_text

    chip = target.load(target_name)
    source = open_source(request)
    folder = out or request.stem.with_name(f"{request.stem.name}_{chip.name}")
    compiled = compiled_for(source, chip, weight_bits, calibrate, chips, cores)
    if netx:
        compiled = for_netx(compiled, chip, chips, cores)
    run = None
    if source.inputs is not None:
        run = compared_run(source, compiled.program, ["cpu"], source.inputs, source.labels)
        run.verification.gate()
    verification, integers = (None, None) if run is None else (run.verification, run.stages.integer)
    netx_run = netx_record(compiled.program, source.inputs, integers) if netx else {}
    deployment = deployment_of(source, compiled, chip, run, source.inputs)
    manifest = write_folder(folder, source, deployment, onnx, netx, nir_form)
    record = {"folder": str(folder), **manifest, "placement": cores_record(compiled.placement)}
    record |= {"netx": netx_run} if netx else {}
    record |= {} if verification is None else verification.record()
    if explain:
        record |= explained(source, compiled, chip)
    if as_json:
        emit(record)
        return
    if explain:
        show_explained(record, compiled, chip)
    if verification is None:
        click.echo(NOT_COMPARED)
    else:
        show(verification)
    if calibrate:
        click.echo(calibration_line(compiled.program, calibrate))
    for name, reason in manifest.get("left_out", {}).items():
        click.echo(f"left out {name}: {_shortened(reason)}")
    if netx:
        show_netx(netx_run)
    click.echo(f"{chip.title}: {cores_text(compiled.placement)}; {SILICON}")
    click.echo(
        f"wrote {folder}: {', '.join(sorted({name.split('/')[0] for name in manifest['files']}))}, {MANIFEST}"
    )


def _shortened(reason: str) -> str:
    """The first lines of a reason; the manifest has them all."""
    lines = reason.splitlines()
    more = len(lines) - TOLD_LINES
    if more <= 1:
        return reason
    return "\n".join([*lines[:TOLD_LINES], f"  and {more} more: {MANIFEST} has them all"])


def write_folder(
    folder: Path,
    source: Source,
    deployment: Deployment,
    onnx: bool,
    netx: bool,
    nir_form: Form,
) -> dict[str, Any]:
    """Write the folder whole or not at all; same input, same bytes. Returns the manifest."""
    from avnir import __version__
    from avnir.export import write_nir
    from avnir.export.nir_program import write_program_nir
    from avnir.files import atomic_folder
    from avnir.hardware.lava.script import script
    from avnir.report.html import report

    compiled, run = deployment.compiled, deployment.run
    with atomic_folder(folder, MANIFEST) as made:
        left_out: dict[str, str] = {}
        if nir_form == "strict":  # asked for: refused where there is none
            write_nir(compiled.nir_graph, made / "graph.nir", form=nir_form)
        else:
            left_out |= _written(made / "graph.nir", lambda path: write_nir(compiled.nir_graph, path))
        (made / "program").mkdir()
        compiled.program.write_into(made / "program")
        (made / PLACEMENT).write_text(compiled.placement.json(), encoding="utf-8")
        left_out |= _written(made / "program.nir", lambda path: write_program_nir(compiled.program, path))
        (made / "lava.py").write_text(script(compiled.program), encoding="utf-8")
        (made / "report.html").write_text(report(deployment), encoding="utf-8")
        if onnx:
            from avnir.export.onnx_write import write_onnx

            write_onnx(source.graph, made / "step.onnx")
        if netx:
            from avnir.hardware.lava.netx import write_netx

            write_netx(compiled.program, made / NETX_FILE)
        files = sorted(path for path in made.rglob("*") if path.is_file())
        manifest = {
            "format": FORMAT,
            "avnir": __version__,
            "target": compiled.program.target,
            "silicon": SILICON,
            "model": dict(source.record),
            "compared_samples": 0 if run is None else run.verification.samples,
            "program": compiled.program.digest,
            "files": {str(path.relative_to(made)): sha256(path) for path in files},
            **({"left_out": left_out} if left_out else {}),
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return manifest


def _written(path: Path, write: Callable[[Path], object]) -> dict[str, str]:
    """Write a file for other frameworks; where it cannot hold all of the network, why there is none."""
    from avnir.errors import UnsupportedError

    try:
        write(path)
    except UnsupportedError as error:
        return {path.name: str(error)}
    return {}
