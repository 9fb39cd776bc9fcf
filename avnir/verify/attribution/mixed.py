"""A deployed network in which each approximation of the chip can be switched on and off, layer by layer.

It is the merged real graph (`avnir.passes.merge_synapses`) with some of its layers replaced (`mixed_layer`),
and runs on the real interpreter. With nothing on it is the model; with all on, every spike is that of the
integers. A run computes only what lies behind the layers in which something is on; the rest is as in the
model.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from avnir.errors import DataError
from avnir.ir.graph import Graph, Node
from avnir.ir.interpret_real import interpret_real
from avnir.ir.operation import Array
from avnir.ir.real import Input
from avnir.rounding.neuron_layer import SPIKE, origin, synapses_of
from avnir.trace import Trace, checked_inputs
from avnir.verify.attribution.mixed_layer import AT_THRESHOLD, MixedLayer, paired
from avnir.verify.attribution.rejoined import rejoined

Switches = Mapping[str, frozenset[str]]
"""For each layer the kinds of approximation that are on; none for a layer that is not named."""
MOVES = ("Flatten", "Delay")
"""Operations of a merged graph that a program holds in its connections."""
CALLED = {**dict.fromkeys(("Linear", "Conv2d", "Sparse", "Dense", "Conv"), "synapses"), "Li": "Readout"}
"""What goes by another name on the other level."""


@dataclass(frozen=True)
class Mixed:
    """A merged real graph beside the integers of a program, and `inputs`, `[T, B, *shape]`, to run it on."""

    merged: Graph
    layers: Mapping[str, MixedLayer]
    inputs: Mapping[str, Array]

    @classmethod
    def of(cls, merged: Graph, program: Graph, inputs: Mapping[str, Array]) -> Mixed:
        """Raises DataError where the program is not one of this network, or the inputs do not fit it."""
        check_alike(merged, program)
        program = rejoined(program)
        layers: dict[str, MixedLayer] = {}
        units = {node.name: 1.0 for node in merged.inputs}
        senders = merged.select(lambda op: op.sends)  # type: ignore[attr-defined]
        units |= {node.name: 1.0 for node in senders if node.op.spiking}
        for node in senders:
            layers[node.name] = layer = _layer(merged, program, node, units)
            units[node.name] = layer.unit
        return cls(merged, layers, checked_inputs(merged, inputs))

    @cached_property
    def model(self) -> Trace:
        """The run with nothing on."""
        return interpret_real(self.merged, self.inputs)

    @property
    def everywhere(self) -> Switches:
        """All kinds in every layer: the integers."""
        return {name: layer.whole for name, layer in self.layers.items()}

    @property
    def at_threshold(self) -> Switches:
        """The integers, if a neuron fired at its threshold too."""
        return {name: kinds | {AT_THRESHOLD} for name, kinds in self.everywhere.items()}

    def alone(self, kind: str) -> Switches:
        """One kind, wherever it changes anything."""
        return {name: layer.kinds & {kind} for name, layer in self.layers.items()}

    def without(self, kind: str) -> Switches:
        """All but one kind, wherever that changes anything."""
        return {name: layer.whole - (layer.kinds & {kind}) for name, layer in self.layers.items()}

    def run(self, on: Switches) -> Trace:
        """The spikes of every layer and the outputs, in the units of `units`."""
        switched = {name: kinds for name, kinds in on.items() if kinds}
        if not switched:
            return self.model
        graph, inputs = self._behind(self._replaced(switched), switched)
        trace = interpret_real(graph, inputs)
        return replace(trace, spikes={**self.model.spikes, **trace.spikes})

    def units(self, on: Switches) -> Mapping[str, float]:
        """What 1 of each output is in the model, by the output's name."""
        sent = self._sent(on)
        return {out.name: sent[origin(self.merged, out.inputs[0])[0]] for out in self.merged.outputs}

    def _sent(self, on: Switches) -> Mapping[str, float]:
        """What 1 that each layer or input sends is in the model."""
        sent = {node.name: 1.0 for node in self.merged.inputs}
        for name, layer in self.layers.items():
            sent[name] = layer.unit if layer.sends_integers(on.get(name, frozenset())) else 1.0
        return sent

    def _replaced(self, on: Switches) -> Graph:
        sent = self._sent(on)
        made = {
            name: op
            for layer in self.layers.values()
            for name, op in layer.replaced(on.get(layer.node.name, frozenset()), sent)
        }
        return self.merged.with_nodes(replace(node, op=made.get(node.name, node.op)) for node in self.merged)

    def _behind(self, graph: Graph, on: Switches) -> tuple[Graph, Mapping[str, Array]]:
        """The part of the graph that `on` can change, and all outputs, fed by the model's own spikes."""
        known = {**self.inputs, **self.model.spikes}
        changed = _reached(graph, on)
        fed = {name for name in known if name not in changed}
        kept = _reached_back(graph, {*changed, *(out.name for out in graph.outputs)}, fed)
        nodes = [_fed(graph, node) if node.name in fed else node for node in graph if node.name in kept]
        return graph.with_nodes(nodes), {node.name: known[node.name] for node in nodes if not node.inputs}


def _reached(graph: Graph, names: Iterable[str]) -> set[str]:
    """The names, and all that lies behind them."""
    found = set(names)
    ends = list(found)
    while ends:
        new = set(graph.consumers[ends.pop()]) - found
        found |= new
        ends += new
    return found


def _reached_back(graph: Graph, names: Iterable[str], fed: Container[str]) -> set[str]:
    """The names, and all that leads to them, no further than `fed`."""
    found = set(names)
    ends = list(found)
    while ends:
        name = ends.pop()
        new = set() if name in fed else set(graph[name].inputs) - found
        found |= new
        ends += new
    return found


def _fed(graph: Graph, node: Node) -> Node:
    """An input in the place of a layer whose spikes are known."""
    return node if not node.inputs else Node(node.name, Input(graph.shapes[node.name]), (), node.source)


def _layer(merged: Graph, program: Graph, node: Node, units: Mapping[str, float]) -> MixedLayer:
    sent = dict.fromkeys(units, SPIKE)
    weights: dict[str, Array] = {}
    ports = []
    for names in node.op.ports(node.inputs):  # type: ignore[attr-defined]
        pairs = [paired(s, program[s.name].op) for s in synapses_of(merged, names, sent)]  # type: ignore[arg-type]
        weights |= {synapse.name: whole for synapse, whole in pairs}
        ports.append(tuple(synapse for synapse, _ in pairs))
    fed_by = {synapse.source: units[synapse.source] for port in ports for synapse in port}
    return MixedLayer(node, program[node.name].op, tuple(ports), weights, fed_by)  # type: ignore[arg-type]


def check_alike(merged: Graph, program: Graph) -> None:
    """Raise DataError where a program has other inputs, layers, synapses or outputs than a merged graph."""
    wanted, found = dict(_parts(merged)), dict(_parts(rejoined(program)))
    problems = [f"{name} {wanted[name]} is not in it" for name in wanted if name not in found]
    problems += [f"{name} {found[name]} is not in the model" for name in found if name not in wanted]
    problems += [
        f"{name} is {found[name]}, but {wanted[name]} in the model"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise DataError(f"the program was not made from this model:\n{listed}")


def _parts(graph: Graph) -> Iterator[tuple[str, str]]:
    """Every part that both levels name: its name, what it is and its shape."""
    for node in graph:
        if node.op.kind not in MOVES:
            yield node.name, f"({CALLED.get(node.op.kind, node.op.kind)} {graph.shapes[node.name]})"
