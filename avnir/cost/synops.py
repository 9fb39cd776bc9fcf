"""Synaptic operations of a run, in each convention by its name, from one trace; rehearsals count.

The conventions disagree by construction, so a number without its convention means nothing:

- `stored`: stored synapses reached by a spike, weights of zero included, window borders exact; what
  the chip's own counter sees
- `nonzero`: the same without weights of zero; NeuroBench's effective accumulates (Yik et al.,
  "The neurobench framework", Nature Communications 16, 1545, 2025)
- `fan_out`: spikes times the layer's average number of synapses per source neuron; the common estimate
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from avnir.ir.graph import Graph
from avnir.ir.operation import Array
from avnir.pieces import Totals, pieces_of
from avnir.program import Program
from avnir.trace import Trace

CONVENTIONS = ("stored", "nonzero", "fan_out")


@dataclass(frozen=True)
class SynapticOperations:
    """Operations per sample, by connection and convention, means over the batch.

    A sample is one window, as often as it is shown.
    """

    by_connection: Mapping[str, Mapping[str, float]]
    samples: int

    @property
    def total(self) -> Mapping[str, float]:
        """The sum over all connections, by convention."""
        return {c: sum(counts[c] for counts in self.by_connection.values()) for c in CONVENTIONS}


def count(program: Program, inputs: Mapping[str, Array], trace: Trace) -> SynapticOperations:
    """Count over a run of `program`; `inputs` `[T, B, *shape]` as they were shown."""
    samples = next(iter(trace.outputs.values())).shape[1]
    return operations(program, sent_in(program.graph, inputs, trace), samples)


def sent_in(graph: Graph, inputs: Mapping[str, Array], trace: Trace) -> dict[str, Array]:
    """How many messages each neuron and input sent in a run, int64 of the layer's shape."""
    totals = Totals(graph, *next(iter(trace.outputs.values())).shape[:2])
    for piece in pieces_of(trace):
        totals.add(piece)
    return totals.sent(inputs)


def operations(program: Program, sent: Mapping[str, Array], samples: int) -> SynapticOperations:
    """The same from how many messages each neuron and input of `program` sent, in all `samples` together."""
    graph = program.graph
    found: dict[str, Mapping[str, float]] = {}
    for node in graph.select(lambda op: op.connection):  # type: ignore[attr-defined]
        shape, messages = graph.shapes[node.inputs[0]], sent[node.inputs[0]]
        stored = node.op.fan_out(shape, nonzero=False)  # type: ignore[attr-defined]
        nonzero = node.op.fan_out(shape, nonzero=True)  # type: ignore[attr-defined]
        average = float(stored.sum()) / math.prod(shape)
        found[node.name] = {
            "stored": int((messages * stored).sum()) / samples,
            "nonzero": int((messages * nonzero).sum()) / samples,
            "fan_out": int(messages.sum()) * average / samples,
        }
    return SynapticOperations(found, samples)
