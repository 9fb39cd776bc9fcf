"""The order of a recurrent neuron's inputs, which decides what float32 rounds.

snnTorch's RLeaky and RSynaptic compute (beta v + I) + r with r what their spikes of the step before send
back; a network that adds both itself computes beta v + (I + r). The real level has one sum of a neuron's
inputs and no rounding, so the traced graph says it by their order: **the path of a neuron that brings its
spikes back itself stands first in its `inputs`.** A sum that the model writes has no such path first: a + b
is b + a to the last bit, so its first two terms may change places.
"""

from __future__ import annotations

from collections.abc import Mapping

from avnir.ir.graph import Node


def comes_back(nodes: Mapping[str, Node], name: str) -> bool:
    """Whether `name` sends what a Delay gave, through a chain of operations that do not spike."""
    node = nodes.get(name)
    while node is not None and not node.op.delayed:
        if node.op.spiking or len(node.inputs) != 1:
            return False
        node = nodes.get(node.inputs[0])
    return node is not None


def brings_back(nodes: Mapping[str, Node], node: Node) -> bool:
    """Whether the neuron `node` adds what comes back to its sum by itself: an RLeaky or RSynaptic."""
    return node.op.kind == "Lif" and len(node.inputs) > 1 and comes_back(nodes, node.inputs[0])
