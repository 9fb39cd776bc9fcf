"""`avnir verify`: every stage of a deployment against the PyTorch spikes, and what it must reach."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avnir.cli.calibration import calibration_line
from avnir.cli.compared import Besides, compared
from avnir.cli.compiled import compiled_for, program_option
from avnir.cli.examples import examples_of
from avnir.cli.gates import Asked, Job, gate_options, jobs
from avnir.cli.memory import check_alone, memory_option
from avnir.cli.output import json_option
from avnir.cli.sent import Sent
from avnir.cli.source import Request, model_options, open_source
from avnir.cli.stages import show
from avnir.cli.verdict import Reports, finish, report_options, show_gates
from avnir.cli.workers import Where, worker_options

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.cost.synops import SynapticOperations
    from avnir.target import Target
    from avnir.verify.gate import Verdict
    from avnir.verify.golden import Golden
    from avnir.verify.stages import Verification


@dataclass(frozen=True)
class _Run:
    """One model, compiled and run; what the integers sent; the recording that it is held against, if any."""

    chip: Target
    compiled: Compiled
    sent: Sent
    verification: Verification
    golden: Golden | None


@dataclass(frozen=True)
class _Way:
    """How one call verifies: whose integers, if not MODEL's own; what it records; where; and how loudly.

    `memory`: bytes that the process may take.
    """

    program: Path | None
    record: Path | None
    where: Where
    memory: int | None
    quiet: bool


@click.command("verify")
@partial(model_options, required=False)
@gate_options
@report_options
@program_option
@worker_options
@partial(memory_option, beside=", beside what torch, other frameworks and other backends than cpu take")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Write the integers' spikes to this file, for --golden, if all stages are equal.",
)
@json_option
def command(
    request: Request,
    asked: Asked,
    reports: Reports,
    program: Path | None,
    record: Path | None,
    where: Where,
    memory: int | None,
    as_json: bool,
) -> None:
    """Compare snnTorch, graph, integers and backends on MODEL's examples or on --inputs.

    MODEL is a model.pt, package.module:build (imports and runs your own code, with --weights, --inputs and
    --time), or a NIR file (its graph in float64 is the reference, as there is no snnTorch model; with
    --inputs). The graph must equal snnTorch and every backend must equal the integer definition, in every
    spike (else exit status 1). How far the integers are from the model is reported, and gated where asked:
    by options, or by MODEL's table in the budget file avnir.toml, which options overrule.

    Without MODEL every model of the budget file is verified, and one verdict given. Reports are written
    whether it passes or fails.

    What does not fit into --memory at once is run and compared some samples after others, with the same
    results: 64 at least, or all if they are fewer, as floating point rounds by how many go together. All
    spikes of the integers are kept for --golden and --record alone.
    """
    from avnir.errors import AvnirError, UserError

    check_alone(where, memory)
    wanted, several = jobs(request, asked), not request.model
    for option, path in (("--record", record), ("--program", program)):
        if several and path is not None:
            raise UserError(f"{option} means one model; name it")
    way = _Way(program, record, where, memory, quiet=as_json)
    verdicts: dict[str, Verdict] = {}
    refused: dict[str, AvnirError] = {}
    for job in wanted:
        name = job.request.model
        if several and not as_json:
            click.echo(f"\n{name}\n")
        try:
            verdicts[name] = _verified(job, way)
        except AvnirError as error:
            refused[name] = error
    finish(verdicts, refused, reports, as_json, several)


def _verified(job: Job, way: _Way) -> Verdict:
    """Run and judge one model, record its golden trace if asked, and print what was found unless quiet."""
    started = time.perf_counter()
    run = _run(job, way)
    synops = run.sent.synops
    verdict = _judged(job, run, synops)
    verdict = replace(verdict, seconds=time.perf_counter() - started)
    if not way.quiet:
        _show(job, run, synops, verdict)
    if way.record is not None:
        _record(run, way.record)
    return verdict


def _record(run: _Run, path: Path) -> None:
    if run.verification.equal:
        run.sent.golden.save(path)
    told = "recorded" if run.verification.equal else "not recorded, as stages differ:"
    click.echo(f"{told} {path}", err=True)


def _run(job: Job, way: _Way) -> _Run:
    from avnir import target
    from avnir.backend import REFERENCES, find, installed
    from avnir.verify.golden import Golden

    budget = job.budget
    chip = target.load(budget.target)
    for name in budget.backends:
        if name not in installed(REFERENCES):
            find(name)
    source = open_source(job.request)  # loads torch: after the checks that need none
    inputs, labels = examples_of(source, budget.samples)
    widths = budget.weight_bits, budget.calibrate
    compiled = compiled_for(source, chip, *widths, budget.chips, budget.cores, way.program)
    golden = None if budget.golden is None or way.record is not None else Golden.load(budget.golden)
    spikes = way.record is not None or golden is not None
    sent = Sent.of(compiled, chip, inputs, spikes, times="max_latency" in budget.limits)
    besides = Besides(sent.take, sent.need, sent.kept)
    run = source, compiled.program, budget.backends, inputs, labels
    return _Run(chip, compiled, sent, compared(*run, besides, way.where, way.memory), golden)


def _judged(job: Job, run: _Run, synops: SynapticOperations) -> Verdict:
    """Every demand on a run; that of the golden trace if it was held against one."""
    from avnir.cost.cores import cores_record
    from avnir.verify.gate import Measures, Verdict, checks
    from avnir.verify.golden import check_golden

    limits, placement = job.budget.limits, run.compiled.placement
    measures = Measures.of(run.verification, placement.cores, synops.total["stored"], run.sent.latency)
    verdict = Verdict(
        model=job.request.model,
        target=run.chip.name,
        program=run.compiled.program.digest,
        verification=run.verification,
        measures=measures,
        checks=checks(run.verification, measures, limits, job.request.model),
        costs={"placement": cores_record(placement), "synops_per_sample": dict(synops.total)},
    )
    if run.golden is None or job.budget.golden is None:
        return verdict
    check, comparison = check_golden(run.golden, run.sent.golden, job.budget.golden, job.request.model)
    return replace(verdict, checks=(*verdict.checks, check), golden=comparison)


def _show(job: Job, run: _Run, synops: SynapticOperations, verdict: Verdict) -> None:
    from avnir.cost.cores import cores_text

    show(run.verification)
    if job.budget.calibrate:
        click.echo(calibration_line(run.compiled.program, job.budget.calibrate))
    totals = ", ".join(f"{value:,.0f} {name}" for name, value in synops.total.items())
    click.echo(f"SynOps a sample: {totals}; {cores_text(run.compiled.placement)} of {run.chip.title}")
    show_gates(verdict)
