"""All costs of a run on a chip: placement, latency, synaptic operations, energy, from one trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from avnir.backend import find
from avnir.compile import Compiled
from avnir.cost.convention import Arithmetic, arithmetic
from avnir.cost.energy import Ledger, ledger
from avnir.cost.latency import Latency, latency
from avnir.cost.synops import SynapticOperations, count
from avnir.ir.operation import Array
from avnir.place import Placement, place
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
    program, placement = compiled.program, compiled.placement
    shown = checked_inputs(program.graph, inputs)
    steps, samples = next(iter(shown.values())).shape[:2]
    if trace is None:
        with find("cpu").session(program) as session:
            trace = session.run(shown, states=True)
    timed = latency(program, placement, chip, shown, trace)
    worst = None
    if balance:
        worst, there = (placement, timed), (placement.chips, placement.cores_per_chip)
        placement = place(program, chip, chips=there[0], cores=there[1], run=(shown, trace))
        timed = latency(program, placement, chip, shown, trace)
    return Costs(
        compiled,
        chip,
        samples,
        steps,
        len(trace.presented),
        placement,
        timed,
        worst,
        count(program, shown, trace),
        ledger(program, placement, chip, shown, trace, timed),
        arithmetic(program, shown, trace),
    )
