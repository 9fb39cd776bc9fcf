"""`avnir run`: an exported folder on a backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from avnir.cli.memory import counted_run, memory_option
from avnir.cli.output import emit, json_option, table
from avnir.cli.workers import Where, worker_options

if TYPE_CHECKING:
    from avnir.program import Program


@click.command("run")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--inputs",
    "inputs_path",
    type=click.Path(path_type=Path),
    required=True,
    help="An .npz, [T, B, ...] per input.",
)
@click.option("--backend", "backend_name", default="cpu", show_default=True, help="See `avnir doctor`.")
@click.option(
    "--out", "out_path", type=click.Path(path_type=Path), help="Write the spikes of every layer here (.npz)."
)
@click.option("--states", is_flag=True, help="Record membrane registers too.")
@click.option("--samples", type=click.IntRange(1), help="Use the first N samples only.")
@worker_options
@memory_option
@json_option
def command(
    folder: Path,
    inputs_path: Path,
    backend_name: str,
    out_path: Path | None,
    states: bool,
    samples: int | None,
    where: Where,
    memory: int | None,
    as_json: bool,
) -> None:
    """Run the program in FOLDER (what `avnir export` wrote), or in its program.nir, over the --inputs.

    With --workers or --scheduler the samples are spread over processes. Where the trace does not fit into
    --memory, it is made, counted and written in pieces. It is the same always, bit for bit.
    """
    from avnir.backend import find
    from avnir.cli.inputs import checked_labels, first_samples, read_inputs
    from avnir.cost.synops import operations
    from avnir.decision import output_units
    from avnir.trace import checked_inputs
    from avnir.trace_file import trace_file

    find(backend_name)
    program = _program(folder)
    given, labels = read_inputs(inputs_path)
    inputs, labels = first_samples(checked_inputs(program.graph, given), labels, samples)
    steps, batch = next(iter(inputs.values())).shape[:2]
    labels = checked_labels(labels, batch)
    with trace_file(out_path, program.graph, steps, batch, states) as write:
        totals, seconds = counted_run(where, program, backend_name, inputs, states, memory, write)
    synops = operations(program, totals.sent(inputs), batch)
    decisions = program.decision.classes(totals.trace, output_units(program.graph))
    record = {
        "backend": backend_name,
        "program": program.digest,
        "samples": batch,
        "steps": steps,
        "latency_steps": program.latency,
        "seconds": seconds,
        "decisions": decisions.tolist(),
        "accuracy": None if labels is None else float((decisions == labels).mean()),
        "spikes_per_sample": {name: found / batch for name, found in totals.spikes.items()},
        "synops_per_sample": dict(synops.total),
    }
    if as_json:
        emit(record)
        return
    table(
        f"{batch} samples x {steps} steps on {backend_name}",
        ("layer", "spikes a sample"),
        _spike_rows(record),
    )
    click.echo(f"SynOps a sample: {', '.join(f'{v:,.0f} {n}' for n, v in synops.total.items())}")
    if labels is not None:
        click.echo(f"accuracy: {100 * record['accuracy']:.2f} %")
    click.echo(f"{seconds:.3f} s; the first output comes {program.latency} chip steps after the first input")


def _program(path: Path) -> Program:
    """The program of an exported folder, of its folder `program`, or of a program.nir."""
    from avnir.export.nir_program import read_program_nir
    from avnir.program import Program

    if path.is_file():
        return read_program_nir(path)
    return Program.load(path / "program" if (path / "program").is_dir() else path)


def _spike_rows(record: dict) -> list[tuple[str, str]]:  # type: ignore[type-arg]
    return [(name, f"{value:,.1f}") for name, value in record["spikes_per_sample"].items()]
