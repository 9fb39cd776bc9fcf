"""`avnir export`: a model to a folder for a chip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.output import emit, json_option
from avnir.cli.source import Request, Source, model_options, open_source, sha256

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.verify.stages import Verification

MANIFEST = "manifest.json"
FORMAT = "avnir-export-1"
SILICON = "not tested on silicon"
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
@click.option("--weight-bits", type=click.IntRange(2, 8), default=8, show_default=True)
@click.option("--onnx", is_flag=True, help="Write step.onnx too: one time step, the caller keeps the states.")
@click.option("--explain", is_flag=True, help="Print what each pass did, and what it left alone and why.")
@json_option
def command(
    request: Request,
    target_name: str,
    out: Path | None,
    weight_bits: int,
    onnx: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Turn MODEL into a folder: graph.nir, program/, lava.py, report.html, manifest.json.

    MODEL is a model.pt, package.module:build (imports and runs your own code, with --weights, --inputs and
    --time), or a NIR file. The integers are run on the CPU engine over MODEL's examples, or --inputs, and
    compared with the reference; a graph that does not reproduce the reference in every spike is not written
    (exit status 1). A NIR file without --inputs is written with nothing compared, and says so.
    """
    from avnir import target
    from avnir.cli.progress import stage
    from avnir.cli.stages import compared, show
    from avnir.compile import compile_graph

    chip = target.load(target_name)
    source = open_source(request)
    folder = out or request.stem.with_name(f"{request.stem.name}_{chip.name}")
    with stage("compile"):
        compiled = compile_graph(source.graph, chip, weight_bits)
    verification = None
    if source.inputs is not None:
        verification, _ = compared(source, compiled.program, ["cpu"], source.inputs, source.labels)
        verification.gate()
    manifest = write_folder(folder, source, compiled, verification, onnx)
    record = {"folder": str(folder), **manifest, "demand": vars(compiled.demand)}
    record |= {} if verification is None else verification.record()
    if explain:
        record["notes"] = [str(note) for note in compiled.notes]
    if as_json:
        emit(record)
        return
    for line in record.get("notes", []):
        click.echo(line)
    if verification is None:
        click.echo(NOT_COMPARED)
    else:
        show(verification)
    click.echo(
        f"{chip.title}: at least {compiled.demand.cores} of {chip.limits.cores.value} cores; {SILICON}"
    )
    click.echo(
        f"wrote {folder}: {', '.join(sorted({name.split('/')[0] for name in manifest['files']}))}, {MANIFEST}"
    )


def write_folder(
    folder: Path, source: Source, compiled: Compiled, verification: Verification | None, onnx: bool
) -> dict[str, Any]:
    """Write the folder whole or not at all; same input, same bytes. Returns the manifest."""
    from avnir import __version__
    from avnir.export import write_nir
    from avnir.files import atomic_folder
    from avnir.hardware.lava.script import script
    from avnir.report.html import report

    with atomic_folder(folder, MANIFEST) as made:
        write_nir(compiled.nir_graph, made / "graph.nir")
        (made / "program").mkdir()
        compiled.program.write_into(made / "program")
        (made / "lava.py").write_text(script(compiled.program), encoding="utf-8")
        (made / "report.html").write_text(report(source.name, compiled, verification), encoding="utf-8")
        if onnx:
            from avnir.export.onnx_write import write_onnx

            write_onnx(source.graph, made / "step.onnx")
        files = sorted(path for path in made.rglob("*") if path.is_file())
        manifest = {
            "format": FORMAT,
            "avnir": __version__,
            "target": compiled.program.target,
            "silicon": SILICON,
            "model": dict(source.record),
            "compared_samples": 0 if verification is None else verification.samples,
            "program": compiled.program.digest,
            "files": {str(path.relative_to(made)): sha256(path) for path in files},
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return manifest
