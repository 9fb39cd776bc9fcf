"""Room for what a run leaves: a trace whose spikes are packed (`avnir.packed`), as the engine writes them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Array
from avnir.ir.presentations import presentations
from avnir.packed import Packed, words_of
from avnir.trace import Trace


def record(
    graph: Graph, steps: int, batch: int, states: bool, settled: Sequence[Collection[str]] = ()
) -> Trace:
    """`avnir.trace.Trace.empty`, packed; an output is its layer's own spikes.

    `settled`, for each presentation the layers that send what they sent in the one before: then both are the
    same array.
    """
    made: list[Trace] = []
    held: dict[str, Array] = {}
    for number in range(presentations(graph)):
        kept = {name: held[name] for name in (settled[number] if settled else ()) if name in held}
        held = {n.name: _room(graph, n, steps, batch) for n in graph.neurons if n.name not in kept} | kept
        made.append(_presented(graph, held, steps, batch, states))
    rehearsals = tuple(Trace(one.spikes, {}, one.states) for one in made[:-1])
    return Trace(made[-1].spikes, made[-1].outputs, made[-1].states, rehearsals)


def _presented(graph: Graph, held: Mapping[str, Array], steps: int, batch: int, states: bool) -> Trace:
    """The same for one presentation of the window."""
    shown = {node.name: _shown(graph, graph[node.inputs[0]], held, steps, batch) for node in graph.outputs}
    registers = {
        node.name: {
            register: np.zeros((steps, batch, *graph.shapes[node.name]), np.int32)
            for register in node.op.registers  # type: ignore[attr-defined]
        }
        for node in graph.neurons
        if states and node.op.stateful
    }
    order = {node.name: held[node.name] for node in graph.neurons}
    return Trace(Packed(order, graph.shapes), Packed(shown, graph.shapes), registers)


def _shown(graph: Graph, source: Node, held: Mapping[str, Array], steps: int, batch: int) -> Array:
    """What an output shows of its source: a layer, or an input."""
    return held[source.name] if source.name in held else _room(graph, source, steps, batch)


def _room(graph: Graph, node: Node, steps: int, batch: int) -> Array:
    """Of what a layer or an input sends, `[T, B, ...]`."""
    size = math.prod(graph.shapes[node.name])
    if getattr(node.op, "message_bits", 0):
        return np.zeros((steps, batch, size), np.int32)
    return np.zeros((steps, batch, words_of(size)), np.int64)
