"""Turn an Alpha neuron without reset into two leaky integrators and a threshold.

    e <- alpha e + I,     h <- beta h - I,     s = tau (e + h) > threshold

are an Li of alpha on I and one of beta on -I, both of gain 1, summed, times tau: the same sums in the same
order, so the same bits. A reset changes one of e and h at a spike, or v and not both; such a neuron is left
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.real import Alpha, Li, Scale, Threshold
from avnir.passes.fold_gain import free_name
from avnir.passes.note import Note


@dataclass(frozen=True)
class LowerAlpha:
    """The pass of this file."""

    name: ClassVar[str] = "lower_alpha"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        taken = set(graph.by_name)
        made: list[Node] = []
        notes: list[Note] = []
        for node in graph:
            if not isinstance(node.op, Alpha):
                made.append(node)
            elif node.op.reset == "none":
                made += _lowered(node, node.op, taken)
                notes.append(Note(self.name, node.name, "two leaky integrators, summed, then a threshold"))
            else:
                made.append(node)
                why = f"its reset {node.op.reset!r} changes one of its two currents"
                notes.append(Note(self.name, node.name, why, declined=True))
        return graph.with_nodes(made), notes


def _lowered(node: Node, op: Alpha, taken: set[str]) -> list[Node]:
    names = [free_name(f"{node.name}_{what}", taken) for what in ("excited", "minus", "inhibited", "sum")]
    taken.update(names)
    excited, minus, inhibited, summed = names
    one = np.ones(())
    return [
        Node(excited, Li(op.alpha, one), node.inputs, node.source),
        Node(minus, Scale(-one), node.inputs, node.source),
        Node(inhibited, Li(op.beta, one), (minus,), node.source),
        Node(summed, Scale(op.tau), (excited, inhibited), node.source),
        Node(node.name, Threshold(op.threshold), (summed,), node.source),
    ]
