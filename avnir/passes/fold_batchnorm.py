"""Fold batch normalisation into the weights before it.

In evaluation mode it is affine, y = a x + c with a = weight / sqrt(variance + eps) and
c = bias - mean a (Ioffe and Szegedy, 2015). After x = W s + b this is y = (a W) s + (a b + c): the
same Linear or Conv2d with other numbers, computed in float64. Where what comes before feeds others
too, or is no single Linear or Conv2d, the normalisation becomes a 1x1 convolution per channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.ir.real import BatchNorm, Conv2d, Linear, RealOperation
from avnir.passes.note import Note


def scaled_rows(op: Linear | Conv2d, factor: Array, shift: Array | None = None) -> Linear | Conv2d:
    """y = factor * op(x) + shift, per output channel, as an operation of the same kind in float64."""
    column = factor.reshape(-1, *(1,) * (op.weight.ndim - 1))
    bias = None if op.bias is None else op.bias.astype(np.float64) * factor
    if shift is not None:
        bias = shift if bias is None else bias + shift
    return op.replace(weight=op.weight.astype(np.float64) * column, bias=bias)


@dataclass(frozen=True)
class FoldBatchNorm:
    """The pass of this file."""

    name: ClassVar[str] = "fold_batchnorm"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        nodes = {node.name: node for node in graph}
        renamed: dict[str, str] = {}
        notes: list[Note] = []
        for norm in graph.select(lambda op: op.kind == "BatchNorm"):
            op: BatchNorm = norm.op  # type: ignore[assignment]
            before = nodes[renamed.get(norm.inputs[0], norm.inputs[0])]
            alone = len(norm.inputs) == 1 and graph.consumers[norm.inputs[0]] == (norm.name,)
            if alone and before.op.kind in ("Linear", "Conv2d"):
                scale, shift = op.affine()
                folded = scaled_rows(before.op, scale, shift)  # type: ignore[arg-type]
                nodes[before.name] = Node(before.name, folded, before.inputs, before.source)
                renamed[norm.name] = before.name
                del nodes[norm.name]
                notes.append(Note(self.name, norm.name, f"folded into {before.name}"))
            else:
                nodes[norm.name] = Node(norm.name, _per_channel(graph, norm, op), norm.inputs, norm.source)
                notes.append(Note(self.name, norm.name, "made a 1x1 convolution per channel"))
        rewired = (
            Node(n.name, n.op, tuple(renamed.get(i, i) for i in n.inputs), n.source) for n in nodes.values()
        )
        return graph.with_nodes(rewired), notes


def _per_channel(graph: Graph, node: Node, op: BatchNorm) -> RealOperation:
    scale, shift = op.affine()
    dimensions = len(graph.shapes[node.name])
    if dimensions == 1:
        return Linear(weight=np.diag(scale), bias=shift)
    if dimensions == 3:
        return Conv2d(weight=scale.reshape(-1, 1, 1, 1), bias=shift, groups=len(scale))
    place = node.source or node.name
    problem = f"batch normalisation of shape {graph.shapes[node.name]} follows no Linear or Conv2d"
    raise UnsupportedError(
        "cannot fold batch normalisation", [Finding(place, problem, "Put it right after a Linear or Conv2d.")]
    )
