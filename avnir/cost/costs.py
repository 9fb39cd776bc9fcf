"""All costs of a run on a chip: placement, latency, synaptic operations, energy, from one trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from avnir.backend import find
from avnir.compile import Compiled
from avnir.cost.convention import Arithmetic, arithmetic_of
from avnir.cost.counts import Counts
from avnir.cost.energy import Ledger, ledger_of
from avnir.cost.latency import Latency, joined, latency
from avnir.cost.synops import SynapticOperations
from avnir.ir.operation import Array
from avnir.place import Placement, place
from avnir.place.network import network_of
from avnir.program import Program
from avnir.target import Target
from avnir.trace import Trace, checked_inputs


@dataclass(frozen=True)
class Costs:
    """All costs of one run of `samples` x `steps` on the CPU engine, each shown `presentations` times.

    `worst`: where that was balanced by the run, the placement by the most work that can be, and its times.
    """

    compiled: Compiled
    chip: Target
    samples: int
    steps: int
    presentations: int
    placement: Placement
    timed: Latency
    worst: tuple[Placement, Latency] | None
    synops: SynapticOperations
    energy: Ledger
    convention: tuple[Arithmetic, ...]


Take = Callable[[Mapping[str, Array], Trace], object]
"""Takes the inputs of some samples and their trace, with states."""


def costs_of(
    compiled: Compiled,
    chip: Target,
    inputs: Mapping[str, Array],
    trace: Trace | None = None,
    balance: bool = False,
) -> Costs:
    """The costs of a run over `inputs`, integers `[T, B, *shape]`, that gave `trace`.

    `trace` holds states (`avnir.cost.updates`); without one the CPU engine runs. With `balance`, cores are
    cut and packed by the work that the run makes. Raises DataError where inputs or trace do not fit,
    TargetError where a time that is needed was never published.
    """
    shown = checked_inputs(compiled.program.graph, inputs)
    if trace is None:
        with find("cpu").session(compiled.program) as session:
            trace = session.run(shown, states=True)
    known = shown, trace
    return costs_of_runs(compiled, chip, lambda take: take(*known), balance)


def costs_of_runs(
    compiled: Compiled, chip: Target, run: Callable[[Take], object], balance: bool = False
) -> Costs:
    """The same where `run` hands out some samples after others; with `balance` it is asked twice."""
    program, placement = compiled.program, compiled.placement
    counts = Counts(program, network_of(program.graph, chip.limits.delay_steps.value.bit_length()))
    parts: list[Latency] = []

    def take(inputs: Mapping[str, Array], trace: Trace) -> None:
        parts.append(latency(program, compiled.placement, chip, inputs, trace))
        counts.add(inputs, trace)

    run(take)
    timed = joined(parts)
    worst = None
    if balance:
        worst, there = (placement, timed), (placement.chips, placement.cores_per_chip)
        placement = place(program, chip, chips=there[0], cores=there[1], mean=counts.means)
        timed = _timed(program, placement, chip, run)
    synops = counts.synops
    return Costs(
        compiled,
        chip,
        counts.samples,
        counts.steps,
        counts.presentations,
        placement,
        timed,
        worst,
        synops,
        ledger_of(counts, placement, chip, timed),
        arithmetic_of(program, synops),
    )


def _timed(program: Program, placement: Placement, chip: Target, run: Callable[[Take], object]) -> Latency:
    """The latency alone."""
    parts: list[Latency] = []
    run(lambda inputs, trace: parts.append(latency(program, placement, chip, inputs, trace)))
    return joined(parts)
