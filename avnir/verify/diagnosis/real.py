"""What reaches a layer of a real graph when all spikes are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array


def way_to(graph: Graph, name: str) -> tuple[Node, ...]:
    """The operations without a state that lead to and through `name`, the first alone fed by several."""
    way: list[Node] = []
    while _plain(graph[name]):
        way.insert(0, graph[name])
        if len(graph[name].inputs) > 1:
            break
        name = graph[name].inputs[0]
    return tuple(way)


def _plain(node: Node) -> bool:
    op = node.op
    kept = op.spiking or op.delayed or op.stateful or op.rehearsed or not node.inputs
    return not kept and len(op.ports(node.inputs)) == 1  # type: ignore[attr-defined]


def real_arrivals(
    graph: Graph, layer: Node, known: Mapping[str, Array], ways: Mapping[str, Sequence[Node]]
) -> dict[str, Array]:
    """For each way into `layer`, by its last node, what enters its first operation, `[T, B, ...]`.

    That is what the node itself gives where the way is empty. `known` `[T, B, *shape]` are the inputs and the
    spikes of layers, which stand as they are. The window is gone through once more for each sum over the
    whole of it: what it holds then is that of the same spikes.
    """
    needed = _behind(graph, layer, known)
    memory: dict[str, dict[str, Array]] = {node.name: {} for node in needed}
    entered: dict[str, list[Array]] = {}
    for _ in range(1 + sum(node.op.rehearsed for node in needed)):
        for node in needed:
            node.op.begin(memory[node.name])
        entered = {name: [] for name in ways}
        for values in _steps(needed, known, memory):
            for name, way in ways.items():
                entered[name].append(_arriving(way[0], values) if way else values[name])
    return {name: np.stack(rows) for name, rows in entered.items()}


def _steps(
    needed: Sequence[Node], known: Mapping[str, Array], memory: Mapping[str, dict[str, Array]]
) -> Iterator[dict[str, Array]]:
    """What every one of these operations gives in each step of one time through the window."""
    steps, batch = next(iter(known.values())).shape[:2]
    for t in range(steps):
        values = {name: array[t].astype(np.float64) for name, array in known.items()}
        for node in needed:
            if node.op.delayed:
                values[node.name] = node.op.earlier(batch, memory[node.name])  # type: ignore[attr-defined]
            else:
                values[node.name] = node.op.step(_arriving(node, values), memory[node.name])  # type: ignore[attr-defined]
        for node in needed:
            if node.op.delayed:
                node.op.step(_arriving(node, values), memory[node.name])  # type: ignore[attr-defined]
        yield values


def _behind(graph: Graph, layer: Node, known: Mapping[str, Array]) -> Sequence[Node]:
    """The operations between what is known and the layer, in the graph's order."""
    wanted, waiting = set[str](), list(layer.inputs)
    while waiting:
        name = waiting.pop()
        if name not in known and name not in wanted:
            wanted.add(name)
            waiting += graph[name].inputs
    return [node for node in graph if node.name in wanted]


def _arriving(node: Node, values: Mapping[str, Array]) -> Array:
    ports = node.op.ports(node.inputs)  # type: ignore[attr-defined]
    sums = [np.sum([values[name] for name in port], axis=0) for port in ports]
    return sums[0] if len(sums) == 1 else np.stack(sums)
