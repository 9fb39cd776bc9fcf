"""Run every stage of a deployment over the same inputs, and show the verdict; for `export` and `verify`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from avnir.cli.output import table
from avnir.cli.progress import stage

if TYPE_CHECKING:
    from avnir.backend import Backend
    from avnir.ir.graph import Graph
    from avnir.ir.operation import Array
    from avnir.program import Program
    from avnir.trace import Trace
    from avnir.verify.stages import Stages, Verification


def run_stages(
    graph: Graph,
    program: Program,
    backends: Mapping[str, Backend],
    inputs: Mapping[str, Array],
    recorded: Trace | None = None,
) -> Stages:
    """The traces of all stages; `recorded` is what the original model did on these inputs, if known."""
    from avnir.export import reference
    from avnir.ir.interpret_integer import interpret_integer
    from avnir.ir.interpret_real import interpret_real
    from avnir.verify.stages import Stages

    with stage("snnTorch reference"):
        in_torch = reference(graph, inputs)
    with stage("graph interpreter"):
        in_graph = interpret_real(graph, inputs)
    with stage("integer interpreter"):
        in_integers = interpret_integer(program.graph, inputs)
    traces = {}
    for name, backend in backends.items():
        with stage(name), backend.session(program) as session:
            traces[name] = session.run(inputs)
    return Stages(in_torch, in_graph, in_integers, traces, recorded)


def verdict(graph: Graph, inputs: Mapping[str, Array], stages: Stages, labels: Array | None) -> Verification:
    """Compare the stages, samples in which float32's rounding decides a spike set apart."""
    from avnir.verify.stages import judge
    from avnir.verify.ties import tie_samples

    floats = [stages.snntorch] if stages.model is None else [stages.snntorch, stages.model]
    ties = {sample for trace in floats for sample in tie_samples(graph, inputs, trace, stages.graph)}
    return judge(stages, labels, tuple(sorted(ties)))


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
