"""Loops without a Delay: how other frameworks write recurrent layers, and what they mean by it.

Their recurrent layer is a cycle LIF -> Linear -> LIF. Stepped by forward Euler, what comes back is the
spikes of the step before: a Delay of one step stands, unwritten, after the neurons on their way back. That
is the only reading where the loop holds one layer of neurons, and nothing else in it feeds the rest of the
network; any other loop without a Delay is ambiguous, and refused.

avnir writes such a Delay the same way, unwritten, with its name in the metadata, wherever this reading
gives it back; every other one is NIR's Delay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from avnir.errors import InterchangeError
from avnir.export.nir_schema import LoopRecord, NirFile, NirNode, NodeRecord
from avnir.ir.graph import Graph, Node
from avnir.ir.loops import components

Edge = tuple[str, str]
REMEDY = "put a Delay of one time step on the edge that is late"


@dataclass(frozen=True)
class Loop:
    """Nodes that lead to each other, and the neurons among them, without a Delay on the way."""

    members: tuple[str, ...]
    neurons: tuple[str, ...]
    exits: tuple[str, ...]
    """Members that feed nodes outside."""

    @property
    def clear(self) -> bool:
        """Whether there is one place only for the step that it takes."""
        return len(self.neurons) == 1 and self.exits in ((), self.neurons)

    def problem(self) -> str:
        """Why the loop is refused."""
        nodes = f"the nodes {', '.join(self.members)} form a loop"
        if not self.neurons:
            return f"{nodes}; a loop without a state has no meaning"
        if len(self.neurons) > 1:
            several = f"{nodes} through several neurons, {', '.join(self.neurons)}, without a Delay"
            return f"{several}; {REMEDY}"
        others = [name for name in self.exits if name not in self.neurons]
        return f"{nodes} without a Delay, and {', '.join(others)} in it feeds other nodes too; {REMEDY}"


def loops_in(names: Iterable[str], edges: Iterable[Edge], delays: set[str], neurons: set[str]) -> list[Loop]:
    """Every loop that no Delay is in: the strongly connected parts of what is left without them."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        after[source].append(target)
    inside = {name: [t for t in targets if t not in delays] for name, targets in after.items()}
    found: list[Loop] = []
    for part in components(inside):
        if len(part) > 1 or part[0] in inside[part[0]]:
            exits = tuple(name for name in part if any(target not in part for target in after[name]))
            found.append(Loop(tuple(part), tuple(n for n in part if n in neurons), exits))
    return found


def left_out(graph: Graph) -> dict[str, LoopRecord]:
    """The delays that a file may leave out, because a reader puts them back where they are.

    Every loop of the graph has a Delay, so an edge that a reader would place otherwise begins where one of
    the chosen delays does, and in each turn fewer are left.
    """
    chosen = _candidates(graph)
    while chosen:
        late = _late(graph, chosen)
        unclear = {edge[0] for edge in late.symmetric_difference(_told(chosen))}
        if not unclear:
            break
        chosen = {delay: loop for delay, loop in chosen.items() if loop.after not in unclear}
    return chosen


def _candidates(graph: Graph) -> dict[str, LoopRecord]:
    """Delays of one step behind one layer of neurons, each of other edges."""
    found: dict[str, LoopRecord] = {}
    for node in graph.select(lambda op: op.delayed):
        if not _may_go(graph, node):
            continue
        loop = LoopRecord(after=node.inputs[0], before=list(graph.consumers[node.name]))
        if _told({node.name: loop}).isdisjoint(_told(found)):
            found[node.name] = loop.model_copy(update={"source": node.source}) if node.source else loop
    return found


def _told(chosen: Mapping[str, LoopRecord]) -> set[Edge]:
    """The edges that are late where the `chosen` delays are left out."""
    return {(loop.after, target) for loop in chosen.values() for target in loop.before}


def _may_go(graph: Graph, node: Node) -> bool:
    """A Delay of one step behind one layer of neurons, which does not feed the same nodes directly too."""
    before = graph.consumers[node.name]
    if getattr(node.op, "steps", 0) != 1 or len(node.inputs) != 1 or not before:
        return False
    feeder = node.inputs[0]
    return graph[feeder].op.stateful and not any(feeder in graph[target].inputs for target in before)


def _late(graph: Graph, chosen: Mapping[str, LoopRecord]) -> set[Edge]:
    """The edges that a reader of the file without the `chosen` delays takes as late."""
    edges = without(((f, node.name) for node in graph for f in node.inputs), chosen)
    delays = {node.name for node in graph.select(lambda op: op.delayed)} - chosen.keys()
    neurons = {node.name for node in graph.select(lambda op: op.stateful)}
    names = [node.name for node in graph if node.name not in chosen]
    loops = [loop for loop in loops_in(names, edges, delays, neurons) if loop.clear]
    return _late_edges(loops, edges)


def _late_edges(loops: Iterable[Loop], edges: Iterable[Edge]) -> set[Edge]:
    inside = {loop.neurons[0]: set(loop.members) for loop in loops}
    return {(source, target) for source, target in edges if target in inside.get(source, ())}


def without(edges: Iterable[Edge], chosen: Mapping[str, LoopRecord]) -> tuple[Edge, ...]:
    """The edges with those into the `chosen` delays gone, and those out of them from what they delay."""
    return tuple(
        (chosen[source].after if source in chosen else source, target)
        for source, target in edges
        if target not in chosen
    )


def with_delays(content: NirFile, kinds: Iterable[str], dt: float) -> NirFile:
    """The file with every Delay that it leaves out; `kinds` are NIR's types of neurons.

    Raises InterchangeError where a loop is ambiguous or has no state, and where the metadata does not fit.
    """
    loops = _foreign(content, set(kinds)) if content.record is None else content.record.loops
    nodes, edges = dict(content.nodes), list(content.edges)
    for name, loop in loops.items():
        late = {(loop.after, target) for target in loop.before}
        if name in nodes or loop.after not in content.nodes or not late or not late <= set(edges):
            raise InterchangeError(f"the loop {name!r} in avnir's metadata does not fit the file's edges")
        edges = [(name, target) if (source, target) in late else (source, target) for source, target in edges]
        edges.append((loop.after, name))
        nodes[name] = _one_step(content.nodes[loop.after], dt, loop.source)
    return dataclasses.replace(content, nodes=nodes, edges=tuple(edges))


def _one_step(neurons: NirNode, dt: float, source: str) -> NirNode:
    shape = next((value.shape for value in neurons.fields.values() if not isinstance(value, str)), ())
    return NirNode(
        "Delay", {"delay": np.full(shape, dt)}, NodeRecord(source=source) if source else NodeRecord()
    )


def _foreign(content: NirFile, kinds: set[str]) -> dict[str, LoopRecord]:
    """The delays that the loops of a file without metadata mean."""
    delays = {name for name, nir in content.nodes.items() if nir.kind == "Delay"}
    neurons = {name for name, nir in content.nodes.items() if nir.kind in kinds}
    loops = loops_in(content.nodes, content.edges, delays, neurons)
    problems = [loop.problem() for loop in loops if not loop.clear]
    if problems:
        raise InterchangeError("it has loops without a delay:\n" + "\n".join(f"  - {p}" for p in problems))
    records: dict[str, LoopRecord] = {}
    for loop in loops:
        (after,) = loop.neurons
        name = f"{after}_late"
        while name in content.nodes or name in records:
            name += "_"
        late = sorted(target for _, target in _late_edges([loop], content.edges))
        records[name] = LoopRecord(after=after, before=late)
    return records
