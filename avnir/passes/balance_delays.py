"""Delay the shorter of paths that meet.

In the model all inputs of a layer belong to one step. On the chip every connection takes a step, so
where paths of different depth meet (a residual, two modalities) the shorter one arrives early, and
the network computes something else without any error. Each early connection gets the missing steps
as synaptic delay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from avnir.errors import Finding, GraphError, LimitError
from avnir.ir.graph import Graph, Node
from avnir.ir.integer import MAX_DELAY
from avnir.ir.latency import latencies
from avnir.passes.note import Note


@dataclass(frozen=True)
class BalanceDelays:
    """The pass of this file, integer level; `max_delay` in steps."""

    name: ClassVar[str] = "balance_delays"
    max_delay: int = MAX_DELAY

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        late = _latencies(graph)
        nodes = {node.name: node for node in graph}
        notes: list[Note] = []
        findings: list[Finding] = []
        for node in graph.neurons:
            for name in node.inputs:
                early = late[node.name] - late[name]
                if not early:
                    continue
                connection = nodes[name]
                delay = connection.op.delay + early  # type: ignore[attr-defined]
                if delay > self.max_delay:
                    findings.append(_too_long(connection, delay, self.max_delay))
                    continue
                nodes[name] = Node(
                    name, connection.op.replace(delay=delay), connection.inputs, connection.source
                )
                why = "to meet the longer path" if not connection.op.delayed else "as the model does"
                notes.append(Note(self.name, name, f"delayed by {delay} {why} into {node.name}"))
        if findings:
            raise LimitError("paths of too different length meet", findings)
        return graph.with_nodes(nodes.values()), notes


def _latencies(graph: Graph) -> Mapping[str, int]:
    try:
        return latencies(graph)
    except GraphError as error:
        remedy = "Let each layer on the loop feed the next one a step later, or make the loop one layer."
        raise LimitError("the chip has no such loop", [Finding("graph", str(error), remedy)]) from error


def _too_long(connection: Node, delay: int, limit: int) -> Finding:
    problem = f"needs a synaptic delay of {delay} steps, more than the limit of {limit}"
    return Finding(
        connection.source or connection.name, problem, "Shorten the longer path, or relay the shorter one."
    )
