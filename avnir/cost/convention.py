"""The arithmetic convention: operations times what one takes in 45 nm. No chip's energy, and no part of one.

Papers on spiking networks count an accumulate for each synapse that a spike reaches, and set it against the
multiply-accumulates of the same network run once without spikes. Memory, routing and leakage, most of any
chip's energy, are not in it. Counted are synapses that are not 0 (`nonzero` in `avnir.cost.synops`); what
graded messages reach is multiplied too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from avnir.cost.synops import SynapticOperations, count
from avnir.ir.operation import Array
from avnir.program import Program
from avnir.target import Cost
from avnir.trace import Trace

NAME = "arithmetic convention"
SOURCE = "Horowitz, ISSCC 2014: energy of arithmetic in 45 nm at 0.9 V"


def _convention(picojoules: float) -> Cost:
    return Cost(value=picojoules, unit="pJ", grade="convention", source=SOURCE)


INT8_ADD = _convention(0.03)
INT8_MULTIPLY_ADD = _convention(0.23)
FP32_ADD = _convention(0.9)
FP32_MULTIPLY = _convention(3.7)
FP32_MULTIPLY_ADD = _convention(4.6)


@dataclass(frozen=True)
class Arithmetic:
    """`count` operations a sample at `cost` each."""

    operation: str
    count: float
    cost: Cost

    @property
    def joules(self) -> float:
        return self.count * (self.cost.value or 0.0) * 1e-12


def arithmetic(program: Program, inputs: Mapping[str, Array], trace: Trace) -> tuple[Arithmetic, ...]:
    """The operations of a run in both number formats, and those of the same layers run once, dense."""
    return arithmetic_of(program, count(program, inputs, trace))


def arithmetic_of(program: Program, synops: SynapticOperations) -> tuple[Arithmetic, ...]:
    """The same from its synaptic operations."""
    graph = program.graph
    added = multiplied = once = 0.0
    for name, done in synops.by_connection.items():
        source = graph[name].inputs[0]
        graded = graph[source].op.message_bits > 0  # type: ignore[attr-defined]
        added += 0.0 if graded else done["nonzero"]
        multiplied += done["nonzero"] if graded else 0.0
        once += float(graph[name].op.fan_out(graph.shapes[source], nonzero=False).sum())  # type: ignore[attr-defined]
    listed = (
        Arithmetic("int8 accumulates", added, INT8_ADD),
        Arithmetic("int8 multiply-accumulates of graded messages", multiplied, INT8_MULTIPLY_ADD),
        Arithmetic("FP32 accumulates", added, FP32_ADD),
        Arithmetic("FP32 multiply-accumulates of graded messages", multiplied, FP32_MULTIPLY_ADD),
        Arithmetic("FP32 multiply-accumulates of one dense pass", once, FP32_MULTIPLY_ADD),
    )
    return tuple(each for each in listed if each.count)
