"""What `avnir show` prints: a graph, a program, a placement or a recorded run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from avnir.cli.output import emit, table

if TYPE_CHECKING:
    from avnir.cli.show_tables import Shown
    from avnir.ir.graph import Graph
    from avnir.ir.operation import Array
    from avnir.place import Placement
    from avnir.program import Program
    from avnir.trace import Trace


@dataclass(frozen=True)
class Part:
    """Which part of a trace is drawn."""

    layer: str | None
    sample: int
    steps: slice
    neurons: slice


@dataclass(frozen=True)
class ShownGraph:
    """A network before it is compiled."""

    graph: Graph
    what: ClassVar[str] = "a graph"
    options: ClassVar[tuple[str, ...]] = ("--text",)

    def show(self, part: Part, as_text: bool, as_json: bool) -> None:
        from avnir.cli.show_tables import graph_table

        if as_text:
            _text(self.graph)
            return
        shown = graph_table(self.graph)
        if as_json:
            emit(
                {
                    "kind": "graph",
                    "level": self.graph.level,
                    "dt": self.graph.dt,
                    "nodes": list(shown.records),
                }
            )
            return
        _table(shown)


@dataclass(frozen=True)
class ShownProgram:
    """What is deployed, with its cores where they are known."""

    program: Program
    placement: Placement | None
    what: ClassVar[str] = "a program"
    options: ClassVar[tuple[str, ...]] = ("--text",)

    def show(self, part: Part, as_text: bool, as_json: bool) -> None:
        from avnir.cli.show_tables import connection_table, layer_table

        if as_text:
            _text(self.program.graph)
            return
        layers, connections = layer_table(self.program, self.placement), connection_table(self.program)
        if as_json:
            emit(
                {
                    "kind": "program",
                    **self._record(),
                    "layers": list(layers.records),
                    "connections": list(connections.records),
                }
            )
            return
        _table(layers)
        _table(connections)
        for line in self._lines(sum(record["synapses"] for record in connections.records)):
            click.echo(line)

    def _record(self) -> dict[str, Any]:
        program = self.program
        return {
            "target": program.target,
            "digest": program.digest,
            "latency": program.latency,
            "cores": None if self.placement is None else self.placement.cores,
            "provenance": dict(program.provenance),
        }

    def _lines(self, synapses: int) -> list[str]:
        from avnir.cost.cores import cores_text

        program = self.program
        cores = "" if self.placement is None else f", on {cores_text(self.placement)}"
        made = ", ".join(f"{name} {value}" for name, value in program.provenance.items())
        return [
            f"program for {program.target}{cores}; {synapses:,} synapses; the first output comes "
            f"{program.latency} chip steps after the first input",
            f"made by {made}",
            f"digest {program.digest}",
        ]


@dataclass(frozen=True)
class ShownPlacement:
    """Which core runs which neurons."""

    placement: Placement
    what: ClassVar[str] = "a placement"
    options: ClassVar[tuple[str, ...]] = ()

    def show(self, part: Part, as_text: bool, as_json: bool) -> None:
        from avnir import target
        from avnir.cost.cores import cores_record, cores_text
        from avnir.place.table import core_rows

        chip = target.load(self.placement.target)
        head, rows = core_rows(self.placement, chip)
        if as_json:
            listed = [dict(zip(head, row, strict=True)) for row in rows]
            emit(
                {"kind": "placement", "target": chip.name, **cores_record(self.placement), "by_core": listed}
            )
            return
        table(f"{cores_text(self.placement)} of {chip.title}", head, rows)
        click.echo(f"placement of program {self.placement.program}")


@dataclass(frozen=True)
class ShownRun:
    """A run's spikes."""

    trace: Trace
    path: Path
    what: ClassVar[str] = "a recorded run"
    options: ClassVar[tuple[str, ...]] = ("--layer",)

    def show(self, part: Part, as_text: bool, as_json: bool) -> None:
        from avnir.cli.show_tables import events, trace_table

        shown = trace_table(self.trace)
        if part.layer is None:
            if as_json:
                emit({"kind": "trace", "layers": list(shown.records)})
                return
            _table(shown)
            last = list(self.trace.spikes)[-1]
            click.echo(f"avnir show {self.path} --layer {last} draws one layer's spikes")
            return
        fired, first_step, first_neuron, neurons = self._fired(part)
        if as_json:
            known = {"kind": "trace", "layer": part.layer, "sample": part.sample, "neurons": neurons}
            emit(known | {"events": events(fired, first_step, first_neuron)})
            return
        self._draw(part, fired, first_step, first_neuron, neurons)

    def _fired(self, part: Part) -> tuple[Array, int, int, int]:
        """What is drawn, bool `[T, neurons]`, its first step and neuron, and all neurons of the layer."""
        from avnir.errors import DataError

        spikes = self.trace.spikes
        if part.layer is None or part.layer not in spikes:
            raise DataError(f"{self.path} has no layer {part.layer!r}; it has {', '.join(spikes)}")
        array = spikes[part.layer]
        if part.sample >= array.shape[1]:
            raise DataError(f"{self.path} has {array.shape[1]} samples, so no sample {part.sample}")
        flat = array[:, part.sample].reshape(len(array), -1) != 0
        fired = flat[part.steps, part.neurons]
        if not fired.size:
            sizes = f"{flat.shape[1]} neurons and {len(flat)} steps"
            raise DataError(f"there is nothing in that range: {part.layer} has {sizes}")
        return fired, part.steps.start or 0, part.neurons.start or 0, flat.shape[1]

    def _draw(self, part: Part, fired: Array, first_step: int, first_neuron: int, neurons: int) -> None:
        from avnir.cli.raster_text import raster

        last = first_neuron + fired.shape[1] - 1
        click.echo(f"{part.layer}, sample {part.sample}, neurons {first_neuron} to {last} of {neurons}")
        for line in raster(fired, first_neuron, first_step):
            click.echo(line)
        click.echo(f"{int(fired.sum()):,} spikes in {fired.size:,} slots")


def _text(graph: Graph) -> None:
    from avnir.ir.text import to_text

    click.echo(to_text(graph), nl=False)


def _table(shown: Shown) -> None:
    table(shown.title, shown.columns, shown.rows)
