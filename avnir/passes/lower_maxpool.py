"""Turn max-pooling of binary spikes into a neuron that computes OR.

The maximum of values that are 0 or 1 is 1 exactly where their sum exceeds 1/2:
MaxPool2d(s) = Threshold(SumPool2d(s), 1/2). Padding adds zeros to the sum, and never wins the
maximum, so it changes neither. Of anything but one binary spike train the maximum is not a function
of the sum, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.ir.real import MaxPool2d, SumPool2d, Threshold
from avnir.passes.note import Note


@dataclass(frozen=True)
class LowerMaxPool:
    """The pass of this file."""

    name: ClassVar[str] = "lower_maxpool"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        pools = graph.select(lambda op: op.kind == "MaxPool2d")
        findings = [_refusal(graph, pool) for pool in pools if not _one_spike_train(graph, pool)]
        if findings:
            raise UnsupportedError("max-pooling is exact on binary spikes only", findings)
        notes = [
            Note(self.name, pool.name, "sum over the window, then a threshold of 1/2 (OR)") for pool in pools
        ]
        return graph.with_nodes(n for node in graph for n in _lowered(graph, node)), notes


def _lowered(graph: Graph, node: Node) -> Iterator[Node]:
    if node.op.kind != "MaxPool2d":
        yield node
        return
    op: MaxPool2d = node.op  # type: ignore[assignment]
    summed = f"{node.name}_sum"
    while summed in graph.by_name:
        summed += "_"
    yield Node(summed, SumPool2d(op.kernel, op.stride, op.padding), node.inputs, node.source)
    yield Node(node.name, Threshold(np.array(0.5)), (summed,), node.source)


def _one_spike_train(graph: Graph, pool: Node) -> bool:
    """Follow reshapes and other max-pools back to what makes the values: one layer, and it spikes."""
    if len(pool.inputs) != 1:
        return False
    before = graph[pool.inputs[0]]
    if before.op.kind in ("Flatten", "MaxPool2d"):
        return _one_spike_train(graph, before)
    return before.op.spiking or getattr(before.op, "message_bits", None) == 0


def _refusal(graph: Graph, pool: Node) -> Finding:
    fed_by = " + ".join(f"{name} ({graph[name].op.kind})" for name in pool.inputs)
    return Finding(
        pool.source or pool.name,
        f"max-pooling of {fed_by}, which is not one binary spike train",
        "Pool after a spiking neuron, or use average pooling, which folds into the next weights.",
    )
