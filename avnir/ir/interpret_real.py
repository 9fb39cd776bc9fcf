"""The definition of a real graph: every operation, step by step, in float64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avnir.errors import DataError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.trace import Trace, checked_inputs


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
    delayed = graph.select(lambda op: op.delayed)
    for t in range(steps):
        values: dict[str, Array] = {name: array[t].astype(np.float64) for name, array in arrays.items()}
        for node in graph:
            if node.op.delayed:
                values[node.name] = node.op.earlier(batch, memory[node.name])  # type: ignore[attr-defined]
            elif node.inputs:
                values[node.name] = node.op.step(_summed(node, values), memory[node.name])  # type: ignore[attr-defined]
            for record in (spikes, outputs):
                if node.name in record:
                    record[node.name][t] = values[node.name]
            if node.name in kept:
                kept[node.name][t] = memory[node.name]["v"]
        for node in delayed:
            node.op.step(_summed(node, values), memory[node.name])  # type: ignore[attr-defined]
    return Trace(spikes=spikes, outputs=outputs, states={name: {"v": v} for name, v in kept.items()})


def _summed(node: Node, values: Mapping[str, Array]) -> Array:
    x = values[node.inputs[0]]
    for name in node.inputs[1:]:
        x = x + values[name]
    return x
