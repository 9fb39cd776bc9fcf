"""`avnir compare`: where two runs of one network first differ, how that spreads, and why."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from avnir.cli.compared_network import INTEGER_LEVEL, Asked, Network, network_of, network_options
from avnir.cli.compared_runs import Run, is_file, level_of, runs
from avnir.cli.output import emit, json_option
from avnir.cli.progress import stage

if TYPE_CHECKING:
    from avnir.ir.graph import Graph
    from avnir.ir.operation import Array
    from avnir.trace import Trace
    from avnir.verify.compare import Divergence
    from avnir.verify.diagnosis.diagnose import Diagnosis
    from avnir.verify.divergence import LayerProfile
    from avnir.verify.moment import Moment


@dataclass(frozen=True)
class Compared:
    """All that is known about two runs.

    `only_first`, `only_second`: layers that the other side lacks. `first_state`, `second_state`: the neuron
    of the first difference on both sides, `diagnosis`: why the second, or the recorded one, differs; None
    where no network or no inputs are known, or nothing differs. `note` says why a diagnosis is missing.
    """

    first: Run
    second: Run
    layers: tuple[LayerProfile, ...]
    outputs_equal: bool | None
    divergence: Divergence | None
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    first_state: Moment | None = None
    second_state: Moment | None = None
    diagnosis: Diagnosis | None = None
    blamed: str = ""
    note: str = ""

    @property
    def equal(self) -> bool:
        """Whether every slot of every common layer and every common output is equal."""
        return self.divergence is None and self.outputs_equal is not False

    def record(self) -> dict[str, Any]:
        """JSON values."""
        states = {self.first.name: self.first_state, self.second.name: self.second_state}
        where = self.divergence
        return {
            "first": self.first.name,
            "second": self.second.name,
            "equal": self.equal,
            "outputs_equal": self.outputs_equal,
            "divergence": None if where is None else {**vars(where), "neuron": list(where.neuron)},
            "states": {name: state.record() for name, state in states.items() if state is not None},
            "layers": [layer.record() for layer in self.layers],
            "only_first": list(self.only_first),
            "only_second": list(self.only_second),
            "diagnosis": None if self.diagnosis is None else self.diagnosis.record(),
            "note": self.note,
        }


@click.command("compare")
@click.argument("first")
@click.argument("second")
@network_options
@click.option(
    "--layer",
    "pairs",
    multiple=True,
    metavar="THEIRS=OURS",
    help="What a recording calls a layer; THEIRS= leaves it out. May be repeated.",
)
@click.option(
    "--tau",
    type=click.FloatRange(0, min_open=True),
    default=4.0,
    show_default=True,
    help="Of van Rossum's distance, in steps.",
)
@json_option
def command(first: str, second: str, asked: Asked, pairs: tuple[str, ...], tau: float, as_json: bool) -> None:
    """Say where FIRST and SECOND first differ, how that spreads through the layers, and why.

    Each is a recording, .npz (as `avnir run --out` writes it) or .csv (layer,step,sample,neuron,value, one
    event a line), or a stage that is run here: model, snntorch, graph, nir, onnxruntime, norse, nirtorch,
    integer, cpu, gpu, lava, lava-runtime, interpreter. Stages need --model, or --program with --inputs. Where
    the network is known, the layer at which a difference enters is replayed alone under a table of possible
    causes. Exit status: 0 equal, 1 different.
    """
    from avnir.cli.compare_text import show
    from avnir.trace_check import layer_names

    names = layer_names(pairs)
    stages = {level_of(name) for name in (first, second) if not is_file(name)}
    network = network_of(asked, integers=not stages or INTEGER_LEVEL in stages)
    sides = runs((first, second), network, names, asked.steps, asked.samples)
    found = compared(*sides, network, tau)
    if as_json:
        emit(found.record())
    else:
        show(found)
    if not found.equal:
        sys.exit(1)


def compared(first: Run, second: Run, network: Network, tau: float) -> Compared:
    """All comparisons of two runs on the same steps and samples."""
    from avnir.verify.divergence import profiles

    layers = _in_order(profiles(first.trace, second.trace, tau), network, first.level)
    divergences = [layer.agreement.divergence for layer in layers if layer.agreement.divergence]
    where = min(divergences, key=lambda d: d.step) if divergences else None
    found = Compared(
        first,
        second,
        layers,
        _outputs_equal(first, second),
        where,
        tuple(name for name in first.trace.spikes if name not in second.trace.spikes),
        tuple(name for name in second.trace.spikes if name not in first.trace.spikes),
    )
    return found if where is None else _explained(found, where, network)


def _in_order(
    layers: tuple[LayerProfile, ...], network: Network, level: str | None
) -> tuple[LayerProfile, ...]:
    """The layers in the order in which spikes pass through them, where the network is known."""
    graph = network.graph(level)
    if graph is None:
        return layers
    place = {node.name: k for k, node in enumerate(graph)}
    return tuple(sorted(layers, key=lambda layer: place[layer.layer]))


def _outputs_equal(first: Run, second: Run) -> bool | None:
    """Whether the outputs that both have are equal; None where they have none in common."""
    from avnir.trace import Trace
    from avnir.verify.compare import compare

    common = first.trace.outputs.keys() & second.trace.outputs.keys()
    if not common:
        return None
    alone = [
        Trace(run.trace.spikes, {n: run.trace.outputs[n] for n in sorted(common)}) for run in (first, second)
    ]
    return compare(alone[0], alone[1], (first.name, second.name)).outputs_equal


def _explained(found: Compared, where: Divergence, network: Network) -> Compared:
    """With the neuron's state on both sides and the cause, as far as the network is known."""
    from dataclasses import replace

    from avnir.verify.diagnosis.diagnose import diagnose_graph
    from avnir.verify.moment import moment

    first, second = found.first, found.second
    if first.level != second.level:
        return replace(found, note=LEVELS)
    graph = network.graph(first.level)
    if graph is None or network.inputs is None:
        return replace(found, note=UNKNOWN)
    own = _own(first, second, graph, network.inputs)
    theirs = first if second.trace is own or _same(second.trace, own) else second
    notes = [TIE] if graph.level == "real" and _is_tie(graph, network.inputs, where) else []
    if first is not theirs and not _same(first.trace, own):
        notes.append(FOREIGN.format(first=first.name, second=second.name))
    states = [moment(graph, network.inputs, run.trace, where) for run in (first, second)]
    with stage("diagnosis"):
        why = diagnose_graph(graph, network.inputs, theirs.trace, own)
    return replace(
        found,
        first_state=states[0],
        second_state=states[1],
        diagnosis=why,
        blamed=theirs.name,
        note=" ".join(notes),
    )


def _is_tie(graph: Graph, inputs: Mapping[str, Array], where: Divergence) -> bool:
    """Whether float32 rounding may decide this spike either way (`avnir.verify.ties`)."""
    from avnir.ir.interpret_real import interpret_real
    from avnir.verify.ties import is_tie

    alone = {name: array[:, [where.sample]] for name, array in inputs.items()}
    return is_tie(graph, alone, interpret_real(graph, alone), where)


def _own(first: Run, second: Run, graph: Graph, inputs: Mapping[str, Array]) -> Trace:
    """What the network gives: a side that is the definition itself, else run here."""
    from avnir.verify.diagnosis.diagnose import INTERPRETERS

    known = [run.trace for run in (first, second) if run.name in DEFINING and not run.recorded]
    return known[0] if known else INTERPRETERS[graph.level](graph, inputs)


def _same(first: Trace, second: Trace) -> bool:
    import numpy as np

    common = first.spikes.keys() & second.spikes.keys()
    return all(np.array_equal(first.spikes[name], second.spikes[name]) for name in common)


DEFINING = frozenset({"integer", "interpreter", "graph"})
"""Stages that are the definition of a network's spikes."""
FOREIGN = (
    "Neither side is what this network gives on these inputs; the cause is told of {second}, not of {first}."
)
LEVELS = (
    "One side is the model in floating point, the other the chip's integers, so they differ by design; "
    "`avnir why MODEL` says which approximation costs what."
)
TIE = (
    "The potential lies within float32's rounding of the threshold, by a proven bound: either side may be "
    "right, and runs that sum in another order part here."
)
UNKNOWN = (
    "For membranes and the cause, say what network this is: --program FOLDER --inputs FILE.npz, "
    "or --model MODEL."
)
