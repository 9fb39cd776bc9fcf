"""Run every stage of a deployment over the same inputs, and show the verdict; for `export` and `verify`.

Where no PyTorch model stands behind the graph, the graph's own run in float64 takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from avnir.cli.output import table
from avnir.cli.progress import counted
from avnir.cli.workers import HERE, Where, opened

if TYPE_CHECKING:
    from distributed import Client

    from avnir.cli.source import Source
    from avnir.ir.operation import Array
    from avnir.many.samples import Network
    from avnir.program import Program
    from avnir.trace import Trace
    from avnir.verify.stages import Stages, Verification


def compared(
    source: Source,
    program: Program,
    backends: Iterable[str],
    inputs: Mapping[str, Array],
    labels: Array | None,
    where: Where = HERE,
) -> tuple[Verification, Trace]:
    """The verdict on `program` over `inputs`, the first samples of the source's own; the integers' trace.

    `backends` run the program, or, as other frameworks do, the graph; snnTorch always does where it can.
    """
    stages = run_stages(source, program, backends, inputs, where)
    return verdict(source, program, stages, inputs, labels), stages.integer


def run_stages(
    source: Source,
    program: Program,
    backends: Iterable[str],
    inputs: Mapping[str, Array],
    where: Where = HERE,
) -> Stages:
    """The traces of every stage over `inputs`, as `compared` takes them, the same wherever it is done."""
    from avnir.backend import REFERENCES, installed
    from avnir.many.samples import Network
    from avnir.verify.stages import GRAPH, INTEGER, MODEL, REFERENCE, Stages

    wanted = tuple(dict.fromkeys([REFERENCE, *backends] if source.traced else backends))
    frameworks = [name for name in wanted if name in installed(REFERENCES)]
    programs = [name for name in wanted if name not in frameworks]
    names = [*frameworks, GRAPH, INTEGER, *programs]
    network = Network(source.graph, program)
    with opened(where) as client:
        if client is None:
            traces = _traces_here(network, names, programs, inputs)
        else:
            traces = _traces(client, network, names, inputs)
    floats = {}
    if source.recorded is not None:
        floats[MODEL] = source.recorded.samples(range(next(iter(inputs.values())).shape[1]))
    floats |= {name: traces[name] for name in frameworks}
    return Stages(traces[GRAPH], traces[INTEGER], {name: traces[name] for name in programs}, floats)


def _traces(
    client: Client, network: Network, names: Iterable[str], inputs: Mapping[str, Array]
) -> dict[str, Trace]:
    """Every stage's trace, all at once on workers."""
    from avnir.many.samples import cut, stage_part, traces

    parts = [part for name in names for part in cut(name, inputs, client)]
    with counted("all stages", len(parts)) as done:
        return traces(client, stage_part, network, parts, done)


def _traces_here(
    network: Network, names: Iterable[str], programs: Sequence[str], inputs: Mapping[str, Array]
) -> dict[str, Trace]:
    """Every stage's trace: those of `programs` in a thread of their own, the others meanwhile in this one.

    Most of the time goes to Lava, which is another process.
    """
    from avnir.many.samples import cut, stage_part, traces

    found: dict[str, Trace] = {}
    with begun(network.program, programs, inputs) as running:
        for name in names:
            parts = cut(name, inputs)
            with counted(name, len(parts)) as done:
                if name in running:
                    found[name] = running[name].result()
                else:
                    found |= traces(None, stage_part, network, parts, done)
    return found


@contextmanager
def begun(
    program: Program, backends: Iterable[str], inputs: Mapping[str, Array]
) -> Iterator[dict[str, Future[Trace]]]:
    """Backends at work, one after the other; leaving the context ends them and their processes."""
    from avnir.backend import find

    with ThreadPoolExecutor(1) as thread, ExitStack() as sessions:
        opened = {name: sessions.enter_context(find(name).session(program)) for name in backends}
        sessions.callback(thread.shutdown, wait=False, cancel_futures=True)
        yield {name: thread.submit(session.run, inputs) for name, session in opened.items()}


def verdict(
    source: Source,
    program: Program,
    stages: Stages,
    inputs: Mapping[str, Array],
    labels: Array | None,
) -> Verification:
    """What the stages of a run over `inputs` say; samples that float32's rounding decides are left out."""
    from avnir.decision import output_units
    from avnir.verify.stages import judge
    from avnir.verify.ties import tie_samples

    floats = stages.floats.values()
    ties = {t for trace in floats for t in tie_samples(source.graph, inputs, trace, stages.graph)}
    units = output_units(program.graph)
    return judge(stages, labels, tuple(sorted(ties)), program.decision, units)


def show(verification: Verification) -> None:
    """Print the table of layers, the ties, where stages first differ, and the accuracies."""
    from avnir.verify.stages import divergence_table, layer_table

    exact = [f"{c.first} = {c.second}" for c in verification.exact]
    quantised = f"{verification.quantisation.first} ~ {verification.quantisation.second}"
    columns = ("layer", *exact, quantised, "spikes, float", "spikes, integer")
    title = f"{verification.samples} samples x {verification.steps} steps: equal spike slots"
    table(title, columns, layer_table(verification))
    if verification.ties:
        named = ", ".join(map(str, verification.ties))
        click.echo(f"float32 rounding decides a spike in samples {named}: left out of the graph's columns")
    if differing := divergence_table(verification):
        columns = ("stages", "layer", "neuron", "step", "sample", "first", "second")
        table("where stages that must be equal first differ", columns, differing)
    for name, value in verification.accuracy.items():
        click.echo(f"accuracy {name}: {100 * value:.2f} %")
