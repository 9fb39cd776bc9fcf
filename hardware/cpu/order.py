"""What is computed in a presentation of the window, in which order, and what is known before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from avnir.ir.graph import Graph, Node
from avnir.ir.loops import components


@dataclass(frozen=True)
class Order:
    """`known`: inputs, and layers that send what they sent before; `computed`: a node, or a loop, each."""

    known: tuple[str, ...]
    computed: tuple[Sequence[Node], ...]


def order_of(graph: Graph, needed: Mapping[str, int], shown: int) -> Order:
    """The order after `shown` presentations, of which each node needs `needed` until it settles."""
    settled = {node.name for node in graph if needed[node.name] < shown and node.op.kind != "Output"}
    known = tuple(node.name for node in graph if node.op.spiking and node.name in settled)
    inputs = tuple(node.name for node in graph.inputs)
    return Order((*inputs, *known), tuple(_computed(graph, settled, {*inputs, *known})))


def _computed(graph: Graph, settled: set[str], known: set[str]) -> Iterator[Sequence[Node]]:
    """Each after what feeds it; of what has settled only what still feeds something that has not."""
    for names in components(graph.consumers):
        nodes = [graph[name] for name in names if name not in known]
        if settled.isdisjoint(names):
            yield from [nodes] if nodes else []
        else:
            yield from ([node] for node in nodes if not settled.issuperset(graph.consumers[node.name]))
