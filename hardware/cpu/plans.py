"""How every node is laid out before it runs, and which connections and neurons work as one.

Neurons that one connection alone feeds, or several convolutions of one form, take the sums as they are made:
they never go to memory. Neurons that only convolutions event by event feed lie in the order in which their
sums grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from avnir.hardware.cpu.conv import ConvStage, growing_order
from avnir.hardware.cpu.conv_tiles import TiledConvs, TiledConvStage, fits, joinable
from avnir.hardware.cpu.delta import DeltaStage
from avnir.hardware.cpu.dense import DenseStage
from avnir.hardware.cpu.graded import InverseRootStage, ProductStage, RelayStage
from avnir.hardware.cpu.lif import LifStage
from avnir.hardware.cpu.sparse import SparseStage
from avnir.hardware.cpu.window import WindowStage
from avnir.ir.graph import Graph, Node
from avnir.ir.loops import components

PLANS: Mapping[str, Callable[..., Any]] = {
    "Dense": DenseStage.plan,
    "Conv": ConvStage.plan,
    "Sparse": SparseStage.plan,
    "Lif": LifStage.plan,
    "Relay": RelayStage.plan,
    "Product": ProductStage.plan,
    "InverseRoot": InverseRootStage.plan,
    "Readout": LifStage.plan_readout,
    "WindowSum": WindowStage.plan,
    "Delta": DeltaStage.plan,
    "SigmaDelta": DeltaStage.plan_sigma,
}
"""How the operations that compute are laid out; Input and Output only hand on."""
CHOOSING = ("Dense", "Sparse")
"""Those that choose by density, in each block, whether their products are of tiles."""
FILLING = ("Lif", "Readout", "Relay", "Product", "WindowSum")
"""Those that write what they send where it belongs."""


@dataclass(frozen=True)
class Driver:
    """The connections that work as one with a layer of neurons, and their stage, which does."""

    connections: tuple[str, ...]
    stage: Any


@dataclass(frozen=True)
class Plans:
    """`stages` by node; `drivers` by layer of neurons.

    `awaited`: the connections that work when the one layer that they feed does, so that what they give is not
    kept until the end of the block.
    """

    stages: Mapping[str, Any]
    drivers: Mapping[str, Driver]
    awaited: frozenset[str]

    @cached_property
    def merged(self) -> frozenset[str]:
        """The connections that do not work on their own."""
        return frozenset(name for driver in self.drivers.values() for name in driver.connections)

    @cached_property
    def made_later(self) -> frozenset[str]:
        """The connections that work when the layer that they feed does."""
        return self.merged | self.awaited

    @cached_property
    def adding(self) -> frozenset[str]:
        """The awaited ones that can add to what others gave."""
        return frozenset(name for name in self.awaited if hasattr(self.stages.get(name), "add"))


def plans_of(graph: Graph, tiled: bool = False) -> Plans:
    """Lay out all nodes of an integer graph; `tiled`: whether products may be of tiles."""
    joined = dict(_joined(graph)) if tiled else {}
    within = {name for driver in joined.values() for name in driver.connections}
    apart = {node.name for node in graph if tiled and _fills_tiles(graph, node)} - within
    growing = dict(_growing(graph, apart | within))
    kept = {name for layer in growing for name in graph[layer].inputs}
    orders = {layer: growing_order(shape) for layer, shape in growing.items()}
    orders |= {layer: driver.stage.order for layer, driver in joined.items()}
    stages = {}
    for node in graph:
        if node.op.kind in PLANS and node.name not in within:
            given: dict[str, Any] = {"kept": True} if node.name in kept else {}
            if node.name in orders:
                given = {"order": orders[node.name]}
            if node.op.kind in CHOOSING:
                given = {"tiled": tiled}
            plan: Callable[..., Any] = TiledConvStage.plan if node.name in apart else PLANS[node.op.kind]
            stages[node.name] = plan(node.op, graph.shapes[node.inputs[0]], **given)
    return Plans(stages, joined | dict(_single(graph, stages)), frozenset(_awaited(graph)))


def _growing(graph: Graph, tiled: Set[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Layers that only convolutions feed, which feed nothing else, with the shape that these give."""
    for node in graph.select(lambda op: op.kind == "Lif"):
        shapes = {graph.shapes[name] for name in node.inputs}
        fed_by = [graph[name] for name in node.inputs if _feeds_only(graph, graph[name], node)]
        plain = [one for one in fed_by if one.op.kind == "Conv" and one.name not in tiled]
        if len(shapes) == 1 and len(plain) == len(node.inputs):
            yield node.name, shapes.pop()


def _fills_tiles(graph: Graph, node: Node) -> bool:
    """Whether it is a convolution that products of tiles work out fast."""
    return node.op.kind == "Conv" and fits(node.op, graph.shapes[node.inputs[0]])  # type: ignore[arg-type]


def _drivable(graph: Graph) -> Iterator[tuple[str, list[Node]]]:
    """Layers of neurons that can work as one with their connections, and those.

    They are in no loop; the connections feed nothing else, bring the spikes of one layer each, and lag behind
    nothing.
    """
    looped = {name for names in components(graph.consumers) if len(names) > 1 for name in names}
    for node in graph.select(lambda op: op.kind == "Lif"):
        ones = [graph[name] for name in node.inputs]
        alone = all(_feeds_only(graph, one, node) and not one.op.delayed for one in ones)
        if node.name not in looped and alone and all(_binary(graph, one) for one in ones):
            yield node.name, ones


def _joined(graph: Graph) -> Iterator[tuple[str, Driver]]:
    """Layers that convolutions of one form feed, which are worked out as one."""
    for layer, ones in _drivable(graph):
        ops: Any = [one.op for one in ones]
        shapes = [graph.shapes[one.inputs[0]] for one in ones]
        if all(_fills_tiles(graph, one) for one in ones) and joinable(ops, shapes):
            yield layer, Driver(tuple(one.name for one in ones), TiledConvs.plan(ops, shapes))


def _single(graph: Graph, stages: Mapping[str, Any]) -> Iterator[tuple[str, Driver]]:
    """Layers that a single connection feeds whose stage can drive them."""
    for layer, ones in _drivable(graph):
        if len(ones) == 1 and getattr(stages.get(ones[0].name), "drives", False):
            yield layer, Driver((ones[0].name,), stages[ones[0].name])


def _awaited(graph: Graph) -> Iterator[str]:
    """Connections without a lag that feed one layer, outside of loops."""
    looped = {name for names in components(graph.consumers) if len(names) > 1 for name in names}
    for node in graph.select(lambda op: op.connection and not op.delayed):  # type: ignore[attr-defined]
        if len(graph.consumers[node.name]) == 1 and looped.isdisjoint(graph.consumers[node.name]):
            yield node.name


def _feeds_only(graph: Graph, connection: Node, layer: Node) -> bool:
    return list(graph.consumers[connection.name]) == [layer.name]


def _binary(graph: Graph, connection: Node) -> bool:
    """Whether it is fed by the spikes of one layer."""
    sources = [graph[name].op for name in connection.inputs]
    return len(sources) == 1 and not getattr(sources[0], "message_bits", 0)
