"""Every stage of a deployment compared, as many samples at a time as fit into memory; for `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avnir.cli.at_work import opened_backends
from avnir.cli.memory import in_room
from avnir.cli.stages import Named, run_stages, stages_here, tie_samples_of
from avnir.cli.workers import Where

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.ir.operation import Array
    from avnir.pieces import Need
    from avnir.program import Program
    from avnir.trace import Trace
    from avnir.verify.stages import Stages, Verification

    Take = Callable[[slice, Stages], object]


@dataclass(frozen=True)
class Besides:
    """What else is done with what the integers sent: `take` gets samples, their inputs and their trace.

    That takes `need` bytes; what is kept of it has `kept`.
    """

    take: Callable[[slice, Mapping[str, Array], Trace], object]
    need: Need
    kept: int


def compared(
    source: Source,
    program: Program,
    backends: Iterable[str],
    inputs: Mapping[str, Array],
    labels: Array | None,
    besides: Besides,
    where: Where,
    memory: int | None,
) -> Verification:
    """The verdict on `program` over `inputs`, the first samples of the source's own.

    `backends` run the program, or, as other frameworks do, the graph; snnTorch always does where it can.
    Elsewhere all samples are run at once, here as many as fit into `memory` (`avnir.cli.memory.in_room`).
    """
    from avnir.decision import output_units
    from avnir.verify.stages import Judging

    judging, named = Judging(), Named.of(source, backends)

    def take(samples: slice, stages: Stages) -> None:
        here = _of(inputs, samples)
        judging.add(stages, tie_samples_of(source, here, stages))
        besides.take(samples, here, stages.integer)

    if where.elsewhere:
        take(slice(0, _batch(inputs)), run_stages(source, program, backends, inputs, where))
    else:
        _in_turn(source, program, named, inputs, besides, memory, take)
    return judging.verification(labels, program.decision, output_units(program.graph))


def _in_turn(
    source: Source,
    program: Program,
    named: Named,
    inputs: Mapping[str, Array],
    besides: Besides,
    memory: int | None,
    take: Take,
) -> None:
    """Run all stages here, some samples after others: all, or a multiple of what floats take together."""
    from avnir.many.samples import FLOAT_SAMPLES
    from avnir.pieces import Need
    from avnir.verify.held import output_bytes, stage_need

    steps, batch = next(iter(inputs.values())).shape[:2]
    reals, runs = len(named.frameworks) + 1 + (source.recorded is not None), len(named.programs) + 1
    kept = reals * output_bytes(source.graph, steps) + runs * output_bytes(program.graph, steps)
    with opened_backends(program, named.programs) as backends:
        need = stage_need(source.graph, program.graph, steps, reals, runs)
        need += besides.need + Need(0, backends.least_room(inputs))

        def work(room: int) -> None:
            together = need.samples(room, batch, FLOAT_SAMPLES)
            for first in range(0, batch, together):
                samples = slice(first, min(first + together, batch))
                here, left = _of(inputs, samples), need.left(room, together)
                take(samples, stages_here(source, backends, named, here, samples.start, left))

        fewest = min(FLOAT_SAMPLES, batch)
        least = f"{fewest} sample{'s' * (fewest > 1)}"
        in_room(memory, besides.kept + 2 * batch * kept, least, work, ", or fewer --samples")


def _of(inputs: Mapping[str, Array], samples: slice) -> dict[str, Array]:
    return {name: array[:, samples] for name, array in inputs.items()}


def _batch(inputs: Mapping[str, Array]) -> int:
    return next(iter(inputs.values())).shape[1]
