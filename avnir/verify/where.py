"""What of a compiled network runs where, and whether the numbers that it gives are the model's.

Layers that send spikes are exact, whatever neurons they need: they do the model's operation, though with
weights, decays and thresholds in the chip's integers (what that costs is measured, `avnir.verify.stages`).
Layers that send numbers are exact where nothing was rounded, in them or in the numbers that reach them. What
leaves the chip is read by the host, which makes a class of it (`avnir.decision`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from avnir.decision import Decision, output_units
from avnir.ir.graph import Graph, Node
from avnir.ir.integer import Input, Neurons
from avnir.ir.operation import Shape
from avnir.ir.presentations import presentations
from avnir.passes.note import Note

FIXED, PROGRAMMABLE, HOST = "fixed neuron", "programmable neuron", "host"
EXACT, ROUNDED = "exact", "rounded"
COLUMNS = ("part", "operation", "shape", "runs on", "numbers", "how")


@dataclass(frozen=True)
class Part:
    """One layer, or something that the host does: where it runs, whether its numbers are the model's, how."""

    name: str
    operation: str
    shape: Shape
    runs: str
    numbers: str
    how: str

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "shape": list(self.shape)}

    def row(self) -> tuple[str, ...]:
        """One cell for each of COLUMNS."""
        shape = " x ".join(map(str, self.shape))
        return self.name, self.operation, shape, self.runs, self.numbers, self.how


def parts(graph: Graph, notes: Iterable[Note], decision: Decision) -> tuple[Part, ...]:
    """All parts of an integer graph, in the order in which data flow; `notes` are of the passes that made it.

    A layer that sends numbers and of which no note says that they are exact counts as rounded.
    """
    told = {note.node: note.exact for note in notes if note.exact is not None}
    return (*_shown(graph), *_layers(graph, told), *_read(graph, decision))


def _shown(graph: Graph) -> Iterator[Part]:
    times = presentations(graph)
    again = f", the window {times} times" if times > 1 else ""
    for node in graph.inputs:
        bits, shape = cast(Input, node.op).message_bits, graph.shapes[node.name]
        yield Part(node.name, "Input", shape, HOST, EXACT, f"shows {_values(shape, bits)} a step{again}")


def _layers(graph: Graph, told: Mapping[str, bool]) -> Iterator[Part]:
    exact: dict[str, bool] = {node.name: True for node in graph.inputs}
    for node in graph.neurons:
        op = cast(Neurons, node.op)
        arriving = all(exact.get(source, True) for source in _sources(graph, node))
        exact[node.name] = not op.message_bits or (told.get(node.name, False) and arriving)
        runs = FIXED if op.native else PROGRAMMABLE
        numbers = EXACT if exact[node.name] else ROUNDED
        yield Part(node.name, op.kind, graph.shapes[node.name], runs, numbers, _how(op))


def _how(op: Neurons) -> str:
    if op.native:
        return "the chip's own neuron"
    return f"{op.microcode}, which is shown once more for it" if op.rehearsed else op.microcode


def _sources(graph: Graph, layer: Node) -> Iterator[str]:
    """The inputs and layers whose spikes or messages reach a layer."""
    return (source for connection in layer.inputs for source in graph[connection].inputs)


def _read(graph: Graph, decision: Decision) -> Iterator[Part]:
    units = output_units(graph)
    for node in graph.outputs:
        shape, op = graph.shapes[node.name], cast(Neurons, graph[node.inputs[0]].op)
        unit = f", each {units[node.name]:.6g} of the model" if node.name in units else ""
        how = f"reads {_values(shape, op.message_bits)} a step{unit}"
        yield Part(node.name, "Output", shape, HOST, EXACT, how)
    output = decision.read(node.name for node in graph.outputs)
    shape = graph.shapes[output]
    done = decision.costs(math.prod(shape), 1)
    listed = ", ".join(_counted(number, what.removesuffix("s")) for what, number in done.items())
    how = f"{_rule(decision, output)}; a step {listed}"
    yield Part("decision", "Decision", shape, HOST, EXACT, how)


def _rule(decision: Decision, output: str) -> str:
    weighed = "" if decision.scores is None else f", steps weighed by the softmax of {decision.scores}"
    return f"largest sum of {output}{weighed}"


def _values(shape: Shape, bits: int) -> str:
    number = math.prod(shape)
    return f"{_counted(number, 'integer')} of {bits} bits" if bits else _counted(number, "spike")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
