"""Run every stage of a deployment over the same inputs, and show the verdict; for `export` and `verify`.

Where no PyTorch model stands behind the graph, the graph's own run in float64 takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from avnir.cli.output import table
from avnir.cli.progress import stage

if TYPE_CHECKING:
    from avnir.cli.source import Source
    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.trace import Trace
    from avnir.verify.stages import Verification


def compared(
    source: Source,
    program: Program,
    backends: Iterable[str],
    inputs: Mapping[str, Array],
    labels: Array | None,
) -> tuple[Verification, Trace]:
    """The verdict on `program` over `inputs`, the first samples of the source's own; the integers' trace.

    `backends` run the program, or, as other frameworks do, the graph; snnTorch always does where it can.
    """
    from avnir.backend import REFERENCES, find, installed, reference
    from avnir.decision import output_units
    from avnir.ir.interpret_integer import interpret_integer
    from avnir.ir.interpret_real import interpret_real
    from avnir.verify.stages import MODEL, REFERENCE, Stages, judge
    from avnir.verify.ties import tie_samples

    wanted = dict.fromkeys([REFERENCE, *backends] if source.traced else backends)
    frameworks = [name for name in wanted if name in installed(REFERENCES)]
    floats = {}
    if source.recorded is not None:
        floats[MODEL] = source.recorded.samples(range(next(iter(inputs.values())).shape[1]))
    for name in frameworks:
        with stage(name):
            floats[name] = reference(name)(source.graph, inputs)
    with stage("graph interpreter"):
        in_graph = interpret_real(source.graph, inputs)
    with stage("integer interpreter"):
        in_integers = interpret_integer(program.graph, inputs)
    traces = {}
    for name in wanted:
        if name not in frameworks:
            with stage(name), find(name).session(program) as session:
                traces[name] = session.run(inputs)
    ties = {t for trace in floats.values() for t in tie_samples(source.graph, inputs, trace, in_graph)}
    verification = judge(
        Stages(in_graph, in_integers, traces, floats),
        labels,
        tuple(sorted(ties)),
        program.decision,
        output_units(program.graph),
    )
    return verification, in_integers


def show(verification: Verification) -> None:
    """Print the table of layers, the ties and the accuracies."""
    from avnir.verify.stages import layer_table

    exact = [f"{c.first} = {c.second}" for c in verification.exact]
    quantised = f"{verification.quantisation.first} ~ {verification.quantisation.second}"
    columns = ("layer", *exact, quantised, "spikes, float", "spikes, integer")
    title = f"{verification.samples} samples x {verification.steps} steps: equal spike slots"
    table(title, columns, layer_table(verification))
    if verification.ties:
        named = ", ".join(map(str, verification.ties))
        click.echo(f"float32 rounding decides a spike in samples {named}: left out of the graph's columns")
    for name, value in verification.accuracy.items():
        click.echo(f"accuracy {name}: {100 * value:.2f} %")
