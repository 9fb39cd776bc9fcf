"""What a target would make of a graph, without making anything: every finding, not the first.

The passes run in their order. Where one refuses, its findings are kept and the operations that they
name are replaced, in this examination alone, by what the remedies ask for: a real input by spikes, an
output of potentials by one of spikes, a max-pool of sums by an average's window. So the passes behind it,
and the limits of the target, are asked too. Where nothing can stand in, what could not be asked is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnir.compile import TO_NIR, to_integers
from avnir.cost.cores import cores_record
from avnir.decision import Decision
from avnir.errors import Finding, UnsupportedError
from avnir.ir.graph import Graph, Node
from avnir.ir.operation import Operation
from avnir.ir.presentations import presentations
from avnir.ir.real import Input, MaxPool2d, Scale, SumPool2d
from avnir.passes.merge_synapses import layer_behind
from avnir.passes.note import Note, Pass
from avnir.place import Placement, place
from avnir.program import Program
from avnir.target import Target
from avnir.verify.where import Part, parts

EXACT, LOWERED, PROGRAMMABLE, IMPOSSIBLE = "exact", "lowered", "programmable only", "impossible"
"""How an operation is taken; the weights, decays and biases of what is exact become the chip's integers."""
LIMITS = "limits"
NATIVE_RESET = "zero"
"""The reset of the chip's fixed neuron."""
GRADED = {
    "Product": "graded product (programmable)",
    "WindowSum": "graded sum over the steps (programmable)",
    "InverseRoot": "graded inverse root (programmable)",
}
"""Layers that send numbers, in words."""
ROUNDING = ("fold_gain", "quantise")
"""Passes whose notes are about numbers: every layer has them, so that they tell nothing about a layer."""


@dataclass(frozen=True)
class Layer:
    """One operation of the examined graph, how the target takes it, and what the passes did to it."""

    name: str
    operation: str
    shape: tuple[int, ...]
    source: str
    taken: str
    how: tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """All findings on one graph; `placement` only where there are none.

    `unasked` names the passes, or the limits, that could not be evaluated behind a refusal. `program`, and
    `parts`, what runs where, only where it can be exported.
    """

    layers: tuple[Layer, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Note, ...] = ()
    unasked: tuple[str, ...] = ()
    placement: Placement | None = None
    program: Program | None = None
    parts: tuple[Part, ...] = ()

    @property
    def exportable(self) -> bool:
        """Whether nothing stands against an export."""
        return not self.findings

    def record(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {
            "exportable": self.exportable,
            "layers": [{**vars(layer), "shape": list(layer.shape)} for layer in self.layers],
            "findings": [vars(finding) for finding in self.findings],
            "not_evaluated": list(self.unasked),
            "notes": [str(note) for note in self.notes],
            "runs_where": [part.record() for part in self.parts],
            "placement": None if self.placement is None else cores_record(self.placement),
        }


def examine(
    graph: Graph,
    target: Target,
    weight_bits: int = 8,
    *,
    decision: Decision | None = None,
    chips: int = 1,
    cores: int | None = None,
) -> Examination:
    """Every finding of every pass and limit for a real `graph` on `target`; raises none of them.

    `decision`, `chips` and `cores` as `compile_graph` takes them; DataError and TargetError where they do not
    fit.
    """
    reading = decision or Decision()
    reading.check(graph)
    findings: dict[Finding, None] = {}
    notes: list[Note] = []
    passes = (*TO_NIR, *to_integers(target, weight_bits, decision=reading))
    made: Graph | None = graph
    unasked: tuple[str, ...] = ()
    for index, step in enumerate(passes):
        assert made is not None
        made, told, found = _passed(made, step)
        notes += told
        findings |= dict.fromkeys(found)
        if made is None:
            unasked = (*(later.name for later in passes[index + 1 :]), LIMITS)
            break
    program = None if made is None else Program(made, target.name)
    placed = None
    if program is not None:
        exact = not findings
        placed, found = _limits(program, target, chips, cores)
        placed = placed if exact else None
        findings |= dict.fromkeys(found)
    layers = tuple(_layers(graph, made, notes, tuple(findings)))
    examined = layers, tuple(findings), tuple(notes), unasked
    if program is None or placed is None:
        return Examination(*examined)
    return Examination(*examined, placed, program, parts(program.graph, notes, reading))


def _limits(
    program: Program, target: Target, chips: int, cores: int | None
) -> tuple[Placement | None, tuple[Finding, ...]]:
    try:
        return place(program, target, chips=chips, cores=cores), ()
    except UnsupportedError as error:
        return None, error.findings


def _passed(graph: Graph, step: Pass) -> tuple[Graph | None, list[Note], tuple[Finding, ...]]:
    """The pass's result and notes, after stand-ins for what it refused; None where none helps."""
    findings: dict[Finding, None] = {}
    while True:
        try:
            made, notes = step(graph)
        except UnsupportedError as error:
            if findings.keys() >= set(error.findings):
                return None, [], tuple(findings)
            findings |= dict.fromkeys(error.findings)
            graph = _as_if_remedied(graph, error.findings)
        else:
            return made, notes, tuple(findings)


def _as_if_remedied(graph: Graph, findings: Sequence[Finding]) -> Graph:
    """The graph with a stand-in for each operation that a finding names."""
    places = {finding.place for finding in findings}
    nodes: list[Node] = []
    for node in graph:
        stand_in = STAND_INS.get(node.op.kind) if _place(node) in places or node.name in places else None
        nodes += stand_in(graph, node) if stand_in else [node]
    return graph.with_nodes(nodes)


def _place(node: Node) -> str:
    """Where a finding on this node says that it stands."""
    return node.source or node.name


def _identity(graph: Graph, node: Node) -> list[Node]:
    return [_with(node, Scale(np.array(1.0)))]


def _summed(graph: Graph, node: Node) -> list[Node]:
    pool = node.op
    assert isinstance(pool, MaxPool2d)
    return [_with(node, SumPool2d(pool.kernel, pool.stride, pool.padding))]


def _one_leak(graph: Graph, node: Node) -> list[Node]:
    return [_with(node, node.op.replace(beta=np.array(0.5)))]


def _spikes(graph: Graph, node: Node) -> list[Node]:
    return [_with(node, Input(graph.shapes[node.name], 0))]


def _with(node: Node, op: Operation) -> Node:
    return Node(node.name, op, node.inputs, node.source)


STAND_INS: Mapping[str, Callable[[Graph, Node], list[Node]]] = {
    "BatchNorm": _identity,
    "Input": _spikes,
    "Lif": _one_leak,
    "MaxPool2d": _summed,
}
"""What takes the place of a refused operation while the rest is examined, by kind; of the same shape."""


def _layers(
    graph: Graph, made: Graph | None, notes: Sequence[Note], findings: Sequence[Finding]
) -> Iterator[Layer]:
    told = _told(made, notes)
    refused = {finding.place: finding.problem for finding in findings}
    for node in graph:
        taken, how = _taken(graph, node, told.get(node.name, ()))
        if problem := refused.get(_place(node), refused.get(node.name)):
            taken, how = IMPOSSIBLE, (problem,)
        yield Layer(node.name, node.op.kind, graph.shapes[node.name], node.source, taken, how)


def _told(made: Graph | None, notes: Sequence[Note]) -> Mapping[str, tuple[str, ...]]:
    """What the passes said, by operation; what they did to a connection belongs to the layer it feeds."""
    told: dict[str, tuple[str, ...]] = {}
    for note in notes:
        if note.pass_name in ROUNDING:
            continue
        fed = made.consumers.get(note.node, ()) if made is not None else ()
        connection = made is not None and note.node in made.by_name and not made[note.node].op.spiking
        place, text = (fed[0], f"{note.node} {note.text}") if connection and fed else (note.node, note.text)
        told[place] = (*told.get(place, ()), text)
    return told


def _taken(graph: Graph, node: Node, told: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if node.op.spiking:
        reset = getattr(node.op, "reset", NATIVE_RESET)
        if reset == NATIVE_RESET:
            return EXACT, ("the chip's own neuron", *told)
        return PROGRAMMABLE, (f"reset {reset!r}: a microcode neuron", *told)
    if node.op.kind in GRADED:
        return PROGRAMMABLE, (GRADED[node.op.kind], *_shown_again(graph, node), *told)
    if node.op.kind == "Li":
        return PROGRAMMABLE, ("its potential is sent: a microcode neuron", *told)
    if node.op.kind == "Output" and layer_behind(graph, node) is None:
        return PROGRAMMABLE, ("a sum that is sent: a microcode neuron", *told)
    if told:
        return LOWERED, told
    if getattr(node.op, "linear", False):
        folded = node.op.kind not in ("Linear", "Conv2d")
        return (LOWERED if folded else EXACT), (f"the synapses into {', '.join(_into(graph, node))}",)
    return EXACT, (_carries(node),) if node.op.kind == "Input" else ()


def _shown_again(graph: Graph, node: Node) -> tuple[str, ...]:
    """How often a window is shown where the operation sums over the whole of it."""
    times = presentations(graph)
    return (f"sum over the window: shown {times} times",) if node.op.rehearsed else ()


def _carries(node: Node) -> str:
    bits = getattr(node.op, "message_bits", 0)
    return "spikes" if bits == 0 else f"integers of {bits} bits"


def _into(graph: Graph, node: Node) -> tuple[str, ...]:
    """The layers and outputs that see what `node` makes, whatever linear operations lie between."""
    found: dict[str, None] = {}
    waiting = list(graph.consumers[node.name])
    while waiting:
        here = graph[waiting.pop(0)]
        if getattr(here.op, "linear", False):
            waiting += [name for name in graph.consumers[here.name] if name not in waiting]
        else:
            found[here.name] = None
    return tuple(found)
