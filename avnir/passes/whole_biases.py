"""Round biases to whole steps of the threshold.

The chip's bias has an exponent of 3 bits, so it may be finer than the threshold, which is shifted left
by 6. Where a deployment fixes that exponent at 6, as lava-dl's netx does
(`lava/lib/dl/netx/hdf5.py: get_neuron_params`), a bias is a whole number of the threshold's steps: at most
half a step off, as a rounded weight is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.integer import Lif
from avnir.numerics import fixed
from avnir.passes.note import Note


@dataclass(frozen=True)
class WholeBiases:
    """The pass of this file, integer level; biases that would need more than 13 bits stay as they are."""

    name: ClassVar[str] = "whole_biases"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        nodes, notes = [], []
        for node in graph:
            rounded, told = self._rounded(node)
            nodes.append(rounded)
            notes += told
        return graph.with_nodes(nodes), notes

    def _rounded(self, node: Node) -> tuple[Node, list[Note]]:
        if not isinstance(node.op, Lif) or not np.any(node.op.bias_mantissa):
            return node, []
        exact = node.op.bias_mantissa * 2.0 ** (node.op.bias_exponent - fixed.ALIGN)
        steps = np.rint(exact)
        if not fixed.BIAS_MANTISSA.holds(steps):
            text = f"a bias of {np.abs(steps).max():.0f} steps is no {fixed.BIAS_MANTISSA.name}"
            return node, [Note(self.name, node.name, text, declined=True)]
        off = float((np.abs(steps - exact) / node.op.scale).max())
        op = node.op.replace(bias_mantissa=steps.astype(np.int32), bias_exponent=fixed.ALIGN)
        text = f"biases rounded to whole steps of the threshold, off by {off:.3g} at most"
        return Node(node.name, op, node.inputs, node.source), [Note(self.name, node.name, text)]
