"""Merge everything between two layers that send spikes or messages into one synapse per path.

Between spikes and the next neuron the network is affine: convolutions, pooling, reshapes, scales and
sums compose to  current = sum over paths (A_path s_source) + b.  Each path becomes one Linear, Conv2d or
Sparse without bias (`synapse_algebra`); the constant b, exact also where zero padding follows a
bias, is what the affine part makes of silence, and moves into the neuron, one value per neuron. The
neuron's gain moves into both. A neuron with a synaptic current takes no b: it would build up there with
the current's own decay, and the chip adds a bias to the potential only. Instead a neuron that spikes in
every step feeds it through a synapse of weight b. So do the ports of products, and other layers that send
numbers.

An output that is no layer's spikes is read out: an Li sends its potential, and what is linear in front of an
output alone becomes the synapses of an Li that forgets at once (beta 0).

Delays commute with what is linear: those on a path become one, at the spikes that enter it. What a delay
holds when a window begins is 0, so b must not pass through one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from avnir.errors import Finding, GraphError, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array, Shape
from avnir.ir.real import Conv2d, Delay, Flatten, Li, Lif, Linear, RealOperation, Threshold
from avnir.ir.real_sparse import Sparse
from avnir.passes.note import Note
from avnir.passes.synapse_algebra import Synapse, after, flattened, identity, made_shape, scaled

MAX_PATHS = 256
"""Paths into one layer; far more than any network in use has."""

Path = tuple[str, tuple[Node, ...]]


@dataclass(frozen=True)
class MergeSynapses:
    """The pass of this file: its result has one Linear, Conv2d or Sparse, without bias, on the way from each
    layer or Input to each layer (gain 1), with reshapes (Flatten) around it where shapes differ.
    """

    name: ClassVar[str] = "merge_synapses"

    def __call__(self, graph: Graph) -> tuple[Graph, list[Note]]:
        graph = _with_readouts(graph)
        findings: list[Finding] = []
        nodes = list(graph.inputs)
        taken = set(graph.by_name)
        notes: list[Note] = []
        for node in graph.select(lambda op: op.sends):  # type: ignore[attr-defined]
            try:
                made, told = _merged(graph, node, taken)
            except GraphError as error:
                findings.append(
                    Finding(node.source or node.name, "its inputs have no form as synapses", str(error))
                )
                continue
            taken |= {new.name for new in made}
            nodes += made
            notes += [Note(self.name, node.name, text) for text in told]
        if findings:
            raise UnsupportedError("these parts have no form as synapses and neurons", findings)
        nodes += [Node(o.name, o.op, (layer_behind(graph, o) or "",), o.source) for o in graph.outputs]
        return graph.with_nodes(nodes), notes


@dataclass(frozen=True)
class _Port:
    """One port of the layer `node`, whose inputs are those of the port: a synapse for each path into it.

    `constant` is what else flows in, in every step, of the layer's shape.
    """

    node: Node
    paths: list[Path]
    synapses: list[Synapse]
    constant: Array


def _merged(graph: Graph, node: Node, taken: Iterable[str]) -> tuple[list[Node], list[str]]:
    """The layer `node` behind the synapses into its ports, in order; and what to tell about it."""
    layer = _layer(node)
    ports = []
    for names in node.op.ports(node.inputs):  # type: ignore[attr-defined]
        entered = replace(node, inputs=names)
        paths = _paths(graph, entered)
        constant = _silence(graph, entered)
        if isinstance(layer, Lif | Li):
            layer, constant = _biased(layer, constant)
        synapses = [_composed(graph, entered, source, path) for source, path in paths]
        ports.append(_Port(entered, paths, synapses, np.broadcast_to(constant, graph.shapes[node.name])))
    made: list[Node] = []
    feeding: list[tuple[str, ...]] = []
    notes: list[str] = []
    for port in _of_one_shape(graph, ports):
        ways, told = _placed_synapses(graph, port, {*taken, *(new.name for new in made)})
        made += [new for way in ways for new in way]
        feeding.append(tuple(way[-1].name for way in ways))
        notes += told
    if len(feeding) > 1:
        layer = layer.replace(second=len(feeding[-1]))
    return [*made, Node(node.name, layer, sum(feeding, ()), node.source)], notes


def _of_one_shape(graph: Graph, ports: list[_Port]) -> list[_Port]:
    """The ports as they are, or with synapses between rows, where they make or need different shapes."""
    found = {shape for port in ports for shape in _made_shapes(graph, port)}
    (shape, *others) = found
    if not others and all(not np.any(p.constant) or _same_in_channels(p.constant, shape) for p in ports):
        return ports
    sparse = any(isinstance(op, Sparse) for port in ports for op in port.synapses)
    return [
        replace(
            port,
            synapses=[
                flattened(op, graph.shapes[source], sparse)
                for op, (source, _) in zip(port.synapses, port.paths, strict=True)
            ],
        )
        for port in ports
    ]


def _made_shapes(graph: Graph, port: _Port) -> Iterator[Shape]:
    for op, (source, _) in zip(port.synapses, port.paths, strict=True):
        yield made_shape(op, graph.shapes[source])


def _placed_synapses(graph: Graph, port: _Port, taken: Iterable[str]) -> tuple[list[list[Node]], list[str]]:
    """For each path into the port, the nodes that replace it, in order; and what to tell about it.

    A constant, which arrives through synapses, comes last.
    """
    node, names = port.node, set(taken)
    made: list[list[Node]] = []
    notes: list[str] = []
    for (source, path), synapse in zip(port.paths, port.synapses, strict=True):
        name = _free_name(f"{source}__{node.name}", names)
        place = path[-1].source if path else node.source
        made.append(
            _placed(
                Node(name, synapse, (source,), place),
                graph.shapes[source],
                graph.shapes[node.name],
                sum(step.op.steps for step in path if isinstance(step.op, Delay)),
            )
        )
        names |= {part.name for part in made[-1]}
        if len(path) > 1:
            notes.append(f"{', '.join(step.name for step in path)} merged into one synapse from {source}")
    if np.any(port.constant):
        made.append(_ticking(node, port.constant, next(_made_shapes(graph, port)), names))
        notes.append(f"its bias is a synapse from {made[-1][2].name}, which spikes in every step")
    return made, notes


def _same_in_channels(values: Array, shape: Shape) -> bool:
    """Whether what a convolution makes of `shape` could have these values as its bias; of a row, always."""
    rows = values.reshape(shape[0], -1)
    return bool(np.all(rows == rows[:, :1]))


def _placed(node: Node, before: Shape, behind: Shape, delay: int) -> list[Node]:
    """The synapse between layers of these shapes, with the delay in steps and the reshapes it needs."""
    parts: list[Node] = []
    fed = node.inputs
    if delay:
        parts.append(Node(f"{node.name}_delay", Delay(before, delay), fed, node.source))
        fed = (parts[-1].name,)
    if node.op.kind != "Conv2d" and len(before) != 1:
        parts.append(Node(f"{node.name}_in", Flatten((math.prod(before),)), fed, node.source))
        before, fed = parts[-1].op.output_shape(before), (parts[-1].name,)
    parts.append(Node(node.name, node.op, fed, node.source))
    if node.op.output_shape(before) != behind:
        parts.append(Node(f"{node.name}_out", Flatten(behind), (node.name,), node.source))
    return parts


def _paths(graph: Graph, node: Node) -> list[Path]:
    """Every way from a layer or an input to `node`, with the operations on it in order."""
    found: list[Path] = []
    open_ends: list[Path] = [(name, ()) for name in reversed(node.inputs)]
    while open_ends:
        name, behind = open_ends.pop()
        here = graph[name]
        if _begins_synapses(here):
            found.append((name, behind))
        elif here in behind:
            raise GraphError(f"{name} is on a loop without a neuron; give the loop a spiking layer")
        else:
            open_ends.extend((before, (here, *behind)) for before in reversed(here.inputs))
        if len(found) + len(open_ends) > MAX_PATHS:
            raise GraphError(f"more than {MAX_PATHS} paths of sums lead into it; add spiking layers between")
    return found


def _composed(graph: Graph, node: Node, source: str, path: tuple[Node, ...]) -> Synapse:
    shape = graph.shapes[source]
    synapse: Synapse | None = None
    for index, step in enumerate(path):
        before = graph.shapes[path[index - 1].name] if index else shape
        synapse = after(step.op, synapse, shape, before)
    gain = getattr(node.op, "gain", np.array(1.0))
    return scaled(synapse or identity(shape, shape), gain, shape, graph.shapes[node.name])


def _begins_synapses(node: Node) -> bool:
    """Whether spikes or messages leave here."""
    return not node.inputs or node.op.sends  # type: ignore[attr-defined]


def _layer(node: Node) -> RealOperation:
    """The layer; a Threshold is a Lif that forgets at once (beta 0, gain 1)."""
    op = node.op
    assert isinstance(op, RealOperation)
    if isinstance(op, Threshold):
        return Lif(beta=np.array(0.0), threshold=op.threshold, gain=np.array(1.0))
    if op.spiking and not isinstance(op, Lif):
        raise GraphError(f"the chip has no form of the neuron {op.kind}; use Leaky or Synaptic")
    return op


def _biased(op: Lif | Li, silence: Array) -> tuple[Lif | Li, Array]:
    """The neuron, gain 1, with the constant input as its bias, or beside it what flows into its current."""
    constant = silence * op.gain
    into_current = constant if op.alpha is not None else np.zeros(())
    bias = (constant if op.alpha is None else 0) + (0 if op.bias is None else op.bias)
    return op.replace(gain=np.array(1.0), bias=bias if np.any(bias) else None), into_current


def _ticking(node: Node, constant: Array, shape: Shape, taken: set[str]) -> list[Node]:
    """Neurons that spike in every step and their synapses, which bring `constant` into `node`.

    One neuron; beside convolutions, which make `shape`, one for each place. What feeds them is themselves,
    a step later and with weight 0: every neuron is fed by something.
    """
    tick = _free_name(f"{node.name}_tick", taken)
    every_step = Lif(np.array(0.0), np.array(0.5), np.array(1.0), bias=np.array(1.0))
    if len(shape) == 3:
        here: Shape = (1, *shape[1:])
        loop: Synapse = Conv2d(np.zeros((1, 1, 1, 1)))
        synapse: Synapse = Conv2d(constant.reshape(shape[0], -1)[:, :1].reshape(-1, 1, 1, 1))
    else:
        here, loop = (1,), Linear(np.zeros((1, 1)))
        synapse = Linear(constant.reshape(-1, 1))
    nodes = [
        Node(f"{tick}_delay", Delay(here), (tick,), node.source),
        Node(f"{tick}_loop", loop, (f"{tick}_delay",), node.source),
        Node(tick, every_step, (f"{tick}_loop",), node.source),
    ]
    placed = Node(f"{tick}__{node.name}", synapse, (tick,), node.source)
    return nodes + _placed(placed, here, constant.shape, 0)


def _silence(graph: Graph, node: Node) -> Array:
    """What the affine part in front of `node` makes of no spikes at all, of the layer's shape."""
    values: dict[str, Array] = {}

    def value(name: str) -> Array:
        here = graph[name]
        if name not in values and _begins_synapses(here):
            values[name] = np.zeros((1, *graph.shapes[name]))
        elif name not in values:
            x = _sum(map(value, here.inputs))
            if here.op.delayed and np.any(x):
                raise GraphError(
                    f"{name} delays a bias, which is 0 in the first steps; delay the spikes only"
                )
            values[name] = here.op.step(x, {})  # type: ignore[attr-defined]
        return values[name]

    return _sum(map(value, node.inputs))[0]


def _sum(arrays: Iterable[Array]) -> Array:
    first, *rest = arrays
    for array in rest:
        first = first + array
    return first


def _free_name(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 2
    while name in taken:
        name, count = f"{wanted}_{count}", count + 1
    return name


def _with_readouts(graph: Graph) -> Graph:
    """The graph with an Li in front of each output that is not what one layer sends."""
    taken = set(graph.by_name)
    nodes: list[Node] = []
    for node in graph:
        if node.op.kind == "Output" and layer_behind(graph, node) is None:
            name = _free_name(f"{node.name}_readout", taken)
            taken.add(name)
            nodes.append(Node(name, Li(np.array(0.0), np.array(1.0)), node.inputs, node.source))
            node = Node(node.name, node.op, (name,), node.source)
        nodes.append(node)
    return graph.with_nodes(nodes)


def layer_behind(graph: Graph, node: Node) -> str | None:
    """The layer whose spikes or potentials, possibly reshaped, are what `node` sees."""
    before = graph[node.inputs[0]]
    if len(node.inputs) != 1 or not before.inputs:
        return None
    if _begins_synapses(before):
        return before.name
    return layer_behind(graph, before) if before.op.kind == "Flatten" else None
