"""`avnir export`: model.pt to a folder for a chip."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.output import emit, json_option

if TYPE_CHECKING:
    from avnir.compile import Compiled

MANIFEST = "manifest.json"
FORMAT = "avnir-export-1"
SILICON = "not tested on silicon"


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", "target_name", required=True, help="Chip; see `avnir targets`.")
@click.option(
    "--out",
    "out",
    type=click.Path(path_type=Path),
    help="Folder to write [default: MODEL_TARGET beside MODEL].",
)
@click.option("--weight-bits", type=click.IntRange(2, 8), default=8, show_default=True)
@click.option("--explain", is_flag=True, help="Print what each pass did, and what it left alone and why.")
@json_option
def command(
    model: Path, target_name: str, out: Path | None, weight_bits: int, explain: bool, as_json: bool
) -> None:
    """Turn MODEL into a folder: graph.nir, program/, lava.py, report.html, manifest.json.

    The integers are run on the CPU engine over MODEL's examples and compared with the reference; a
    graph that does not reproduce the reference in every spike is not written (exit status 1).
    """
    from avnir import target
    from avnir.backend import find
    from avnir.cli.progress import stage
    from avnir.cli.stages import run_stages, show, verdict
    from avnir.compile import compile_graph
    from avnir.export import load

    chip = target.load(target_name)
    checkpoint = load(model)
    folder = out or model.with_name(f"{model.stem}_{chip.name}")
    with stage("compile"):
        compiled = compile_graph(checkpoint.graph, chip, weight_bits)
    cpu = {"cpu": find("cpu")}
    inputs = checkpoint.inputs
    stages = run_stages(checkpoint.graph, compiled.program, cpu, inputs, checkpoint.recorded)
    verification = verdict(checkpoint.graph, inputs, stages, checkpoint.labels)
    verification.gate()
    manifest = write_folder(folder, model, compiled, verification)
    record = {"folder": str(folder), **manifest, "demand": vars(compiled.demand), **verification.record()}
    if explain:
        record["notes"] = [str(note) for note in compiled.notes]
    if as_json:
        emit(record)
        return
    for line in record.get("notes", []):
        click.echo(line)
    show(verification)
    click.echo(
        f"{chip.title}: at least {compiled.demand.cores} of {chip.limits.cores.value} cores; {SILICON}"
    )
    click.echo(
        f"wrote {folder}: {', '.join(sorted({name.split('/')[0] for name in manifest['files']}))}, {MANIFEST}"
    )


def write_folder(folder: Path, model: Path, compiled: Compiled, verification: Any) -> dict[str, Any]:
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
        (made / "report.html").write_text(report(model.name, compiled, verification), encoding="utf-8")
        files = sorted(path for path in made.rglob("*") if path.is_file())
        manifest = {
            "format": FORMAT,
            "avnir": __version__,
            "target": compiled.program.target,
            "silicon": SILICON,
            "model": {"name": model.name, "sha256": _sha256(model)},
            "program": compiled.program.digest,
            "files": {str(path.relative_to(made)): _sha256(path) for path in files},
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return manifest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
