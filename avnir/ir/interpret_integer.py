"""The definition of an integer graph: the chip, one step at a time, nothing clever.

Every node works in every chip step, as on the chip. A connection hands on what it computed
`1 + delay` steps ago. A neuron layer of latency L is set to zero before chip step L (counted from 0),
when the window's first spikes reach it; what an early bias did before that never counts, and the spikes
that it caused are not sent. The trace then holds chip steps L to L + T - 1 of each layer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Set

import numpy as np

from avnir.errors import DataError
from avnir.ir.graph import Graph, Node
from avnir.ir.latency import latencies
from avnir.ir.operation import Array
from avnir.trace import Trace, checked_inputs


def interpret_integer(graph: Graph, inputs: Mapping[str, Array], states: bool = False) -> Trace:
    """Run the graph over `inputs`, each integers `[T, B, *shape]`; spikes of every layer, all outputs.

    With `states`, every register of a layer after each step is kept too, int32. Edges that are not
    balanced are run as they are: their spikes come early, as they would on the chip. Raises DataError
    where an input does not fit.
    """
    if graph.level != "integer":
        raise DataError(f"the integer interpreter was given a graph of the {graph.level} level")
    arrays = checked_inputs(graph, inputs)
    steps, batch = next(iter(arrays.values())).shape[:2]
    late = latencies(graph)
    chip = _Chip(graph, batch)
    trace = Trace.empty(graph, steps, batch, states)
    for now in range(steps + max(late.values())):
        for node in graph.neurons:
            if now == late[node.name]:
                chip.memory[node.name].clear()
        shown = {
            name: array[now] if now < steps else np.zeros_like(array[0]) for name, array in arrays.items()
        }
        silent = {node.name for node in graph.neurons if now < late[node.name]}
        values = chip.step(shown, silent)
        for node in graph:
            t = now - late[node.name]
            if not 0 <= t < steps:
                continue
            for record in (trace.spikes, trace.outputs):
                if node.name in record:
                    record[node.name][t] = values[node.name]
            for register, kept in trace.states.get(node.name, {}).items():
                kept[t] = chip.memory[node.name][register]
    return trace


class _Chip:
    """All states of the network between two steps."""

    def __init__(self, graph: Graph, batch: int) -> None:
        self.graph = graph
        self.memory: dict[str, dict[str, Array]] = {node.name: {} for node in graph}
        self.on_the_way = {n.name: self._silence(n, batch) for n in graph if n.op.connection}  # type: ignore[attr-defined]

    def _silence(self, node: Node, batch: int) -> deque[Array]:
        empty = np.zeros((batch, *self.graph.shapes[node.name]), np.int64)
        return deque([empty] * (1 + node.op.delay))  # type: ignore[attr-defined]

    def step(self, shown: Mapping[str, Array], silent: Set[str]) -> dict[str, Array]:
        """One chip step; `shown` are the inputs of this step, `[B, *shape]`, `silent` sends no spikes."""
        values = {name: queue.popleft() for name, queue in self.on_the_way.items()}
        for node in self.graph:
            if not node.inputs:
                values[node.name] = shown[node.name].astype(np.int64)
            elif node.name not in self.on_the_way:
                result = self._computed(node, values)
                values[node.name] = np.zeros_like(result) if node.name in silent else result
        for name, queue in self.on_the_way.items():
            queue.append(self._computed(self.graph[name], values))
        return values

    def _computed(self, node: Node, values: Mapping[str, Array]) -> Array:
        ports = node.op.ports(node.inputs)  # type: ignore[attr-defined]
        sums = [sum(values[name] for name in port) for port in ports]
        x = sums[0] if len(sums) == 1 else np.stack(sums)
        result: Array = node.op.step(x, self.memory[node.name])  # type: ignore[attr-defined]
        return result
