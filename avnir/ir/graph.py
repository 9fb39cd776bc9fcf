"""The graph: operations by name, in an order in which each comes after what feeds it.

One rule everywhere, taken from NIR and from the chip: **an operation that is fed by several nodes
sees their sum.** An addition in the model is therefore no operation of its own.

A loop closes through an operation that is `delayed`: what it gives in a step follows from earlier steps,
so it stands before what it feeds, and may stand before what feeds it.
"""

from __future__ import annotations

import dataclasses
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from avnir.errors import GraphError
from avnir.ir.loops import components
from avnir.ir.operation import Operation, Shape

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
DEFAULT_DT = 1e-4
"""Seconds a time step when nobody said otherwise: what norse and snnTorch's exporter assume."""


@dataclass(frozen=True)
class Node:
    """An operation with its place in the graph; `source` says where in the user's code it came from."""

    name: str
    op: Operation
    inputs: tuple[str, ...] = ()
    source: str = field(default="", compare=False)


@dataclass(frozen=True)
class Graph:
    """A network on one level; immutable, so passes return new ones.

    `nodes` run from inputs to outputs. `dt` is the length of a time step in seconds; it matters only
    where NIR's time constants are read or written.
    """

    level: str
    nodes: tuple[Node, ...]
    dt: float = DEFAULT_DT

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        return MappingProxyType({node.name: node for node in self.nodes})

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """For each node, the nodes that it feeds."""
        fed: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                fed[name].append(node.name)
        return MappingProxyType({name: tuple(names) for name, names in fed.items()})

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Each node's output shape for one sample at one step."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            later = [name for name in node.inputs if name not in shapes]
            stated = {name: _stated_shape(self.by_name[name], node) for name in later}
            shapes[node.name] = node.op.output_shape(_input_shape(node, ChainMap(shapes, stated)))
        for node in self.select(lambda op: op.delayed):
            node.op.output_shape(_input_shape(node, shapes))  # now that every shape is known
        return MappingProxyType(shapes)

    def select(self, wanted: Callable[[Operation], bool]) -> tuple[Node, ...]:
        """The nodes whose operation fits, in order."""
        return tuple(node for node in self.nodes if wanted(node.op))

    @property
    def inputs(self) -> tuple[Node, ...]:
        return self.select(lambda op: op.kind == "Input")

    @property
    def outputs(self) -> tuple[Node, ...]:
        return self.select(lambda op: op.kind == "Output")

    @property
    def neurons(self) -> tuple[Node, ...]:
        """The layers that spike."""
        return self.select(lambda op: op.spiking)

    def with_nodes(self, nodes: Iterable[Node], level: str | None = None) -> Graph:
        """A verified graph of the same time step with other nodes."""
        return verified(dataclasses.replace(self, nodes=tuple(nodes), level=level or self.level))


def _stated_shape(feeder: Node, node: Node) -> Shape:
    """What a feeder that stands later says of its shape, or the delayed node that it feeds."""
    shape: Shape = getattr(feeder.op, "shape", getattr(node.op, "shape", ()))
    return shape


def _input_shape(node: Node, shapes: Mapping[str, Shape]) -> Shape:
    found = {shapes[name] for name in node.inputs}
    if len(found) > 1:
        parts = ", ".join(f"{name} {shapes[name]}" for name in node.inputs)
        raise GraphError(f"{node.name}: its inputs are added and need one shape, but have {parts}")
    return found.pop() if found else ()


def in_order(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes, each after what it waits for, otherwise in the order given.

    A node waits for what feeds it, one that is `delayed` for nothing. GraphError on a loop without such.
    """
    waiting = {node.name: node for node in nodes}
    done: dict[str, Node] = {}
    for root in tuple(waiting):
        path: list[tuple[str, Iterator[str]]] = [(root, _awaited(waiting[root]))]
        open_names = {root}
        while path and root not in done:
            name, rest = path[-1]
            step = next((n for n in rest if n not in done and n in waiting), None)
            if step is None:
                done[name] = waiting[name]
                open_names.discard(name)
                path.pop()
            elif step in open_names:
                raise GraphError(f"{step}: a loop of connections leads back to it without a delay")
            else:
                open_names.add(step)
                path.append((step, _awaited(waiting[step])))
    return tuple(done.values())


def _awaited(node: Node) -> Iterator[str]:
    return iter(() if node.op.delayed else node.inputs)


def verified(graph: Graph) -> Graph:
    """The graph itself, after every rule was checked; raises GraphError with all that is broken."""
    problems = [*_name_problems(graph), *_edge_problems(graph)]
    if not problems:
        try:
            problems += [*_shape_problems(graph), *_window_problems(graph), *_rehearsal_problems(graph)]
        except GraphError as error:
            problems.append(str(error))
    if problems:
        raise GraphError(f"not a valid {graph.level} graph:\n" + "\n".join(f"  - {p}" for p in problems))
    return graph


def _name_problems(graph: Graph) -> Iterator[str]:
    seen: set[str] = set()
    for node in graph.nodes:
        if not NAME.match(node.name):
            yield f"{node.name!r} is not a name of letters, digits and underscores"
        if node.name in seen:
            yield f"{node.name}: used twice"
        if node.op.level != graph.level:
            yield f"{node.name}: {node.op.kind} belongs to the {node.op.level} level"
        seen.add(node.name)
    if not graph.dt > 0:
        yield f"dt is {graph.dt} s, but must be positive"


def _edge_problems(graph: Graph) -> Iterator[str]:
    before: set[str] = set()
    for node in graph.nodes:
        for name in node.inputs:
            if name not in graph.by_name:
                yield f"{node.name}: is fed by {name!r}, which is not there"
            elif name not in before and not node.op.delayed:
                yield f"{node.name}: is fed by {name!r}, which does not come before it"
        if len(set(node.inputs)) != len(node.inputs):
            yield f"{node.name}: is fed twice by one node; use a Scale of 2"
        if bool(node.inputs) == (node.op.kind == "Input"):
            yield f"{node.name}: {node.op.kind} has {len(node.inputs)} inputs"
        before.add(node.name)
    if not graph.inputs or not graph.outputs:
        yield "needs at least one Input and one Output"


def _shape_problems(graph: Graph) -> Iterator[str]:
    for name, shape in graph.shapes.items():
        if any(size < 1 for size in shape):
            yield f"{name}: makes the empty shape {shape}"


def _rehearsal_problems(graph: Graph) -> Iterator[str]:
    """A sum over the whole window is known when the window has passed: too late for what leads to it."""
    rehearsed = [node.name for node in graph.select(lambda op: op.rehearsed)]
    loops = [names for names in components(graph.consumers) if len(names) > 1] if rehearsed else []
    for names in loops:
        for name in names:
            if name in rehearsed:
                around = ", ".join(other for other in names if other != name)
                yield (
                    f"{name}: is a sum over the whole window and feeds itself through {around}; "
                    "use a running sum, or take it out of the loop"
                )


def _window_problems(graph: Graph) -> Iterator[str]:
    windows = {n.name: n.op.steps for n in graph.select(lambda op: op.kind == "WindowSum")}  # type: ignore[attr-defined]
    if len(set(windows.values())) > 1:
        listed = ", ".join(f"{name} of {steps}" for name, steps in windows.items())
        yield f"sums over windows of different lengths, where a sample has one: {listed} steps"
