"""`avnir verify`: every stage of a deployment against the PyTorch spikes."""

from __future__ import annotations

from pathlib import Path

import click

from avnir.cli.output import emit, json_option
from avnir.cli.stages import run_stages, show, verdict


@click.command("verify")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--target", "target_name", default="loihi2", show_default=True, help="Chip; see `avnir targets`."
)
@click.option(
    "--backend", "backends", multiple=True, default=("cpu",), show_default=True, help="May be repeated."
)
@click.option(
    "--inputs",
    "inputs_path",
    type=click.Path(path_type=Path),
    help="An .npz instead of the examples in MODEL.",
)
@click.option("--samples", type=click.IntRange(1), help="Use the first N samples only.")
@click.option("--weight-bits", type=click.IntRange(2, 8), default=8, show_default=True)
@click.option(
    "--min-agreement", type=click.FloatRange(0, 1), help="Fail below this share of equal spike slots."
)
@click.option("--min-accuracy", type=click.FloatRange(0, 1), help="Fail below this accuracy of the integers.")
@click.option("--max-synops", type=click.FloatRange(0), help="Fail above this many stored SynOps a sample.")
@json_option
def command(
    model: Path,
    target_name: str,
    backends: tuple[str, ...],
    inputs_path: Path | None,
    samples: int | None,
    weight_bits: int,
    min_agreement: float | None,
    min_accuracy: float | None,
    max_synops: float | None,
    as_json: bool,
) -> None:
    """Compare snnTorch, graph, integers and backends on MODEL's examples or on --inputs.

    The graph must equal snnTorch and every backend must equal the integer definition, in every spike
    (else exit status 1). How far the integers are from the model is reported, and gated where asked.
    """
    from avnir import target
    from avnir.backend import find
    from avnir.cli.inputs import checked_labels, first_samples, read_inputs
    from avnir.compile import compile_graph
    from avnir.cost.synops import count
    from avnir.errors import GateError
    from avnir.trace import checked_inputs

    chip = target.load(target_name)
    chosen = {name: find(name) for name in dict.fromkeys(backends)}
    from avnir.export import load  # loads torch: after the checks that need none

    checkpoint = load(model)
    given, labels = (
        (checkpoint.inputs, checkpoint.labels) if inputs_path is None else read_inputs(inputs_path)
    )
    inputs, labels = first_samples(checked_inputs(checkpoint.graph, given), labels, samples)
    batch = next(iter(inputs.values())).shape[1]
    compiled = compile_graph(checkpoint.graph, chip, weight_bits)
    labels = checked_labels(labels, batch)
    recorded = checkpoint.recorded.samples(range(batch)) if inputs_path is None else None
    stages = run_stages(checkpoint.graph, compiled.program, chosen, inputs, recorded)
    verification = verdict(checkpoint.graph, inputs, stages, labels)
    synops = count(compiled.program, inputs, stages.integer)
    if as_json:
        emit(
            {
                **verification.record(),
                "target": chip.name,
                "program": compiled.program.digest,
                "demand": vars(compiled.demand),
                "synops_per_sample": dict(synops.total),
            }
        )
    else:
        show(verification)
        totals = ", ".join(f"{value:,.0f} {name}" for name, value in synops.total.items())
        click.echo(f"SynOps a sample: {totals}; at least {compiled.demand.cores} cores of {chip.title}")
    verification.gate(min_agreement, min_accuracy)
    if max_synops is not None and synops.total["stored"] > max_synops:
        raise GateError(
            f"verification failed: {synops.total['stored']:.0f} SynOps a sample, above {max_synops:.0f}"
        )
