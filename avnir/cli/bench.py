"""`avnir bench`: what a model costs on a chip, every figure with its source."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.bits import weight_bits_option
from avnir.cli.calibration import calibrate_option
from avnir.cli.chips import chip_options
from avnir.cli.compiled import compiled_for
from avnir.cli.examples import examples_of
from avnir.cli.memory import check_alone, in_room, memory_option
from avnir.cli.output import emit, json_option, table
from avnir.cli.progress import stage
from avnir.cli.source import Request, Source, model_options, open_source
from avnir.cli.workers import Where, timed_run, worker_options

if TYPE_CHECKING:
    from avnir.compile import Compiled
    from avnir.cost.costs import Costs
    from avnir.cost.latency import Latency
    from avnir.cost.synops import SynapticOperations
    from avnir.ir.operation import Array
    from avnir.place import Placement
    from avnir.target import Target


class _ModelOrEngine(click.Command):
    """`avnir bench MODEL ...`, and `avnir bench engine ...`; a file of that name is reached as `./engine`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] != ["engine"]:
            return super().make_context(info_name, args, parent, **extra)
        from avnir.cli.bench_engine import command as engine

        return engine.make_context(f"{info_name} engine", args[1:], parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command(
    "bench",
    cls=_ModelOrEngine,
    epilog="`avnir bench engine` times the CPU engine beside Lava, snnTorch and others; see its --help. "
    "A file of that name is ./engine.",
)
@model_options
@click.option("--target", "target_name", required=True, help="Chip; see `avnir targets`.")
@click.option("--samples", type=click.IntRange(1), help="Use the first N samples only.")
@weight_bits_option
@calibrate_option
@chip_options
@click.option("--balance", is_flag=True, help="Cut and pack by the work that the run makes, not the most.")
@worker_options
@memory_option
@json_option
def command(
    request: Request,
    target_name: str,
    samples: int | None,
    weight_bits: int | None,
    calibrate: str | None,
    chips: int,
    cores: int | None,
    balance: bool,
    where: Where,
    memory: int | None,
    as_json: bool,
) -> None:
    """Say what MODEL costs on a chip: cores, latency, synaptic operations, energy.

    The integers are run on the CPU engine over MODEL's examples, or --inputs, and every event is counted.
    Each price is printed with its grade and its source; a sum that needs a price that was never published is
    refused, and what was counted is printed. Nothing was measured on silicon.

    What does not fit into --memory at once is run and counted some samples after others, one at least. Every
    figure is the same.
    """
    from avnir import target

    check_alone(where, memory)
    chip = target.load(target_name)
    source = open_source(request)
    inputs, _ = examples_of(source, samples)
    compiled = compiled_for(source, chip, weight_bits, calibrate, chips, cores)
    costs = _costs(compiled, chip, inputs, balance, where, memory)
    if as_json:
        emit(_record(source, costs))
    else:
        _show(source, costs)


def _costs(
    compiled: Compiled,
    chip: Target,
    inputs: Mapping[str, Array],
    balance: bool,
    where: Where,
    memory: int | None,
) -> Costs:
    """The costs of a run: elsewhere of all samples at once, here of as many as fit, in turn."""
    from avnir.backend import find
    from avnir.cost.costs import costs_of, costs_of_runs
    from avnir.cost.held import cost_need, timed_bytes
    from avnir.many.samples import in_turn, least_room

    program, placement = compiled.program, compiled.placement
    if where.elsewhere:
        trace, _ = timed_run(where, program, "cpu", inputs, states=True)
        with stage("costs"):
            return costs_of(compiled, chip, inputs, trace, balance)
    batch = next(iter(inputs.values())).shape[1]
    with find("cpu").session(program) as session, stage("costs"):
        need = cost_need(program, placement, chip, inputs, least_room(session, inputs, states=True))

        def counted(room: int) -> Costs:
            together = need.samples(room, batch)
            left = need.left(room, together)
            run = partial(in_turn, session, program.graph, inputs, together, left)
            return costs_of_runs(compiled, chip, run, balance)

        return in_room(memory, batch * timed_bytes(program, placement, chip, inputs), "one sample", counted)


def _show(source: Source, costs: Costs) -> None:
    from avnir.cost import convention, energy, latency
    from avnir.cost.cores import cores_text
    from avnir.place.table import core_rows

    placement, chip = costs.placement, costs.chip
    runs = f"{costs.samples} samples x {costs.steps} steps{_again(costs)}"
    click.echo(f"{source.name} on {chip.title}: {runs} on the CPU engine; nothing was measured on silicon")
    table(f"placement: {cores_text(placement)}", *core_rows(placement, chip))
    table("latency", ("what", "value"), latency.summary(costs.timed, placement))
    if costs.worst is not None:
        table("balanced by this run", *_compared(costs.worst, (placement, costs.timed)))
    table("made of", ("time", "value", "grade", "source"), latency.figure_rows(costs.timed))
    table("synaptic operations a sample", ("connection", *_conventions()), _synops_rows(costs.synops))
    columns = ("term", "count a sample", "price", "energy", "grade", "source")
    table("energy a sample", columns, energy.rows(costs.energy))
    for line in energy.summary(costs.energy):
        click.echo(line)
    click.echo()
    rows = [
        (a.operation, f"{a.count:,.1f}", energy.priced(a.cost), energy.nanojoules(a.joules))
        for a in costs.convention
    ]
    head = ("operation", "count a sample", "price", "energy")
    table(f"{convention.NAME}, no chip's energy", head, rows)
    click.echo(f"source: {convention.SOURCE}")


def _again(costs: Costs) -> str:
    return f", each shown {costs.presentations} times," if costs.presentations > 1 else ""


def _compared(
    worst: tuple[Placement, Latency], balanced: tuple[Placement, Latency]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows: the placement by the most work that can be, and the one by the work of the run."""
    from avnir.cost.latency import summary

    shown = ("chip step, mean", "window, mean", "busiest core")
    rows = []
    for name, (placement, timed) in (("most possible", worst), ("this run", balanced)):
        told = dict(summary(timed, placement))
        rows.append((name, str(placement.cores), *(told[what] for what in shown)))
    return ("placed by the work of", "cores", *shown), rows


def _conventions() -> tuple[str, ...]:
    from avnir.cost.synops import CONVENTIONS

    return CONVENTIONS


def _synops_rows(synops: SynapticOperations) -> list[tuple[str, ...]]:
    counted = [*synops.by_connection.items(), ("all", synops.total)]
    return [(name, *(f"{counts[c]:,.1f}" for c in _conventions())) for name, counts in counted]


def _record(source: Source, costs: Costs) -> dict[str, Any]:
    placed = {
        "placement": _placement_record(costs.placement, costs.chip),
        "latency": _latency_record(costs.timed, costs.placement),
    }
    if costs.worst is not None:
        placement, timed = costs.worst
        unbalanced = {"cores": placement.cores, "latency": _latency_record(timed, placement)}
        placed["unbalanced"] = unbalanced
    return {
        "model": source.name,
        "target": costs.chip.name,
        "program": costs.compiled.program.digest,
        "samples": costs.samples,
        "steps": costs.steps,
        "presentations": costs.presentations,
        **placed,
        "synops_per_sample": {"total": costs.synops.total, "by_connection": costs.synops.by_connection},
        "energy_per_sample": costs.energy.record(),
        "arithmetic_convention_per_sample": [
            {"operation": a.operation, "count": a.count, **a.cost.model_dump(), "joules": a.joules}
            for a in costs.convention
        ],
    }


def _placement_record(placement: Placement, chip: Target) -> dict[str, Any]:
    from avnir.cost.cores import cores_record
    from avnir.place.table import core_rows

    head, rows = core_rows(placement, chip)
    listed = [dict(zip(head, row, strict=True)) for row in rows]
    return {**cores_record(placement), "balanced": placement.measured, "by_core": listed}


def _latency_record(timed: Latency, placement: Placement) -> dict[str, Any]:
    from avnir.cost.latency import BOUNDARY, NOT_TIMED

    core, term = timed.busiest
    return {
        "step_ns": {"mean": float(timed.steps.mean()), "longest": float(timed.steps.max())},
        "window_ns": {"mean": float(timed.windows.mean()), "longest": float(timed.windows.max())},
        "chip_steps": len(timed.steps),
        "binds": timed.binds,
        "busiest_core": {
            "chip": placement.addresses[core][0],
            "core": placement.addresses[core][1],
            "by": term,
        },
        "messages": float(timed.messages.mean()),
        "hops": float(timed.hops.sum(axis=1).mean()),
        "messages_between_chips": float(timed.between_chips.mean()),
        "figures": {name: cost.model_dump() for name, cost in timed.figures.items()},
        "covers": BOUNDARY,
        "not_in_it": NOT_TIMED,
    }
