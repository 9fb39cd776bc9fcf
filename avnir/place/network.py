"""A program as the mapper sees it: layers that are boxes of neurons, and the links between them.

Nothing here assumes an order: a layer may feed itself, and a link may come before the layer that feeds it.
Inputs are spikes from off the chip: they take axons where they arrive, but no core of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from avnir.errors import Finding, UnsupportedError
from avnir.ir import integer
from avnir.ir.graph import Graph, Node
from avnir.ir.integer_sparse import Sparse
from avnir.ir.operation import Operation, Shape
from avnir.place.axis import Blocks, Window
from avnir.place.grid import Box
from avnir.place.joins import AllToAll, Joins, Product
from avnir.place.listed import Listed


@dataclass(frozen=True)
class Kernel:
    """Weights of a convolution, one for all positions: `taps` kH x kW for each pair of joined channels."""

    taps: int
    channels: Blocks


@dataclass(frozen=True)
class Link:
    """Synapses of one connection: `bits` a weight, `delay_bits` a synapse; `kernel` of a convolution.

    `kind` is "dense", "conv" or "sparse"; `source` a layer or an input.
    """

    name: str
    kind: str
    source: str
    target: str
    joins: Joins
    kernel: Kernel | None
    bits: int
    delay_bits: int


@dataclass(frozen=True)
class Layer:
    """One neuron layer, `place` as the user knows it; `read_out`: how many outputs show its spikes."""

    name: str
    place: str
    box: Box
    read_out: int

    @property
    def neurons(self) -> int:
        return math.prod(self.box)


@dataclass(frozen=True)
class Network:
    """Layers and links by name, in the order of the graph; `inputs` by name with their boxes."""

    layers: Mapping[str, Layer]
    links: tuple[Link, ...]
    inputs: Mapping[str, Box]

    def into(self, layer: str) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.target == layer)

    def out_of(self, layer: str) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.source == layer)

    def box(self, name: str) -> Box:
        """The box of a layer or an input."""
        return self.inputs[name] if name in self.inputs else self.layers[name].box


def network_of(graph: Graph, delay_bits: int) -> Network:
    """The network of an integer graph; a delay takes `delay_bits` of a synapse.

    UnsupportedError where neurons are seen as a different box by what feeds them and by what they feed, or
    where a connection is of a kind that the mapper does not know.
    """
    layers = {node.name: _layer(graph, node) for node in graph.neurons}
    inputs = {node.name: _box_of(graph.shapes[node.name]) for node in graph.inputs}
    boxes = {**inputs, **{name: layer.box for name, layer in layers.items()}}
    links: list[Link] = []
    findings: list[Finding] = []
    for node in graph.select(lambda op: getattr(op, "connection", False)):
        for target in graph.consumers[node.name]:
            synapses = SYNAPSES.get(type(node.op), _unknown)(node.op, boxes[node.inputs[0]], boxes[target])
            if synapses is None:
                findings.append(_refused(node, boxes[node.inputs[0]], boxes[target]))
            else:
                links.append(_link(node, target, synapses, delay_bits))
    if findings:
        raise UnsupportedError("these connections cannot be cut into boxes of neurons", findings)
    return Network(layers, tuple(links), inputs)


_Synapses = tuple[Joins, Kernel | None]


def _link(node: Node, target: str, synapses: _Synapses, delay_bits: int) -> Link:
    op = node.op
    bits = op.needs()["weight_bits"]  # type: ignore[attr-defined]
    late = delay_bits if op.delay else 0  # type: ignore[attr-defined]
    return Link(node.name, op.kind.lower(), node.inputs[0], target, *synapses, bits, late)


def _layer(graph: Graph, node: Node) -> Layer:
    fed = {graph.shapes[name] for name in node.inputs if len(graph.shapes[name]) == 3}
    shape = fed.pop() if fed else graph.shapes[node.name]
    outputs = sum(graph[name].op.kind == "Output" for name in graph.consumers[node.name])
    return Layer(node.name, node.source or node.name, _box_of(shape), outputs)


def _box_of(shape: Shape) -> Box:
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape), 1, 1)


def _refused(node: Node, source: Box, target: Box) -> Finding:
    return Finding(
        node.source or node.name,
        f"a {node.op.kind} from neurons that are cut as {source} to neurons that are cut as {target}",
        "Keep the shape (C, H, W) of a layer between two convolutions.",
    )


def _dense(op: integer.Dense, source: Box, target: Box) -> _Synapses | None:
    return AllToAll(*(Blocks(1, s, t) for s, t in zip(source, target, strict=True))), None


def _conv(op: integer.Conv, source: Box, target: Box) -> _Synapses | None:
    if op.weight.shape[1] * op.groups != source[0] or op.output_shape(source) != target:
        return None
    channels = Blocks(op.groups, op.weight.shape[1], len(op.weight) // op.groups)
    rows, columns = (
        Window(
            source[1 + i], target[1 + i], op.weight.shape[2 + i], op.stride[i], op.padding[i], op.dilation[i]
        )
        for i in (0, 1)
    )
    return Product(channels, rows, columns), Kernel(math.prod(op.weight.shape[2:]), channels)


def _sparse(op: Sparse, source: Box, target: Box) -> _Synapses | None:
    return Listed(math.prod(source), math.prod(target), op.source, op.target), None


def _unknown(op: Operation, source: Box, target: Box) -> _Synapses | None:
    return None


SYNAPSES: Mapping[type, Callable[..., _Synapses | None]] = {
    integer.Dense: _dense,
    integer.Conv: _conv,
    Sparse: _sparse,
}
"""How each kind of connection joins two boxes, None where it does not; a new kind needs its entry here."""
