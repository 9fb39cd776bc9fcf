"""Move thresholds and decays off the nearest integers, where that keeps more of the model's spikes.

    threshold <- clip(threshold + steps, 0, 2^17 - 1),     decay_v <- clip(decay_v + 4096ths, 0, 4096)

The nearest is best for one number alone. In a network the errors of weights, the decay's rounding toward zero
and sums that meet a threshold exactly can make a neighbour better: a threshold one step lower lets spike what
met it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.numerics import fixed
from avnir.passes.note import Note
from avnir.rounding.layer_choice import LayerChoice


@dataclass(frozen=True)
class Nudge:
    """The pass of this file, integer level; layers that are not named stay."""

    name: ClassVar[str] = "nudge"
    layers: Mapping[str, LayerChoice] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        notes: list[Note] = []
        nodes = []
        for node in graph:
            choice = self.layers.get(node.name, LayerChoice())
            if isinstance(node.op, integer.Lif) and (choice.threshold or choice.decay):
                node = Node(node.name, _nudged(node.op, choice), node.inputs, node.source)
                text = f"threshold moved by {choice.threshold:+} steps, decay by {choice.decay:+} of 4096"
                notes.append(Note(self.name, node.name, text))
            nodes.append(node)
        return (graph.with_nodes(nodes) if notes else graph), notes


def _nudged(op: integer.Lif, choice: LayerChoice) -> integer.Lif:
    threshold = np.clip(op.threshold + choice.threshold, 0, fixed.THRESHOLD.high)
    decay = np.clip(op.decay_v + choice.decay, 0, fixed.DECAY_ONE)
    return op.replace(threshold=threshold.astype(np.int32), decay_v=decay.astype(np.int32))
