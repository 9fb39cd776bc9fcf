"""What a report is made of, for `export` and `report`: a compiled source, its run, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avnir.cli.progress import stage
from avnir.cli.stages import run_stages, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from avnir.cli.source import Source
    from avnir.compile import Compiled
    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.report.deployment import Deployment, Run
    from avnir.target import Target


REGISTERS = 1 << 30
"""Bytes that the registers of the run that is costed may take."""


def compared_run(
    source: Source,
    program: Program,
    backends: Iterable[str],
    inputs: Mapping[str, Array],
    labels: Array | None,
) -> Run:
    """Every stage over `inputs`, as `avnir.cli.stages.compared` takes them, with the verdict."""
    from avnir.report.deployment import Run

    stages = run_stages(source, program, backends, inputs)
    return Run(stages, verdict(source, program, stages, inputs, labels), labels)


def deployment_of(
    source: Source,
    compiled: Compiled,
    chip: Target,
    run: Run | None,
    inputs: Mapping[str, Array] | None,
    attribution: Mapping[str, Any] | None = None,
) -> Deployment:
    """All that the report shows.

    Costs are those of a run over `inputs`, or over the first samples whose registers fit into REGISTERS
    bytes; they are refused where a price is missing.
    """
    from avnir.cost.costs import costs_of
    from avnir.errors import TargetError
    from avnir.report.deployment import Deployment
    from avnir.rounding.examples import data_record

    costs, refused = None, ""
    if inputs is not None:
        try:
            with stage("costs"):
                costs = costs_of(compiled, chip, _costed(compiled.program, inputs))
        except TargetError as error:
            refused = str(error)
    examples = {} if inputs is None else data_record(inputs)
    known = source.record, source.history, examples, run, costs, refused, attribution
    return Deployment(source.name, compiled, chip, *known)


def _costed(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The first samples, one at least, whose registers after every step can be recorded."""
    import math

    from avnir.cli.inputs import first_samples
    from avnir.ir.presentations import presentations

    graph = program.graph
    steps = len(next(iter(inputs.values()))) * presentations(graph)
    held: list[int] = [
        math.prod(graph.shapes[node.name]) * len(node.op.registers)  # type: ignore[attr-defined]
        for node in graph.neurons
    ]
    return first_samples(inputs, None, max(1, REGISTERS // max(1, 4 * steps * sum(held))))[0]
