"""`avnir sweep`: one model over targets, bits and thresholds; a line of JSON for each point as it comes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.bits import bits_of
from avnir.cli.calibration import calibrate_option, calibration_inputs
from avnir.cli.chips import chip_options
from avnir.cli.examples import examples_of
from avnir.cli.output import emit, json_option, table
from avnir.cli.progress import counted
from avnir.cli.source import Request, Source, model_options, open_source
from avnir.cli.workers import Where, worker_options
from avnir.cli.workers import opened as opened_workers

if TYPE_CHECKING:
    from avnir.many.lines import Lines
    from avnir.many.sweep import Job, Point

Line = Mapping[str, Any]
COLUMNS = (
    *("target", "bits", "thresholds", "accuracy, float", "accuracy, deployed", "agreement"),
    *("SynOps", "cores", "window", "dynamic energy"),
)


def _finite(
    context: click.Context, parameter: click.Parameter, values: tuple[float, ...]
) -> tuple[float, ...]:
    if not all(map(math.isfinite, values)):
        raise click.BadParameter("give finite numbers above 0")
    return values


@click.command("sweep")
@model_options
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=("loihi2",),
    show_default=True,
    help="Chip; see `avnir targets`. May be repeated.",
)
@click.option(
    "--weight-bits",
    type=click.IntRange(2, 8),
    multiple=True,
    help="Width of the weights; may be repeated [default: as MODEL was fine-tuned for, else 8].",
)
@click.option(
    "--threshold-scale",
    "threshold_scales",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    default=(1.0,),
    show_default=True,
    callback=_finite,
    help="Multiply the threshold of every neuron; may be repeated.",
)
@calibrate_option
@chip_options
@click.option("--samples", type=click.IntRange(1), help="Use the first N samples only.")
@click.option(
    "--out",
    "out_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File of JSON lines; what it has already is not run again.",
)
@worker_options
@json_option
def command(
    request: Request,
    targets: tuple[str, ...],
    weight_bits: tuple[int, ...],
    threshold_scales: tuple[float, ...],
    calibrate: str | None,
    chips: int,
    cores: int | None,
    samples: int | None,
    out_path: Path,
    where: Where,
    as_json: bool,
) -> None:
    """Measure MODEL at every combination of --target, --weight-bits and --threshold-scale.

    Each point is compiled and run on the CPU engine over MODEL's examples, or --inputs: accuracy in floating
    point and deployed, how many spikes of the two agree (both with the thresholds scaled), synaptic
    operations, cores, latency, energy. Nothing was measured on silicon. A point that cannot be made gets a
    line with the reason.

    A line is on the disk as soon as its point is measured. Called again with the same file, the command goes
    on from there: a point is not run again if network, inputs, settings and version of avnir are the same.
    The lines do not depend on where the work is done; their order does.
    """
    from avnir import target
    from avnir.many.lines import opened
    from avnir.many.sweep import key, problem, product, told

    for name in targets:
        target.load(name)
    source = open_source(request)
    job = _job(source, calibrate, samples)
    points = product(targets, weight_bits or (bits_of(source, None),), threshold_scales, chips, cores)
    wanted = {key(told(job, point)): point for point in points}
    with opened(out_path, lambda line: problem(line, job)) as lines:
        if lines.torn:
            click.echo(f"{out_path}: its last line was torn ({lines.torn} bytes) and is dropped", err=True)
        measured = {key(line): line for line in lines.held if key(line) in wanted}
        missing = [point for place, point in wanted.items() if place not in measured]
        for line in _measure(job, missing, where, lines, out_path):
            measured[key(line)] = line
    found = [measured[place] for place in wanted]
    if as_json:
        emit({"out": str(out_path), "measured": len(missing), "points": _sorted(found)})
    else:
        _show(source, found, len(missing), out_path)


def _job(source: Source, calibrate: str | None, samples: int | None) -> Job:
    from avnir.many.sweep import Job

    inputs, labels = examples_of(source, samples)
    return Job(source.graph, inputs, labels, *calibration_inputs(source, calibrate), source.decision)


def _measure(job: Job, missing: list[Point], where: Where, lines: Lines, out_path: Path) -> Iterable[Line]:
    """Measure the points, each line kept before it is given."""
    from avnir.many.each import each
    from avnir.many.sweep import measured

    if not missing:
        return
    try:
        with opened_workers(where) as client, counted("points", len(missing)) as advance:
            for _, line in each(client, measured, job, missing):
                lines.append(line)
                advance()
                yield line
    except KeyboardInterrupt:
        click.echo(
            f"{lines.added()} of {len(missing)} points were measured and are in {out_path}; "
            "the same command goes on",
            err=True,
        )
        raise


def _sorted(found: Iterable[Line]) -> list[Line]:
    """The best accuracy first, of equal ones the best agreement; refused points last."""
    return sorted(found, key=_merit)


def _merit(line: Line) -> tuple[bool, float, float]:
    accuracy = line.get("accuracy") or {}
    return line["refused"] is not None, -accuracy.get("deployed", 0.0), -line.get("agreement", 0.0)


def _show(source: Source, found: list[Line], measured: int, out_path: Path) -> None:
    made = [line for line in _sorted(found) if line["refused"] is None]
    if made:
        size = f"{made[0]['samples']} samples x {made[0]['steps']} steps"
        table(f"{source.name}: {size}, nothing was measured on silicon", COLUMNS, map(_row, made))
    for line in found:
        if line["refused"] is not None:
            click.echo(f"{' '.join(_settings(line))}: {line['refused']}")
    before = len(found) - measured
    again = f", {before} of them from before" if before else ""
    click.echo(f"{len(found)} points{again}: {out_path}")


def _settings(line: Line) -> tuple[str, str, str]:
    return line["target"], str(line["weight_bits"]), f"{line['threshold_scale']:g}"


def _row(line: Line) -> tuple[str, ...]:
    from avnir.cost.energy import nanojoules

    accuracy = line["accuracy"] or {}
    return (
        *_settings(line),
        *(f"{100 * accuracy[of]:.2f} %" if of in accuracy else "-" for of in ("float", "deployed")),
        f"{100 * line['agreement']:.3f} %",
        f"{line['synops_per_sample']['stored']:,.0f}",
        str(line["placement"]["cores"]),
        f"{line['latency']['window_ns'] / 1000:.2f} us",
        nanojoules(line["energy_per_sample"]["dynamic_joules"]),
    )
