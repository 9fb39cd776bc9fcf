"""The definition of an integer graph: the chip, one step at a time, nothing clever.

Every node works in every chip step, as on the chip. A connection hands on what it computed
`1 + delay` steps ago. A neuron layer of latency L is set to zero before chip step L (counted from 0),
when the window's first spikes reach it; what an early bias did before that never counts, and the spikes
that it caused are not sent. The trace then holds chip steps L to L + T - 1 of each layer.

A graph that needs it is shown the window P times without a pause (`avnir.ir.presentations`). Presentation k
of a layer begins at chip step L + k T, before which it forgets all but what `Operation.begin` leaves. As all
that feeds it begins earlier by as many steps as spikes travel, they arrive in the presentation in which they
were sent. Only a lag would bring those of the last steps into the next presentation: a connection with a lag
m takes none of the last m steps, if another presentation follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from avnir.errors import DataError
from avnir.ir.graph import Graph, Node
from avnir.ir.latency import latencies
from avnir.ir.operation import Array
from avnir.trace import Trace, checked_inputs

Place = tuple[int, int]
"""Presentation and step in it; below 0 before the first."""


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
    trace = Trace.empty(graph, steps, batch, states)
    times = len(trace.presented)
    chip = _Chip(graph, batch, times, steps)
    for now in range(times * steps + max(late.values())):
        at = {name: divmod(now - first, steps) for name, first in late.items()}
        for node in graph.neurons:
            chip.begin(node, at[node.name])
        shown = {
            name: array[now % steps] if now < times * steps else np.zeros_like(array[0])
            for name, array in arrays.items()
        }
        values = chip.step(shown, at)
        for node in graph:
            presentation, t = at[node.name]
            if 0 <= presentation < times:
                _record(trace.presented[presentation], t, node.name, values, chip)
    return trace


def _record(trace: Trace, t: int, name: str, values: Mapping[str, Array], chip: _Chip) -> None:
    """Enter what a node gave in step t of a presentation."""
    for record in (trace.spikes, trace.outputs):
        if name in record:
            record[name][t] = values[name]
    for register, kept in trace.states.get(name, {}).items():
        kept[t] = chip.memory[name][register]


class _Chip:
    """All states of the network between two steps of a run that shows `times` windows of `steps` steps."""

    def __init__(self, graph: Graph, batch: int, times: int, steps: int) -> None:
        self.graph, self.times, self.steps = graph, times, steps
        self.memory: dict[str, dict[str, Array]] = {node.name: {} for node in graph}
        self.on_the_way = {n.name: self._silence(n, batch) for n in graph if n.op.connection}  # type: ignore[attr-defined]

    def _silence(self, node: Node, batch: int) -> deque[Array]:
        empty = np.zeros((batch, *self.graph.shapes[node.name]), np.int64)
        return deque([empty] * (1 + node.op.delay))  # type: ignore[attr-defined]

    def begin(self, node: Node, at: Place) -> None:
        """Set a layer to zero where its first presentation begins, and leave what it keeps in the others."""
        presentation, t = at
        if t == 0 and presentation == 0:
            self.memory[node.name].clear()
        elif t == 0 and 0 < presentation < self.times:
            node.op.begin(self.memory[node.name])

    def step(self, shown: Mapping[str, Array], at: Mapping[str, Place]) -> dict[str, Array]:
        """One chip step; `shown` are the inputs of this step, `[B, *shape]`.

        A layer sends no spikes before its first presentation.
        """
        values = {name: queue.popleft() for name, queue in self.on_the_way.items()}
        for node in self.graph:
            if not node.inputs:
                values[node.name] = shown[node.name].astype(np.int64)
            elif node.name not in self.on_the_way:
                result = self._computed(node, values)
                early = node.op.spiking and at[node.name][0] < 0
                values[node.name] = np.zeros_like(result) if early else result
        for name, queue in self.on_the_way.items():
            result = self._computed(self.graph[name], values)
            queue.append(np.zeros_like(result) if self._too_late(self.graph[name], at) else result)
        return values

    def _too_late(self, node: Node, at: Mapping[str, Place]) -> bool:
        """Whether what a connection takes now would arrive in a later presentation than it was sent in."""
        presentation, t = min(at[name] for name in node.inputs)
        return 0 <= presentation < self.times - 1 and t >= self.steps - node.op.lag  # type: ignore[attr-defined]

    def _computed(self, node: Node, values: Mapping[str, Array]) -> Array:
        ports = node.op.ports(node.inputs)  # type: ignore[attr-defined]
        sums = [sum(values[name] for name in port) for port in ports]
        x = sums[0] if len(sums) == 1 else np.stack(sums)
        result: Array = node.op.step(x, self.memory[node.name])  # type: ignore[attr-defined]
        return result
