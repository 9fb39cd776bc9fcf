"""When a layer sees what: the time base of the chip against the model's.

In the model a layer sees its input in the same step, or `lag` steps later where a connection is recurrent.
On the chip a connection delivers `1 + delay` steps after the spike. So step t of a layer happens at chip
step t + latency, and each connection from a to b needs

    latency(b) = latency(a) + 1 + delay - lag.

Around a loop this leaves lag = 1 + delay in sum: a loop through n layers takes n chip steps at least, so it
must take n of the model's.
"""

from __future__ import annotations

from collections.abc import Mapping

from avnir.errors import GraphError
from avnir.ir.graph import Graph, Node
from avnir.ir.integer import Connection
from avnir.ir.presentations import presentations


def latencies(graph: Graph) -> Mapping[str, int]:
    """Chip steps from an input to each node's result: the longest path where paths differ, at least 0.

    A connection's is when it delivers, which with a lag may be below 0. Raises GraphError where a loop
    takes more chip steps than steps of the model.
    """
    late = {node.name: 0 for node in graph}
    changed: list[str] = []
    for _ in range(len(graph) + 1):
        changed = [node.name for node in graph if _settle(node, late)]
        if not changed:
            return late
    layers = ", ".join(node.name for node in graph.neurons if node.name in changed)
    raise GraphError(
        f"a loop through {layers} takes more chip steps than steps of the model: each layer on it takes one"
    )


def first_output(graph: Graph) -> int:
    """Chip steps from the first input to the first output that counts.

    The longest path, and a whole window for each time that it is shown before the last.
    """
    windows = [node.op.steps for node in graph.select(lambda op: op.rehearsed)]  # type: ignore[attr-defined]
    return max(latencies(graph).values()) + (presentations(graph) - 1) * max(windows, default=0)


def _settle(node: Node, late: dict[str, int]) -> bool:
    """Bring a node up to date with what feeds it; whether that changed it."""
    arriving = _arriving(node, late)
    op = node.op
    due = arriving + 1 + op.delay - op.lag if isinstance(op, Connection) else arriving
    changed, late[node.name] = due != late[node.name], due
    return changed


def _arriving(node: Node, late: Mapping[str, int]) -> int:
    """The chip step of the last of its inputs; a layer of neurons has no window before the first."""
    first = [0] if node.op.spiking or not node.inputs else []
    return max(first + [late[name] for name in node.inputs])


def slack(graph: Graph) -> Mapping[tuple[str, str], int]:
    """For each edge `(from, to)`, the steps by which it is early; all 0 when the graph is balanced."""
    late = latencies(graph)
    return {(name, node.name): _arriving(node, late) - late[name] for node in graph for name in node.inputs}
