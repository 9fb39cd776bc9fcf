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
from avnir.place.axis import Axis, Blocks, Window

Box = tuple[int, int, int]
"""`(C, H, W)`; neurons without such a shape are `(n, 1, 1)`."""


@dataclass(frozen=True)
class Link:
    """Synapses of one connection: `bits` a weight, `delay_bits` a synapse, `taps` kH x kW of a convolution.

    `kind` is "dense", "conv" or "sparse"; `source` a layer or an input; `shared` says that one kernel serves
    every position (a convolution).
    """

    name: str
    kind: str
    source: str
    target: str
    axes: tuple[Blocks, Axis, Axis]
    bits: int
    delay_bits: int
    shared: bool
    taps: int

    @property
    def sources(self) -> int:
        """Neurons of the source."""
        return math.prod(axis.sources for axis in self.axes)


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
            axes = AXES.get(type(node.op), _no_axes)(node.op, boxes[node.inputs[0]], boxes[target])
            if axes is None:
                findings.append(_refused(node, boxes[node.inputs[0]], boxes[target]))
            else:
                links.append(_link(node, target, axes, delay_bits))
    if findings:
        raise UnsupportedError("these connections cannot be cut into boxes of neurons", findings)
    return Network(layers, tuple(links), inputs)


def _link(node: Node, target: str, axes: tuple[Blocks, Axis, Axis], delay_bits: int) -> Link:
    op = node.op
    bits = op.needs()["weight_bits"]  # type: ignore[attr-defined]
    kernel = op.weight.shape[2:]  # type: ignore[attr-defined]
    late = delay_bits if op.delay else 0  # type: ignore[attr-defined]
    kind, taps = op.kind.lower(), math.prod(kernel)
    return Link(node.name, kind, node.inputs[0], target, axes, bits, late, bool(kernel), taps)


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


_Axes = tuple[Blocks, Axis, Axis]


def _dense_axes(op: integer.Dense, source: Box, target: Box) -> _Axes | None:
    first, second, third = (Blocks(1, s, t) for s, t in zip(source, target, strict=True))
    return first, second, third


def _conv_axes(op: integer.Conv, source: Box, target: Box) -> _Axes | None:
    if op.weight.shape[1] * op.groups != source[0] or op.output_shape(source) != target:
        return None
    per_source, per_target = op.weight.shape[1], len(op.weight) // op.groups
    rows, columns = (
        Window(
            source[1 + i], target[1 + i], op.weight.shape[2 + i], op.stride[i], op.padding[i], op.dilation[i]
        )
        for i in (0, 1)
    )
    return Blocks(op.groups, per_source, per_target), rows, columns


def _no_axes(op: Operation, source: Box, target: Box) -> _Axes | None:
    return None


AXES: Mapping[type, Callable[..., _Axes | None]] = {
    integer.Dense: _dense_axes,
    integer.Conv: _conv_axes,
    Sparse: _dense_axes,
}
"""How each kind of connection joins two boxes, None where it does not; a new kind needs its entry here.

Listed synapses are placed as if there were all: an upper bound, which takes no core too few. What a run does
on each core, and so the latency and the messages that are priced, counts them likewise.
"""
