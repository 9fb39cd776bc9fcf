"""Bring layers into the ranges that lava-dl's netx has for them.

A netx file holds weights without an exponent, which netx clips to [-256, 254]
(`lava/lib/dl/netx/utils.py: optimize_weight_bits`, lava-dl 0.6.0), and biases in whole steps of the
threshold, whose exponent is fixed at 6 (`hdf5.py: get_neuron_params`). A LIF is the same at half the scale,
so where all connections into a layer have exponents these are lowered until the weights fit: the weights
stay what they are, and threshold and bias are rounded, half a step off at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.integer import Lif
from avnir.numerics import fixed
from avnir.passes.note import Note

LEAST_WEIGHT, LARGEST_WEIGHT = -256, 254


@dataclass(frozen=True)
class NetxForm:
    """The pass of this file, integer level; a layer that cannot be brought into range stays as it is."""

    name: ClassVar[str] = "netx_form"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        nodes = {node.name: node for node in graph}
        notes = []
        for node in graph.select(lambda op: op.kind == "Lif"):
            connections = [graph[name] for name in node.inputs if graph.consumers[name] == (node.name,)]
            down = _too_much([connection.op for connection in connections])
            changed, told = self._neurons(node, down)
            if changed is not None:
                nodes |= {c.name: _with(c, exponent=c.op.exponent - down) for c in connections}  # type: ignore[attr-defined]
                nodes[node.name] = changed
            notes += told
        return graph.with_nodes(nodes.values()), notes

    def _neurons(self, node: Node, down: int) -> tuple[Node | None, list[Note]]:
        """The neurons at a scale of 2^-down, or None where nothing is to be done or can be."""
        lif: Lif = node.op  # type: ignore[assignment]
        wanted = lif.bias_mantissa * 2.0 ** (lif.bias_exponent - fixed.ALIGN - down)
        bias, threshold = np.rint(wanted), np.rint(lif.threshold * 2.0**-down)
        if not fixed.BIAS_MANTISSA.holds(bias):
            text = f"a bias of {np.abs(bias).max():.0f} steps is no {fixed.BIAS_MANTISSA.name}"
            return None, [Note(self.name, node.name, text, declined=True)]
        if not down and np.array_equal(bias, wanted):
            return None, []
        scale = lif.scale * 2.0**-down
        off_bias = float((np.abs(bias - wanted) / scale).max())
        off_threshold = float((np.abs(threshold - lif.threshold * 2.0**-down) / scale).max())
        text = (
            f"exponents lowered by {down}; threshold off by {off_threshold:.3g}, bias by {off_bias:.3g} more"
        )
        changed = _with(
            node,
            threshold=threshold.astype(np.int32),
            bias_mantissa=bias.astype(np.int32),
            bias_exponent=fixed.ALIGN,
            scale=scale,
        )
        return changed, [Note(self.name, node.name, text)]


def _too_much(connections: Sequence[Any]) -> int:
    """The least number of bits by which all exponents into a layer go down for its weights to fit.

    0 where that many are not there.
    """
    low = min((int(op.weight.min()) << op.exponent for op in connections), default=0)
    high = max((int(op.weight.max()) << op.exponent for op in connections), default=0)
    there = range(1 + min((op.exponent for op in connections), default=0))
    return next((bits for bits in there if low >> bits >= LEAST_WEIGHT and high >> bits <= LARGEST_WEIGHT), 0)


def _with(node: Node, **values: Any) -> Node:
    return Node(node.name, node.op.replace(**values), node.inputs, node.source)
