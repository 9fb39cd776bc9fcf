"""What `avnir show` prints of each kind of file: plain values, and rows of text made from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from avnir.ir.graph import Graph, Node
    from avnir.ir.operation import Array, Operation, Shape
    from avnir.place import Placement
    from avnir.program import Program
    from avnir.trace import Trace


@dataclass(frozen=True)
class Shown:
    """A table: its title, and records with the same names, one a row."""

    title: str
    records: tuple[Mapping[str, Any], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.records[0]) if self.records else ()

    @property
    def rows(self) -> Iterator[tuple[str, ...]]:
        return (tuple(map(_text, record.values())) for record in self.records)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        whole = all(isinstance(item, int) for item in value)
        return (" x " if whole else ", ").join(map(str, value)) or "-"
    return f"{value:,}" if isinstance(value, int) else str(value)


def graph_table(graph: Graph) -> Shown:
    """Every node of a graph: operation, what feeds it, shape, and its parameters."""
    records = (
        {
            "node": node.name,
            "operation": node.op.kind,
            "fed by": list(node.inputs),
            "shape": list(graph.shapes[node.name]),
            "parameters": ", ".join(_parameters(node.op)),
        }
        for node in graph
    )
    return Shown(f"{graph.level} graph of {len(graph)} nodes, a step of {graph.dt:g} s", tuple(records))


def _parameters(op: Operation) -> Iterator[str]:
    """What is not as by default: an array by its shape and range."""
    defaults = {field.name: field.default for field in dataclasses.fields(op)}
    for name, value in op.items():
        if isinstance(value, np.ndarray):
            yield f"{name} {_array(value)}"
        elif name != "shape" and value != defaults[name]:
            yield f"{name} {value}"


def _array(array: Array) -> str:
    if array.ndim == 0:
        return f"{array.item():g}"
    return f"{_size(array.shape)} in {_range(array)}"


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _range(array: Array) -> str:
    low, high = array.min(), array.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def layer_table(program: Program, placement: Placement | None) -> Shown:
    """The layers of a program: neurons, when they answer, their thresholds, and their cores."""
    from avnir.ir.latency import latencies

    late = latencies(program.graph)
    nodes = (*program.graph.inputs, *program.graph.neurons)
    return Shown("layers", tuple(_layer(node, program.graph, late, placement) for node in nodes))


def _layer(node: Node, graph: Graph, late: Mapping[str, int], placement: Placement | None) -> dict[str, Any]:
    threshold = getattr(node.op, "threshold", None)
    return {
        "layer": node.name,
        "operation": node.op.kind,
        "shape": list(graph.shapes[node.name]),
        "neurons": math.prod(graph.shapes[node.name]) if node.op.spiking else 0,
        "chip step": late[node.name],
        "threshold": "-" if threshold is None else _range(np.asarray(threshold)),
        "needs": getattr(node.op, "microcode", "") or "-",
        "cores": _cores(node.name, placement),
    }


def _cores(layer: str, placement: Placement | None) -> str:
    pieces = () if placement is None else placement.layers.get(layer, ())
    several = placement is not None and placement.chips > 1
    found = sorted({(piece.chip, piece.core) for piece in pieces})
    return " ".join(f"{chip}:{core}" if several else str(core) for chip, core in found) or "-"


def connection_table(program: Program) -> Shown:
    """The connections of a program: synapses, the range of their weights, and their delays."""
    graph = program.graph
    connections = graph.select(lambda op: getattr(op, "connection", False))
    return Shown("connections", tuple(_connection(node, graph) for node in connections))


def _connection(node: Node, graph: Graph) -> dict[str, Any]:
    op: Any = node.op
    source = node.inputs[0]
    return {
        "from": source,
        "to": ", ".join(graph.consumers[node.name]),
        "operation": op.kind,
        "weights": list(op.weight.shape),
        "range": f"{op.weight.min()} to {op.weight.max()}",
        "exponent": op.exponent,
        "synapses": int(op.fan_out(graph.shapes[source], nonzero=False).sum()),
        "delay": op.delay,
        "lag": op.lag,
    }


def trace_table(trace: Trace) -> Shown:
    """How much every layer of a trace sends."""
    steps, samples = next(iter(trace.spikes.values())).shape[:2]
    again = f", of {len(trace.presented)} presentations the last" if trace.rehearsals else ""
    records = (_sent(name, array, trace) for name, array in trace.spikes.items())
    return Shown(f"{samples} samples x {steps} steps{again}", tuple(records))


def _sent(name: str, array: Array, trace: Trace) -> dict[str, Any]:
    graded = bool(np.any((array != 0) & (array != 1)))
    sent = int(np.count_nonzero(array))
    return {
        "layer": name,
        "shape": list(array.shape[2:]),
        "sends": f"messages, {_range(array)}" if graded else "spikes",
        "number": sent,
        "a sample": f"{sent / array.shape[1]:,.1f}",
        "share of slots": f"{100 * sent / array.size:.2f} %",
        "silent neurons": int((~np.any(array, axis=(0, 1))).sum()),
        "states": list(trace.states.get(name, {})),
    }


def events(fired: Array, first_step: int, first_neuron: int) -> list[list[int]]:
    """`[step, neuron]` of every spike of `fired` `[T, neurons]`."""
    places: Iterable[list[int]] = np.argwhere(fired).tolist()
    return [[first_step + step, first_neuron + neuron] for step, neuron in places]
