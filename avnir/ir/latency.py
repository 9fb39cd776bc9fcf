"""When a layer sees what: the time base of the chip against the model's.

In the model a layer sees its input in the same step. On the chip a connection delivers `1 + delay`
steps after the spike, so that the layer's step t happens at chip step t + latency.
"""

from __future__ import annotations

from collections.abc import Mapping

from avnir.ir.graph import Graph


def latencies(graph: Graph) -> Mapping[str, int]:
    """Chip steps from an input to each node's result: the longest path where paths differ."""
    late: dict[str, int] = {}
    for node in graph:
        hop = 1 + node.op.delay if node.op.connection else 0  # type: ignore[attr-defined]
        late[node.name] = max((late[name] for name in node.inputs), default=0) + hop
    return late


def slack(graph: Graph) -> Mapping[tuple[str, str], int]:
    """For each edge `(from, to)`, the steps by which it is early; all 0 when the graph is balanced."""
    late = latencies(graph)
    early: dict[tuple[str, str], int] = {}
    for node in graph:
        due = max((late[name] for name in node.inputs), default=0)
        early |= {(name, node.name): due - late[name] for name in node.inputs}
    return early
