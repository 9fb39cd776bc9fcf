"""The pipeline on one screen: what happens between a traced graph and a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from avnir import __version__
from avnir.cost.capacity import Demand, check
from avnir.ir.graph import Graph
from avnir.passes.balance_delays import BalanceDelays
from avnir.passes.fold_batchnorm import FoldBatchNorm
from avnir.passes.fold_gain import FoldGain
from avnir.passes.lower_alpha import LowerAlpha
from avnir.passes.lower_maxpool import LowerMaxPool
from avnir.passes.merge_synapses import MergeSynapses
from avnir.passes.note import Note, Pass
from avnir.passes.quantise import Quantise
from avnir.program import Program
from avnir.target import Target

TO_NIR: tuple[Pass, ...] = (FoldBatchNorm(), LowerMaxPool(), LowerAlpha(), FoldGain())
"""What turns a traced graph into operations that NIR has. Its result is what `graph.nir` holds."""


@dataclass(frozen=True)
class Compiled:
    """All that `compile_graph` made: the graph as NIR holds it, the program, what it asks for, the notes."""

    nir_graph: Graph
    program: Program
    demand: Demand
    notes: tuple[Note, ...]


def to_integers(target: Target, weight_bits: int = 8) -> tuple[Pass, ...]:
    """What turns such a graph into the chip's integers, balanced in time."""
    return MergeSynapses(), Quantise(weight_bits), BalanceDelays(target.limits.delay_steps.value)


def compile_graph(graph: Graph, target: Target, weight_bits: int = 8) -> Compiled:
    """A real graph as a program for `target`.

    Raises UnsupportedError where something has no exact form, LimitError where the target is too
    small; both with every finding of the pass that refused.
    """
    nir_graph, lowered = run_passes(graph, TO_NIR)
    integers, quantised = run_passes(nir_graph, to_integers(target, weight_bits))
    program = Program(integers, target.name, {"avnir": __version__, "weight_bits": weight_bits})
    return Compiled(nir_graph, program, check(program, target), (*lowered, *quantised))


def run_passes(graph: Graph, passes: Sequence[Pass]) -> tuple[Graph, list[Note]]:
    """Each pass in turn; every result was verified when it was made."""
    notes: list[Note] = []
    for step in passes:
        graph, told = step(graph)
        notes.extend(told)
    return graph, notes
