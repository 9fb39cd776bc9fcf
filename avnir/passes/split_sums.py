"""Sum in parts what no core can sum at once.

A neuron lives on one core, with an axon and a list of synapses for each source that reaches it. Where a
layer's dense connections bring more sources than a core has room for, each is cut:

    sum_j W_ij s_j  =  sum_k ( sum over j in part k of W_ij s_j )

The inner sums are what the neurons of a Relay send, graded, and the outer one is made by synapses of weight
1. All are integers, so nothing changes but the time: a chip step more, to which other paths are balanced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.integer import Dense
from avnir.ir.integer_graded import WORD_BITS, Messengers, Relay
from avnir.ir.integer_sparse import Sparse
from avnir.ir.loops import components
from avnir.ir.message_bounds import gain, largest_values
from avnir.passes.note import Note
from avnir.target import Target


@dataclass(frozen=True)
class SplitSums:
    """The pass of this file, integer level; a neuron can have `most` sources, None: as many as it likes."""

    name: ClassVar[str] = "split_sums"
    most: int | None = None

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        wide = dict(_wide(graph, self.most)) if self.most else {}
        if not wide:
            return graph, []
        largest = largest_values(graph)
        nodes: list[Node] = []
        for node in graph:
            if node.name in wide:
                nodes += _in_parts(node, largest[node.inputs[0]], (self.most or 0) // 2)
            else:
                inputs = tuple(_summed(name) if name in wide else name for name in node.inputs)
                nodes.append(Node(node.name, node.op, inputs, node.source))
        return graph.with_nodes(nodes), [self._note(name, layer) for name, layer in wide.items()]

    def _note(self, name: str, layer: str) -> Note:
        text = f"summed in parts: {layer} has more sources than the {self.most} that a core has room for"
        return Note(self.name, name, text)


def most_sources(target: Target) -> int | None:
    """Sources that one neuron can have: each takes an axon and a word of synapses, and both the core's pool.

    The neuron, its group and what it feeds take a word each. None where a chip has no relays to sum parts, or
    no pool.
    """
    limits = target.limits
    if not target.programmable or limits.pool_per_core is None:
        return None
    pooled = (limits.pool_per_core.value - 3) // 2
    return min(limits.axons_in_per_core.value, limits.synaptic_words_per_core.value, pooled)


def _wide(graph: Graph, most: int) -> Iterator[tuple[str, str]]:
    """The dense connections of layers that have too many sources, and the layers.

    Not of layers that send numbers, whose width is told by bounds that parts would loosen; and not those that
    lag or are on a loop, which cannot take a step more.
    """
    loops = {name for names in components(graph.consumers) if len(names) > 1 for name in names}
    for layer in graph.neurons:
        dense = [
            (name, op.weight)
            for name in layer.inputs
            if isinstance(op := graph[name].op, Dense) and _steady(graph[name]) and name not in loops
        ]
        sources = sum(weight.shape[1] for _, weight in dense)
        if sources > most and not isinstance(layer.op, Messengers):
            yield from ((name, layer.name) for name, weight in dense if np.any(weight))


def _steady(node: Node) -> bool:
    """Whether a connection does not lag, and one layer feeds it, as all that are compiled."""
    return not node.op.delayed and len(node.inputs) == 1


def _summed(name: str) -> str:
    return f"{name}_sum"


def _in_parts(node: Node, peak: int, size: int) -> Iterator[Node]:
    """The connection into parts of at most `size` sources, the relays, and the sum of what they send.

    `peak`: the largest |message| of a source. Part k of neuron i is the relay k n + i.
    """
    op: Dense = node.op  # type: ignore[assignment]
    neurons, sources = op.weight.shape
    parts = -(-sources // size)
    source, target = (places.astype(np.int32) for places in np.nonzero(op.weight.T))
    relay = (source // -(-sources // parts) * neurons + target).astype(np.int32)
    count = parts * neurons
    split = Sparse(op.weight[target, source], op.exponent, size=(count, sources), source=source, target=relay)
    bits = min(1 + (gain(split) * peak << op.exponent).bit_length(), WORD_BITS)
    yield Node(node.name, split, node.inputs, node.source)
    yield Node(f"{node.name}_parts", Relay((count,), message_bits=max(bits, 2)), (node.name,), node.source)
    places = np.arange(count, dtype=np.int32)
    joined = Sparse(np.ones(count, np.int8), size=(neurons, count), source=places, target=places % neurons)
    yield Node(_summed(node.name), joined, (f"{node.name}_parts",), node.source)
