"""Real to real: multiplies the threshold of every neuron by one factor.

    s = v > factor * threshold

A reset that takes a threshold off v takes the scaled one. Stateless thresholds are gates, where two spikes
make one: their number is logic and stays. A neuron that is spelt out, as a Threshold on the potential of an
integrator, is refused: which of its parts mean the threshold is not known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.passes.note import Note


@dataclass(frozen=True)
class ScaleThresholds:
    """The pass; `factor` above 0."""

    name: ClassVar[str] = "scale_thresholds"
    factor: float

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        """Raises UnsupportedError with every layer whose threshold cannot be scaled."""
        if findings := list(_findings(graph)):
            raise UnsupportedError("thresholds cannot be scaled", findings)
        return graph.with_nodes(self._scaled(node) for node in graph), [
            self._note(node) for node in graph.neurons
        ]

    def _scaled(self, node: Node) -> Node:
        if not _fires(node):
            return node
        threshold = node.op.threshold  # type: ignore[attr-defined]
        return dataclasses.replace(node, op=node.op.replace(threshold=threshold * self.factor))

    def _note(self, node: Node) -> Note:
        if _fires(node):
            return Note(self.name, node.name, f"threshold times {self.factor:g}")
        return Note(self.name, node.name, "a gate, no neuron", declined=True)


def _fires(node: Node) -> bool:
    """Whether this is a neuron: it spikes, by what it remembers."""
    return node.op.spiking and node.op.stateful


def _findings(graph: Graph) -> Iterator[Finding]:
    for node in graph.neurons:
        if _fires(node) and not hasattr(node.op, "threshold"):
            yield Finding(node.name, f"{node.op.kind} has no threshold to scale", "Leave it at 1")
        integrators = [name for name in node.inputs if graph[name].op.stateful]
        spelt_out = [name for name in integrators if not graph[name].op.spiking]
        if not node.op.stateful and spelt_out:
            yield Finding(
                node.name,
                f"{node.op.kind} fires by the potential of {', '.join(spelt_out)}",
                "Use a neuron that fires by its own, or leave the thresholds at 1",
            )
