"""Run every stage of a deployment over the same inputs, and show the verdict.

Where no PyTorch model stands behind the graph, the graph's own run in float64 takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from avnir.cli.at_work import Backends, opened_backends
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


@dataclass(frozen=True)
class Named:
    """The stages of a run beside graph and integers: `frameworks` run the graph, `programs` the program."""

    frameworks: tuple[str, ...]
    programs: tuple[str, ...]

    @classmethod
    def of(cls, source: Source, backends: Iterable[str]) -> Named:
        """Those called `backends`, and snnTorch where it can."""
        from avnir.backend import REFERENCES, installed
        from avnir.verify.stages import REFERENCE

        wanted = tuple(dict.fromkeys([REFERENCE, *backends] if source.traced else backends))
        frameworks = tuple(name for name in wanted if name in installed(REFERENCES))
        return cls(frameworks, tuple(name for name in wanted if name not in frameworks))

    @property
    def all(self) -> tuple[str, ...]:
        """Every stage, in the order of the work."""
        from avnir.verify.stages import GRAPH, INTEGER

        return (*self.frameworks, GRAPH, INTEGER, *self.programs)


def run_stages(
    source: Source,
    program: Program,
    backends: Iterable[str],
    inputs: Mapping[str, Array],
    where: Where = HERE,
) -> Stages:
    """The traces of every stage over `inputs`, the first samples of the source's own, wherever it is done.

    `backends` run the program, or, as other frameworks do, the graph; snnTorch always does where it can.
    """
    from avnir.many.samples import Network

    named = Named.of(source, backends)
    with opened(where) as client:
        if client is not None:
            traces = _traces(client, Network(source.graph, program), named.all, inputs)
            return _stages(source, named, traces, 0)
    with opened_backends(program, named.programs) as at_work:
        return stages_here(source, at_work, named, inputs)


def stages_here(
    source: Source,
    backends: Backends,
    named: Named,
    inputs: Mapping[str, Array],
    first: int = 0,
    room: int | None = None,
) -> Stages:
    """The same in this process, for samples of the source from the `first` on.

    `backends` run in `room` bytes (`avnir.cli.at_work`), the others meanwhile: most time goes to Lava, which
    is another process.
    """
    from avnir.many.samples import Network, cut, stage_part, traces

    found: dict[str, Trace] = {}
    running = backends.begin(inputs, room)
    for name in named.all:
        parts = cut(name, inputs)
        with counted(name, len(parts)) as done:
            if name in running:
                found[name] = running[name].result()
            else:
                network = Network(source.graph, backends.program)
                found |= traces(None, stage_part, network, parts, done)
    return _stages(source, named, found, first)


def _stages(source: Source, named: Named, traces: Mapping[str, Trace], first: int) -> Stages:
    from avnir.verify.stages import GRAPH, INTEGER, MODEL, Stages

    floats = {}
    if source.recorded is not None:
        batch = next(iter(traces[GRAPH].outputs.values())).shape[1]
        floats[MODEL] = source.recorded.samples(range(first, first + batch))
    floats |= {name: traces[name] for name in named.frameworks}
    return Stages(traces[GRAPH], traces[INTEGER], {name: traces[name] for name in named.programs}, floats)


def _traces(
    client: Client, network: Network, names: Iterable[str], inputs: Mapping[str, Array]
) -> dict[str, Trace]:
    """Every stage's trace, all at once on workers."""
    from avnir.many.samples import cut, stage_part, traces

    parts = [part for name in names for part in cut(name, inputs, client)]
    with counted("all stages", len(parts)) as done:
        return traces(client, stage_part, network, parts, done)


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

    ties = tie_samples_of(source, inputs, stages)
    return judge(stages, labels, ties, program.decision, output_units(program.graph))


def tie_samples_of(source: Source, inputs: Mapping[str, Array], stages: Stages) -> tuple[int, ...]:
    """The samples of `inputs` in which float32's rounding decides a spike, in any of the float32 stages."""
    from avnir.verify.ties import tie_samples

    floats = stages.floats.values()
    ties = {t for trace in floats for t in tie_samples(source.graph, inputs, trace, stages.graph)}
    return tuple(sorted(ties))


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
