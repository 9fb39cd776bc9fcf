"""`avnir verify`: every stage of a deployment against the PyTorch spikes."""

from __future__ import annotations

import click

from avnir.cli.bits import weight_bits_option
from avnir.cli.calibration import calibrate_option, calibration_line
from avnir.cli.chips import chip_options
from avnir.cli.compiled import compiled_for
from avnir.cli.output import emit, json_option
from avnir.cli.source import Request, model_options, open_source
from avnir.cli.stages import compared, show


@click.command("verify")
@model_options
@click.option(
    "--target", "target_name", default="loihi2", show_default=True, help="Chip; see `avnir targets`."
)
@click.option(
    "--backend", "backends", multiple=True, default=("cpu",), show_default=True, help="May be repeated."
)
@click.option("--samples", type=click.IntRange(1), help="Use the first N samples only.")
@weight_bits_option
@calibrate_option
@chip_options
@click.option(
    "--min-agreement", type=click.FloatRange(0, 1), help="Fail below this share of equal spike slots."
)
@click.option("--min-accuracy", type=click.FloatRange(0, 1), help="Fail below this accuracy of the integers.")
@click.option("--max-synops", type=click.FloatRange(0), help="Fail above this many stored SynOps a sample.")
@json_option
def command(
    request: Request,
    target_name: str,
    backends: tuple[str, ...],
    samples: int | None,
    weight_bits: int | None,
    calibrate: str | None,
    chips: int,
    cores: int | None,
    min_agreement: float | None,
    min_accuracy: float | None,
    max_synops: float | None,
    as_json: bool,
) -> None:
    """Compare snnTorch, graph, integers and backends on MODEL's examples or on --inputs.

    MODEL is a model.pt, package.module:build (imports and runs your own code, with --weights, --inputs and
    --time), or a NIR file (its graph in float64 is the reference, as there is no snnTorch model; with
    --inputs). The graph must equal snnTorch and every backend must equal the integer definition, in every
    spike (else exit status 1). How far the integers are from the model is reported, and gated where asked.
    """
    from avnir import target
    from avnir.backend import REFERENCES, find, installed
    from avnir.cli.inputs import checked_labels, first_samples
    from avnir.cost.cores import cores_record, cores_text
    from avnir.cost.synops import count
    from avnir.errors import DataError, GateError
    from avnir.trace import checked_inputs

    chip = target.load(target_name)
    for name in backends:
        if name not in installed(REFERENCES):
            find(name)
    source = open_source(request)  # loads torch: after the checks that need none
    if source.inputs is None:
        raise DataError(
            f"{source.name} holds no example inputs; give --inputs FILE.npz, [T, B, ...] per input"
        )
    inputs, labels = first_samples(checked_inputs(source.graph, source.inputs), source.labels, samples)
    batch = next(iter(inputs.values())).shape[1]
    labels = checked_labels(labels, batch)
    compiled = compiled_for(source, chip, weight_bits, calibrate, chips, cores)
    verification, integer = compared(source, compiled.program, backends, inputs, labels)
    synops = count(compiled.program, inputs, integer)
    if as_json:
        emit(
            {
                **verification.record(),
                "target": chip.name,
                "program": compiled.program.digest,
                "placement": cores_record(compiled.placement),
                "synops_per_sample": dict(synops.total),
            }
        )
    else:
        show(verification)
        if calibrate:
            click.echo(calibration_line(compiled.program, calibrate))
        totals = ", ".join(f"{value:,.0f} {name}" for name, value in synops.total.items())
        click.echo(f"SynOps a sample: {totals}; {cores_text(compiled.placement)} of {chip.title}")
    verification.gate(min_agreement, min_accuracy)
    if max_synops is not None and synops.total["stored"] > max_synops:
        raise GateError(
            f"verification failed: {synops.total['stored']:.0f} SynOps a sample, above {max_synops:.0f}"
        )
