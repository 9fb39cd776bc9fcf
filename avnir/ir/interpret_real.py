"""The definition of a real graph: every operation, step by step, in float64.

A graph that takes a window more than once (`presentations`) is shown it as often, from a fresh state but for
what an operation keeps from one presentation to the next. The trace is of the last one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avnir.errors import DataError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.ir.presentations import presentations
from avnir.trace import Trace, checked_inputs

Values = dict[str, Array]
"""What each operation gives in one step, `[B, *shape]`."""


def interpret_real(graph: Graph, inputs: Mapping[str, Array], states: bool = False) -> Trace:
    """Run the graph over `inputs`, each `[T, B, *shape]`; spikes of every neuron layer, all outputs.

    With `states`, each stateful layer's membrane potential after each step is kept too, float64.
    Raises DataError where an input is missing or does not fit.
    """
    if graph.level != "real":
        raise DataError(f"the real interpreter was given a graph of the {graph.level} level")
    arrays = checked_inputs(graph, inputs)
    steps, batch = next(iter(arrays.values())).shape[:2]
    memory: dict[str, dict[str, Array]] = {node.name: {} for node in graph}
    spikes = {n.name: np.zeros((steps, batch, *graph.shapes[n.name]), np.uint8) for n in graph.neurons}
    outputs = {n.name: np.zeros((steps, batch, *graph.shapes[n.name])) for n in graph.outputs}
    kept = {
        n.name: np.zeros((steps, batch, *graph.shapes[n.name])) for n in graph if states and n.op.stateful
    }
    for _ in range(presentations(graph)):
        for node in graph:
            node.op.begin(memory[node.name])
        for t in range(steps):
            values = _stepped(graph, {name: array[t] for name, array in arrays.items()}, memory)
            for record in (spikes, outputs):
                for name, taken in record.items():
                    taken[t] = values[name]
            for name, potential in kept.items():
                potential[t] = memory[name]["v"]
    return Trace(spikes=spikes, outputs=outputs, states={name: {"v": v} for name, v in kept.items()})


def _stepped(graph: Graph, shown: Mapping[str, Array], memory: Mapping[str, dict[str, Array]]) -> Values:
    """One step of every operation; `shown` are the inputs `[B, *shape]`."""
    values = {name: array.astype(np.float64) for name, array in shown.items()}
    batch = len(next(iter(values.values())))
    for node in graph:
        if node.op.delayed:
            values[node.name] = node.op.earlier(batch, memory[node.name])  # type: ignore[attr-defined]
        elif node.inputs:
            values[node.name] = node.op.step(_arriving(node, values), memory[node.name])  # type: ignore[attr-defined]
    for node in graph.select(lambda op: op.delayed):
        node.op.step(_arriving(node, values), memory[node.name])  # type: ignore[attr-defined]
    return values


def _arriving(node: Node, values: Values) -> Array:
    """What the operation sees: the sum of what feeds it, or of several ports the sums, stacked."""
    ports = node.op.ports(node.inputs)  # type: ignore[attr-defined]
    sums = [_sum([values[name] for name in port]) for port in ports]
    return sums[0] if len(sums) == 1 else np.stack(sums)


def _sum(arrays: list[Array]) -> Array:
    x = arrays[0]
    for array in arrays[1:]:
        x = x + array
    return x
