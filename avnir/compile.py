"""The pipeline on one screen: what happens between a traced graph and a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from avnir import __version__
from avnir.decision import Decision
from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.passes.balance_delays import BalanceDelays
from avnir.passes.fold_batchnorm import FoldBatchNorm
from avnir.passes.fold_gain import FoldGain
from avnir.passes.lower_alpha import LowerAlpha
from avnir.passes.lower_maxpool import LowerMaxPool
from avnir.passes.merge_synapses import MergeSynapses
from avnir.passes.note import Note, Pass
from avnir.passes.nudge import Nudge
from avnir.passes.quantise import Quantise
from avnir.passes.split_sums import SplitSums, most_sources
from avnir.place import Placement, place
from avnir.program import Program
from avnir.rounding.examples import data_record
from avnir.rounding.layer_choice import Choices, check_choices, choices_record
from avnir.target import Target

TO_NIR: tuple[Pass, ...] = (FoldBatchNorm(), LowerMaxPool(), LowerAlpha(), FoldGain())
"""What turns a traced graph into operations that NIR has. Its result is what `graph.nir` holds."""


@dataclass(frozen=True)
class Compiled:
    """All that `compile_graph` made: the graph as NIR holds it, the program, its cores, the notes."""

    nir_graph: Graph
    program: Program
    placement: Placement
    notes: tuple[Note, ...]


def to_integers(
    target: Target,
    weight_bits: int = 8,
    calibration: Mapping[str, Array] | None = None,
    labels: Array | None = None,
    decision: Decision | None = None,
    layers: Choices | None = None,
) -> tuple[Pass, ...]:
    """What turns such a graph into the chip's integers, balanced in time."""
    reading = decision or Decision()
    quantise = Quantise(
        weight_bits, calibration=calibration, labels=labels, decision=reading, layers=layers or {}
    )
    split = SplitSums(most_sources(target))
    return MergeSynapses(), quantise, split, BalanceDelays(target.limits.delay_steps.value)


def compile_graph(
    graph: Graph,
    target: Target,
    weight_bits: int = 8,
    calibration: Mapping[str, Array] | None = None,
    *,
    labels: Array | None = None,
    decision: Decision | None = None,
    chips: int = 1,
    cores: int | None = None,
    layers: Choices | None = None,
) -> Compiled:
    """A real graph as a program for `target`, placed on at most `chips` chips of `cores` usable cores each.

    With `calibration`, example inputs `[T, B, *shape]` by name, the integers are those whose spikes on them
    agree best with the graph's (`avnir.rounding.calibrate`); with `labels`, `[B]`, of equal ones those that
    decide more of them right, or data-free ones if those do best. The program's provenance says which data
    it was, and where it was declined. `decision` says how a host reads the class; one that is not the usual
    one is in the provenance too, and so is what `layers` chooses for single layers, by name.
    Raises UnsupportedError where something has no exact form, LimitError where the target is too
    small; both with every finding of the pass that refused. DataError where the examples or the decision do
    not fit.
    """
    reading = decision or Decision()
    reading.check(graph)
    nir_graph, lowered = run_passes(graph, TO_NIR)
    integers, quantised = run_passes(
        nir_graph, to_integers(target, weight_bits, calibration, labels, reading, layers)
    )
    provenance: dict[str, Any] = {"avnir": __version__, "weight_bits": weight_bits}
    if calibration is not None:
        declined = any(note.declined for note in quantised if note.pass_name == Quantise.name)
        provenance["calibration"] = data_record(calibration) | ({"declined": True} if declined else {})
    if reading.record():
        provenance["decision"] = reading.record()
    program = Program(integers, target.name, provenance)
    placement = place(program, target, chips=chips, cores=cores)
    made = Compiled(nir_graph, program, placement, (*lowered, *quantised))
    return made if layers is None else with_choices(made, layers)


def with_choices(compiled: Compiled, layers: Choices) -> Compiled:
    """With thresholds and decays moved as `layers` says, and all of it in the provenance.

    Its weights have the widths of `layers` already; cores and delays stay as they are. Raises DataError where
    a choice does not fit.
    """
    program = compiled.program
    check_choices(layers, [node.name for node in program.graph.select(lambda op: op.kind == "Lif")])
    graph, notes = Nudge(layers)(program.graph)
    provenance = {**program.provenance, **choices_record(layers)}
    changed = Program(graph, program.target, provenance)
    placement = replace(compiled.placement, program=changed.digest)
    return replace(compiled, program=changed, placement=placement, notes=(*compiled.notes, *notes))


def run_passes(graph: Graph, passes: Sequence[Pass]) -> tuple[Graph, list[Note]]:
    """Each pass in turn; every result was verified when it was made."""
    notes: list[Note] = []
    for step in passes:
        graph, told = step(graph)
        notes.extend(told)
    return graph, notes
